"""The record of benchmark runs: one JSON document a run, in docs/benchmarks/history.

    python history.py                the newest run; beside each command the run before on a machine like this
    python history.py --column dynet      another toolkit of these runs

A document holds the date, the machine (`machine.py`) and, for each command of `bench.py`, its figures: line, column,
number. `higher_is_better` says of a command's figures which way is good; only throughput has it.
"""

from __future__ import annotations

import argparse
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "docs" / "benchmarks" / "history"

Document = dict[str, Any]


def add(machine: dict[str, Any], parts: dict[str, Any], folder: Path = FOLDER) -> Path:
    """Writes the document of a run that ends now, and returns its path."""
    now = datetime.now().astimezone()
    processor = re.sub(r"[^a-z0-9]+", "-", f"{machine['processor']} {machine['cores']} cores".lower()).strip("-")
    path = folder / f"{now:%Y-%m-%d-%H%M%S}-{processor}.json"
    folder.mkdir(parents=True, exist_ok=True)
    document = {"date": now.isoformat(timespec="seconds"), "machine": machine, "parts": parts}
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path


def documents(folder: Path = FOLDER) -> list[Document]:
    """All runs, the newest last."""
    found = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    return sorted(found, key=lambda document: datetime.fromisoformat(document["date"]))


def is_like(one: Document, other: Document) -> bool:
    """Whether two runs were made on the same kind of machine."""
    return all(one["machine"][fact] == other["machine"][fact] for fact in ("processor", "cores", "system"))


def before(runs: list[Document], command: str) -> Document | None:
    """The last run but one that has this command, on a machine like that of the last run."""
    *earlier, new = runs
    return next((run for run in reversed(earlier) if is_like(run, new) and command in run["parts"]), None)


def comparison(runs: list[Document], column: str) -> str:
    """Every figure of the column (and its ways of use) in the last run, in the one before, and the ratio."""
    new = runs[-1]
    lines = [f"new: {new['date']}  {facts(new)}"]
    for command, part in new["parts"].items():
        old = before(runs, command)
        lines.append(f"\nold: {old['date']}  {facts(old)}" if old else "")
        good = "higher is better" if part.get("higher_is_better") else "lower is better"
        lines.append(f"{command:72}{'new':>12}{'old':>12}{'new / old':>11}   {good}")
        figures = old["parts"][command]["figures"] if old else {}
        for line, columns in part["figures"].items():
            for way, number in columns.items():
                if way == column or way.startswith(column + " "):
                    lines.append(_line(f"{line}, {way}", number, figures.get(line, {}).get(way)))
    return "\n".join(lines)


def _line(name: str, new: float, old: float | None) -> str:
    text = f"{name:72}{new:12,.2f}"
    if old is not None:
        text += f"{old:12,.2f}"
    if old:
        text += f"{new / old:11.2f}"
    return text


def facts(document: Document) -> str:
    """The machine in one line."""
    machine = document["machine"]
    versions = ", ".join(f"{package} {version}" for package, version in machine["versions"].items())
    kernels = ", ".join(machine["blas"])
    return f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}, {versions}; {kernels}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--column", default="weft", help="the toolkit to show (default weft)")
    chosen = parser.parse_args()
    runs = documents()
    if not runs:
        raise SystemExit(f"no run is recorded in {FOLDER.name}: bench.py makes one")
    print(comparison(runs, chosen.column))


if __name__ == "__main__":
    main()
