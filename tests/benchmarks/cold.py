"""Cold start: what Weft's kernels cost a process that uses them for the first time, task by task.

    python cold.py

Seconds, in fresh processes: with an empty kernel cache (a temporary folder), and with what the first has left there.
Compiling (with a warm cache: loading) is the creation of the model and the first training step less a later one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile

import data
import processes
import side_by_side
from bars import FIRST_START, WARM_START
from side_by_side import Figures

TASKS = ("lm", "tagger", "chars", "tree")
MODES = ("cells", "vanilla")
BATCH = 4


def starts(task: str, mode: str) -> Figures:
    """The parts of a start with an empty and with a warm cache."""
    figures: Figures = {}
    arguments = [
        "--toolkit",
        "weft",
        "--data",
        data.cache_folder(),
        "--task",
        task,
        "--variant",
        mode,
        "--batch",
        BATCH,
    ]
    with tempfile.TemporaryDirectory(prefix="weft-cold-") as folder:
        for cache in ("empty cache", "warm cache"):
            outcome = processes.outcome(sys.executable, "cold_peer.py", *arguments, NUMBA_CACHE_DIR=folder)
            if "error" in outcome:
                raise SystemExit(f"cold_peer.py, {task}, {mode}: {outcome['error']}")
            for part, seconds in outcome.items():
                figures.setdefault(f"{task}, {mode}, {part}", {})[f"weft {cache}"] = seconds
    return figures


def options() -> argparse.Namespace:
    parser = side_by_side.options(__doc__, repeats=1)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.tasks = chosen.tasks[:1]
    return chosen


def main() -> None:
    chosen = options()
    data.prepare(data.cache_folder())
    figures: Figures = {}
    for task in chosen.tasks:
        for mode in MODES:
            figures |= starts(task, mode)
    print(side_by_side.table(figures, "seconds", digits=2, ratios=False))
    print(f"Compiling is to take at most {FIRST_START:.0f} s with an empty cache, {WARM_START:.0f} s with a warm one.")
    side_by_side.keep(chosen, figures)


if __name__ == "__main__":
    main()
