"""The session on a GPU: is the backend right there, and how fast is it? Prints as it goes, writes a table and JSON.

    python run.py                                   everything, in about 25 minutes
    python run.py --quick                           the same with less of everything, in about 8
    python run.py conformance soak                  some parts
    python run.py bench --tasks tagger --minutes 9  parts of the benchmark (launches training lstm products), one task
    python run.py --merge a.json b.json             no measuring: one table from several runs
    python run.py --rehearse                        no GPU: tiny sizes, kernels interpreted, PyTorch on the CPU

Weft need not be installed. Each part is a process of its own with a time limit; what it has measured is kept even if it
has to be stopped. Parts that are run by themselves add to the JSON that is there, a full run begins anew.

Exit codes: 0 all was measured and everything is right; 1 something is wrong (failed rows, losses, barriers, or a part
that crashed); 2 wrong usage; 77 skipped, there is no GPU. An aim that is not met is not an error.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import uninstalled

SKIPPED = 77
# Seconds of each part at most: full, quick.
PARTS = {
    "conformance": (420, 120), "soak": (150, 60), "tasks": (180, 60), "launches": (30, 30), "training": (1500, 240),
    "lstm": (120, 45), "products": (90, 45),
}  # fmt: skip
PROGRAMS = {"tasks": "losses.py"}
BENCH = ("launches", "training", "lstm", "products")
TASKS = ("tagger", "tree", "chars", "lm")
MINUTES = {"full": 25.0, "quick": 8.0, "rehearsal": 10.0}
# A part stops by itself; this long after its time it is stopped.
GRACE = 20.0
# Seconds of a part of a rehearsal, which takes a few unless the machine has other work.
REHEARSED = 120.0
WARM_SECONDS = 240.0
DOCS = uninstalled.ROOT / "docs" / "benchmarks"


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = [*PARTS, "bench"]
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of {', '.join(known)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--rehearse", action="store_true", help="without a GPU: does the command work?")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS), help="of the parts tasks, training")
    parser.add_argument("--minutes", type=float, help="time of everything (default 25, with --quick 8)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where table and JSON go (default docs/benchmarks)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the JSON file (default gpu.json beside the table)")
    parser.add_argument("--merge", nargs="+", type=Path, default=[], metavar="FILE", help="JSON of other runs to add")
    chosen = parser.parse_args()
    unknown = [part for part in chosen.parts if part not in known]
    if unknown:
        parser.error(f"there is no part {unknown[0]}, only {', '.join(known)}")
    chosen.full = not chosen.parts and not chosen.merge
    if chosen.full:
        chosen.parts = list(PARTS)
    chosen.parts = [p for p in PARTS if p in chosen.parts or (p in BENCH and "bench" in chosen.parts)]
    length = "rehearsal" if chosen.rehearse else "quick" if chosen.quick else "full"
    chosen.minutes = chosen.minutes or MINUTES[length]
    return chosen


class Session:
    """One run of the command: its results, where they go, and when it has to end."""

    def __init__(self, chosen: argparse.Namespace, folder: Path) -> None:
        from results import Results

        self.chosen = chosen
        name = "rehearsal" if chosen.rehearse else "gpu"
        out = chosen.out or (folder if chosen.rehearse else DOCS)
        out.mkdir(parents=True, exist_ok=True)
        self.table, self.json = out / f"{name}.md", chosen.json or out / f"{name}.json"
        self.started = time.monotonic()
        self.results = Results()
        self.wrong: list[str] = []

    @property
    def left(self) -> float:
        """Seconds left."""
        return 60.0 * float(self.chosen.minutes) - (time.monotonic() - self.started)

    def gather(self) -> None:
        """Results of earlier runs."""
        earlier = [self.json] if self.json.exists() and not self.chosen.full else []
        for path in (*earlier, *self.chosen.merge):
            self.results.merge(path)

    def begin(self, facts: dict[str, Any]) -> None:
        """Note this run."""
        command = shlex.join(["python", "tests/gpu/run.py", *sys.argv[1:]])
        date = datetime.now().astimezone().isoformat(timespec="seconds")
        self.results.check(facts["gpu"], "this machine")
        self.results.runs.append({"date": date, "command": command, "facts": facts, "seconds": 0.0})

    def write(self) -> None:
        """Table and JSON as of now."""
        import report

        if self.chosen.parts:
            self.results.runs[-1]["seconds"] = time.monotonic() - self.started
        self.results.save(self.json)
        self.table.write_text(report.page(self.results, self.chosen.rehearse), encoding="utf-8")

    def part(self, name: str, program: str, seconds: float, data: Path) -> None:
        """Run a part, and keep its records as they come."""
        if seconds < 1:
            self.results.add({"part": "end", "id": name, "how": "not begun, out of time"})
            self.write()
            return
        print(f"\n== {name} (at most {seconds:.0f} s)", flush=True)
        self.results.forget(name)
        command = [sys.executable, str(uninstalled.HERE / program), "--seconds", f"{seconds:.0f}", "--data", str(data)]
        command += [f"--{flag}" for flag in ("quick", "rehearse") if getattr(self.chosen, flag)]
        command += ["--tasks", *self.chosen.tasks]
        since = time.monotonic()
        how = self._attend(command, seconds + GRACE)
        self.results.add({"part": "end", "id": name, "how": how, "seconds": time.monotonic() - since})
        if how != "complete":
            self.wrong.append(f"{name}: {how}")
        print(f"== {name}: {how}, {time.monotonic() - since:.0f} s", flush=True)
        self.write()

    def _attend(self, command: list[str], seconds: float) -> str:
        """Print what a part prints, keep its records, end it and all its processes in time; returns how it ended."""
        from part import MARK

        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        late = threading.Event()

        def stop() -> None:
            late.set()
            _end(process)

        timer = threading.Timer(seconds, stop)
        timer.start()
        assert process.stdout is not None
        written = time.monotonic()
        for line in process.stdout:
            if not line.startswith(MARK):
                print(line, end="", flush=True)
                continue
            self.results.add(json.loads(line[len(MARK) :]))
            if time.monotonic() - written > 2:
                written = time.monotonic()
                self.write()
        status = process.wait()
        timer.cancel()
        _end(process)
        if late.is_set():
            return f"stopped after {seconds:.0f} s"
        return {0: "complete", 1: "something is wrong, see above"}.get(status, f"ended with status {status}")


def _end(process: subprocess.Popen[str]) -> None:
    """End what is left of the part's process group, which is its own."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def facts_of(environment: dict[str, str]) -> dict[str, Any]:
    """The machine, asked in a process of its own; ends the command where something is missing that all parts need."""
    program = [sys.executable, str(uninstalled.HERE / "facts.py")]
    asked = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    if asked.returncode:
        raise SystemExit(f"cannot find out what this machine is: {(asked.stderr.strip().splitlines() or ['?'])[-1]}")
    found: dict[str, Any] = json.loads(asked.stdout.splitlines()[-1])
    return found


def main() -> int:
    chosen = options()
    with tempfile.TemporaryDirectory(prefix="weft-gpu-") as name:
        folder = Path(name)
        os.environ.update(uninstalled.variables(folder))
        os.environ.pop("TRITON_INTERPRET", None)
        if chosen.rehearse:
            os.environ["TRITON_INTERPRET"] = "1"
        sys.path[1:1] = os.environ["PYTHONPATH"].split(os.pathsep)
        session = Session(chosen, folder)
        session.gather()
        if chosen.parts:
            found = facts_of(dict(os.environ))
            if found["absent"]:
                print(f"skipped, nothing was measured: {found['absent']}")
                return SKIPPED
            session.begin(found)
            measure(session, folder)
        session.write()
        print("\n" + session.table.read_text(encoding="utf-8"))
        if not chosen.rehearse or chosen.out:
            print(f"written: {session.table}, {session.json}")
    for sentence in session.wrong:
        print(f"WRONG: {sentence}")
    return 1 if session.wrong else 0


def measure(session: Session, folder: Path) -> None:
    """All chosen parts, one after another."""
    chosen = session.chosen
    print(f"{session.results.runs[-1]['facts']['gpu']}; at most {chosen.minutes:.0f} minutes", flush=True)
    import data

    tasks = folder / "tasks" if chosen.rehearse else data.cache_folder()
    session.part("warm", "warm.py", min(WARM_SECONDS, session.left), tasks)
    for n, name in enumerate(chosen.parts):
        seconds = min(PARTS[name][chosen.quick], session.left - GRACE)
        if chosen.rehearse:
            seconds = min(seconds, REHEARSED)
        elif name == "training":
            # It takes what there is, but for what comes after it.
            later = sum(PARTS[part][chosen.quick] + GRACE for part in chosen.parts[n + 1 :])
            seconds = min(seconds, session.left - later)
        session.part(name, PROGRAMS.get(name, f"{name}.py"), seconds, tasks)


if __name__ == "__main__":
    sys.exit(main())
