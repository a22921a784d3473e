"""Nodes, steps and native calls of Weft's graphs, task by task: numbers without a clock.

    python counts.py

For the first group of 8 examples: instructions recorded (nodes) and distinct kinds of them (types), steps of the plans
of forward and backward, and native calls; with the plain programs and with cells.
"""

from __future__ import annotations

import data
import side_by_side
import weft_tasks
from examples import load
from side_by_side import Figures

TASKS = {"lm": ("cells", "vanilla-single"), "tagger": ("cells", "vanilla"), "chars": ("cells", "vanilla")}
TREES = {"tree": ("cells", "gates"), "nary": ("cells", "gates")}
BATCH = 8


def counted(task: str, mode: str) -> dict[str, float]:
    """The counts of one graph; a second one, as the first may grow arrays."""
    examples = load(data.cache_folder(), task)
    program = weft_tasks.program(examples, mode)
    group = next(examples.groups(BATCH))
    for _ in range(2):
        loss = program.build(group)
        before = loss.graph.execution.counts()["calls"]
        program.forward(loss)
        forward = loss.graph.execution.counts()
        program.backward(loss)
        backward = loss.graph.execution.counts()
    return {
        "nodes": forward["nodes"],
        "types": forward["types"],
        "steps": forward["steps"],
        "calls forward": forward["calls"] - before,
        "calls backward": backward["calls"] - forward["calls"],
        "words or tree nodes": sum(len(example.words) for example in group),
    }


def main() -> None:
    chosen = side_by_side.options(__doc__, repeats=1).parse_args()
    data.prepare(data.cache_folder())
    figures: Figures = {
        f"{task}, {mode}": counted(task, mode) for task, modes in (TASKS | TREES).items() for mode in modes
    }
    print(side_by_side.table(figures, f"{BATCH} examples a graph", ratios=False))
    kept = {f"{line}, {name}": {"weft": count} for line, counts in figures.items() for name, count in counts.items()}
    side_by_side.keep(chosen, kept)


if __name__ == "__main__":
    main()
