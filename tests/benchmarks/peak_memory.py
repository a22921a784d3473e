"""Peak memory of training each task, beside the DyNet wheel with autobatching and PyTorch.

    python peak_memory.py

Megabytes of the resident set at its peak over 640 examples of training: of the whole process; beyond what was held
after imports and reading the data; beyond what was held after creating the model, too; and beyond a first step with one
example, which takes Adam's moments and loads Weft's kernels, so that graphs are left. Sentences and trees are single
examples that autobatching brings together. A process that compiles Weft's kernels runs first and is not counted.

DyNet takes its whole pool when it starts, so its training seems to need nothing beyond the model; and a pool cannot
grow when autobatching is on. "least pool" is DyNet with the smallest of POOLS in which the task runs, which a user
would have to find; "autobatch" has the pool that DyNet takes if nothing is said.
"""

from __future__ import annotations

import argparse

import data
import processes
import side_by_side
from peer import DYNET_MEGABYTES
from side_by_side import Column, Figures

TASKS = ("lm", "tagger", "chars", "tree")
BATCHES = (1, 64)
POOLS = (16, 32, 64, 128, 256, 512, 1024, 2048)
WEFT = (Column("weft", "cells"), Column("weft", "plain"))
DYNET = Column("dynet", "autobatch")


def least_pool(python: str, task: str, batch: int, chosen: argparse.Namespace) -> int:
    """The smallest of POOLS in which DyNet trains; raises SystemExit where none is enough."""
    arguments = ["--data", data.cache_folder(), "--toolkit", DYNET.toolkit, "--variant", DYNET.variant]
    arguments += ["--task", task, "--batch", batch, *(["--quick"] if chosen.quick else [])]
    for megabytes in POOLS:
        outcome = processes.outcome(python, "peak_memory_peer.py", *arguments, "--size", megabytes)
        if "error" not in outcome:
            return megabytes
    raise SystemExit(f"DyNet cannot train {task} in {POOLS[-1]} MB: {outcome['error']}")


def figures_of(task: str, batch: int, python: str | None, chosen: argparse.Namespace) -> Figures:
    """The figures of a task in every column."""
    arguments = ["--task", task, "--batch", batch]
    side_by_side.measured("peak_memory_peer.py", WEFT, chosen, *arguments)
    columns = (*WEFT, DYNET, Column("torch"))
    figures = side_by_side.measured("peak_memory_peer.py", columns, chosen, *arguments, "--size", DYNET_MEGABYTES)
    if python:
        pool = least_pool(python, task, batch, chosen)
        small = side_by_side.measured("peak_memory_peer.py", [DYNET], chosen, *arguments, "--size", pool)
        for line, (held,) in ((line, columns.values()) for line, columns in small.items()):
            figures[line]["dynet least pool"] = held
    return figures


def main() -> None:
    parser = side_by_side.options(__doc__, repeats=1)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    chosen = parser.parse_args()
    python = side_by_side.available(chosen).get("dynet")
    figures: Figures = {}
    for task in chosen.tasks:
        for batch in BATCHES:
            figures |= figures_of(task, batch, python, chosen)
    print(side_by_side.table(figures, "megabytes", digits=1))
    side_by_side.keep(chosen, figures)


if __name__ == "__main__":
    main()
