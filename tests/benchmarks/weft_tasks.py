"""One run of one task in Weft: `weft_tasks.py --data FOLDER --task tagger --mode vanilla --batch 64`.

The programs are those of DyNet (`programs.py`), word for word; only the tree has one more, with its cells as
gated operations. Modes: `vanilla`, `compact`, for the language model also `vanilla-single`; on trees `gates`,
`fused` and `cells`.
"""

from __future__ import annotations

from typing import Any

import measure
import programs
from examples import load

import weft as dy
from weft_builders import cells

MODES = ("vanilla", "compact", "vanilla-single", "compact-single", "cells", "gates", "fused")
MODES += tuple(f"{mode}-unbatched" for mode in MODES)
BUILDERS = {"vanilla": "VanillaLSTMBuilder", "compact": "CompactVanillaLSTMBuilder"}


# The inner node with both forget gates' results as states: no sum in between.
inner_unit = dy.gated(
    "benchmark_inner",
    gates="i o u",
    states="left right",
    results="h c",
    forward="""
        i = logistic(i)
        o = logistic(o)
        u = tanh(u)
        c = i * u + left + right
        h = o * tanh(c)""",
    backward="""
        t = tanh(c)
        total = dc + dh * o * (1 - t * t)
        di = total * u * i * (1 - i)
        do = dh * t * o * (1 - o)
        du = total * i * (1 - u * u)
        dleft = total
        dright = total""",
)


class CellTree(programs.TreeClassifier):
    """The tree classifier with its cells as gated operations: one instruction a leaf, four an inner node."""

    def create(self) -> None:
        super().create()
        self.leaf_weight, self.inner_weight = self.parameter("leaf"), self.parameter("inner")
        self.bias = self.parameter("bias")
        self.leaf_cell = dy.Cell(lambda word: cells.tree_leaf([(self.leaf_weight, word)], self.bias))
        self.inner_cell = dy.Cell(self.compose)

    def leaf(self, word: Any) -> tuple[Any, Any]:
        h, c = self.leaf_cell(word)
        return h, c

    def inner(self, left: tuple[Any, Any], right: tuple[Any, Any]) -> tuple[Any, Any]:
        h, c = self.inner_cell(*left, *right)
        return h, c

    def compose(self, left_h: Any, left_c: Any, right_h: Any, right_c: Any) -> tuple[Any, ...]:
        both = dy.concatenate([left_h, right_h])
        reads = (both, both) if self.data.task == "nary" else (left_h, right_h)
        (left,) = cells.child_memory([(self.forget_left, reads[0])], self.forget_bias, [left_c])
        (right,) = cells.child_memory([(self.forget_right, reads[1])], self.forget_bias, [right_c])
        return inner_unit([(self.inner_weight, both)], self.bias, [left, right])


def program(task: str, mode: str) -> Any:
    """The program class of a task in a mode."""
    if task in ("tree", "nary"):
        trees = {"cells": CellTree, "gates": programs.GatewiseTree, "fused": programs.FusedTree}
        return trees[mode]
    if task == "lm":
        return programs.LanguageModel if mode.endswith("-single") else programs.BatchedLanguageModel
    return programs.Tagger if task == "tagger" else programs.CharacterTagger


def main() -> None:
    chosen = measure.settings(MODES)
    data = load(chosen.data, chosen.task)
    builder = BUILDERS.get(chosen.mode.split("-")[0], "VanillaLSTMBuilder")
    if chosen.mode.endswith("-unbatched"):
        dy.init(autobatch=False)
    mode = chosen.mode.removesuffix("-unbatched")
    instance = program(chosen.task, mode)(dy, data, builder, chosen.update == "sparse")
    measure.run("weft", instance, data, chosen)


if __name__ == "__main__":
    main()
