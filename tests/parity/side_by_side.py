"""Run both toolkits over all cases and files, and say how far they are apart.

`--dynet PYTHON` names an interpreter that can `import dynet`; without it one is found, or made of a CPython 3.8.
`--record` writes what DyNet gave to `recorded`, which the tests compare with. `--module weft` takes the cases to
`import weft` instead of Weft's `dynet`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "benchmarks")]

import numpy as np  # noqa: E402
import pythons  # noqa: E402
from compare import Line, Results, case_of, compared, report  # noqa: E402
from names import NOT_COMPARED  # noqa: E402
from recording import RECORDED, save, save_files  # noqa: E402
from run_cases import TABLE  # noqa: E402
from run_files import ROUNDED  # noqa: E402

# Ways in which Weft runs the operations and programs.
WAYS = {
    "batched": (),
    "one by one": ("--one-by-one",),
    "operands that are parameters": ("--operands", "parameters"),
    "numpy": ("--backend", "numpy"),
}


class Died(RuntimeError):
    """An interpreter that ended before its results were there."""


def run(python: str, program: str, *arguments: str | Path) -> None:
    """Run a program of this folder; raises `Died` with the end of what it said."""
    command = [python, str(HERE / program), *map(str, arguments)]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Died(f"{' '.join(command)} ended with code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")


def case_results(python: str, out: Path, *arguments: str) -> dict[str, np.ndarray]:
    """The results of all cases with one interpreter."""
    running = out.with_name(out.name + ".running")
    try:
        run(python, "run_cases.py", out, *arguments)
    except Died as error:
        where = running.read_text() if running.exists() else "before the first case"
        raise Died(f"in the case {where}: {error}") from None
    results = load(out)
    failed, _ = results.pop("failed"), results.pop("used")
    if failed.size:
        raise Died(
            f"{python} has no results of {', '.join(failed.tolist())}: `run_cases.py OUT.npz --only CASE` says why"
        )
    return results


def load(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file."""
    with np.load(path) as file:
        return {key: file[key] for key in file.files}


def same_bytes(ours: Path, theirs: Path) -> list[str]:
    """Sentences about text files that are not the same byte for byte."""
    return [
        f"{file.name} is written in other bytes"
        for file in sorted(theirs.iterdir())
        if file.suffix in (".txt", ".data") and file.name not in ROUNDED
        if (ours / file.name).read_bytes() != file.read_bytes()
    ]


def compare_files(dynet: str, module: str, folder: Path) -> Iterator[tuple[str, list[Line]]]:
    """What each reads of what each wrote, against what DyNet reads of its own."""
    sides = {"DyNet": (dynet, "dynet"), "Weft": (sys.executable, module)}
    for writer, (python, name) in sides.items():
        (folder / writer).mkdir()
        run(python, "run_files.py", folder / writer, "--module", name)
    expected: Results | None = None
    for writer in sides:
        for reader, (python, name) in sides.items():
            out = folder / f"{reader} of {writer}.npz"
            run(python, "run_files.py", folder / writer, "--read", out, "--module", name)
            if expected is None:
                expected = load(out)
            else:
                yield f"files of {writer}, read by {reader}", compared(load(out), expected)
    line = Line("bytes of text files", results=len(list((folder / "DyNet").iterdir())))
    line.wrong = same_bytes(folder / "Weft", folder / "DyNet")
    yield "files written by both", [line]


def record(results: Results, folder: Path) -> None:
    """Write what DyNet gave, one file for each module of cases, and its files."""
    RECORDED.mkdir(exist_ok=True)
    modules: dict[str, dict[str, np.ndarray]] = {}
    for key, array in results.items():
        module = TABLE[case_of(key)].module
        modules.setdefault(module, {})[key] = array
    for module, part in modules.items():
        save(RECORDED / f"{module}.npz", part)
    save_files(RECORDED / "files.npz", folder / "DyNet")
    save(RECORDED / "files_read.npz", load(folder / "DyNet of DyNet.npz"))


def left_out() -> str:
    """What is not compared, with the reasons."""
    lines = [f"  {case.name}: DyNet cannot run it: {case.lacks}" for case in TABLE.values() if case.lacks]
    for case in TABLE.values():
        forms = " of " + ", ".join(form.text for form in case.beyond) if case.beyond else ""
        gradients = " gradients" if case.skip else ""
        if forms or gradients:
            lines.append(f"  {case.name}:{gradients}{' and values' if forms and gradients else ''}{forms}: {case.why}")
    lines += [f"  {name}: {reason}" for name, reason in NOT_COMPARED.items()]
    return "\n".join(lines)


def main() -> int:
    """Run both sides; 1 where they differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dynet", metavar="PYTHON", help="an interpreter that can import dynet")
    parser.add_argument("--module", default="dynet", choices=["dynet", "weft"], help="what Weft's side imports")
    parser.add_argument("--record", action="store_true", help="write what DyNet gave to tests/parity/recorded")
    chosen = parser.parse_args()
    try:
        dynet = pythons.dynet_python(chosen.dynet, pythons.ENVIRONMENT, make=True)
    except ValueError as error:
        if chosen.dynet or os.environ.get(pythons.VARIABLE):
            parser.error(str(error))
        print(
            "parity: SKIPPED. No interpreter that was found can import dynet, and there is no CPython 3.8, on the path "
            "or as a pyenv version, to make an environment of; name one that has DyNet 2.1.2 with --dynet PYTHON"
        )
        return 0
    assert dynet is not None
    wrong = False
    with tempfile.TemporaryDirectory(prefix="weft-parity-") as name:
        folder = Path(name)
        expected = case_results(dynet, folder / "dynet.npz")
        parts = []
        for way, arguments in WAYS.items():
            found = case_results(sys.executable, folder / f"{way}.npz", "--module", chosen.module, *arguments)
            known = {key: a for key, a in expected.items() if chosen.module == "dynet" or not TABLE[case_of(key)].extra}
            parts.append((way, compared(found, known)))
        if chosen.module == "dynet":
            parts.extend(compare_files(dynet, chosen.module, folder))
        for title, lines in parts:
            print(f"\n{title}\n{report(lines)}")
            wrong = wrong or any(line.wrong and not line.known for line in lines)
        print(f"\nleft out:\n{left_out()}")
        if chosen.record:
            record(expected, folder)
            print(f"recorded in {RECORDED}")
    print("\nparity:", "the toolkits DIFFER" if wrong else "no differences")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
