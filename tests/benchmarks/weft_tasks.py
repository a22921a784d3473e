"""One run of one task in Weft: `weft_tasks.py --data FOLDER --task tagger --mode vanilla --batch 64`.

The programs are those of DyNet (`programs.py`), word for word; only the tree has one more, through Weft's
builder. Modes: `vanilla`, `compact`, for the language model also `vanilla-single`; on trees `gates`,
`fused`, and `builder` for the task `nary`, whose equations the builder has.
"""

from __future__ import annotations

from typing import Any

import measure
import numpy as np
import programs
from examples import Data, Example, load

import weft as dy

MODES = ("vanilla", "compact", "vanilla-single", "compact-single", "builder", "gates", "fused")
BUILDERS = {"vanilla": "VanillaLSTMBuilder", "compact": "CompactVanillaLSTMBuilder"}


class BuilderTree(programs.TreeClassifier):
    """The tree classifier through `NaryTreeLSTMBuilder`: one recorded instruction a node."""

    def create(self) -> None:
        self.cell = tree_builder(self.collection, self.data)
        self.output = self.parameter("output")

    def losses(self, example: Example) -> list[Any]:
        states: list[Any] = []
        for word, left, right in zip(example.words, example.left, example.right, strict=True):
            if left < 0:
                states.append(self.cell.leaf(self.embedding[word]))
            else:
                states.append(self.cell.compose([states[left], states[right]]))
        return [
            dy.pickneglogsoftmax(self.output * state.h, label)
            for state, label in zip(states, example.tags, strict=True)
        ]


def tree_builder(collection: Any, data: Data) -> Any:
    """Weft's binary tree builder, loaded: leaf {3H, I}, inner {5H, 2H}, biases {3H} and {H}."""
    arrays = data.parameters
    inputs, hidden = arrays["leaf"].shape[1], arrays["forget_bias"].shape[0]
    builder = dy.NaryTreeLSTMBuilder(2, inputs, hidden, collection)
    inner = np.concatenate([arrays[name] for name in ("inner", "forget_left", "forget_right")])
    values = (arrays["leaf"], inner, arrays["bias"], arrays["forget_bias"])
    for parameter, value in zip(builder.get_parameters(), values, strict=True):
        parameter.set_value(value)
    return builder


def program(task: str, mode: str) -> Any:
    """The program class of a task in a mode."""
    if task in ("tree", "nary"):
        trees = {"builder": BuilderTree, "gates": programs.GatewiseTree, "fused": programs.FusedTree}
        return trees[mode]
    if task == "lm":
        return programs.LanguageModel if mode.endswith("-single") else programs.BatchedLanguageModel
    return programs.Tagger if task == "tagger" else programs.CharacterTagger


def main() -> None:
    chosen = measure.settings(MODES)
    data = load(chosen.data, chosen.task)
    builder = BUILDERS.get(chosen.mode.split("-")[0], "VanillaLSTMBuilder")
    instance = program(chosen.task, chosen.mode)(dy, data, builder, chosen.update == "sparse")
    measure.run("weft", instance, data, chosen)


if __name__ == "__main__":
    main()
