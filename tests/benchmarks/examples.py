"""Reading the data back: the same examples in the same groups for every peer (Python 3.8 and later)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

TASKS = ("lm", "tagger", "chars", "tree", "nary")


@dataclass(frozen=True)
class Example:
    """A sentence (`tags` only for taggers), or a tree in post-order (`left` and `right` of leaves are -1)."""

    words: list[int]
    tags: list[int]
    left: list[int]
    right: list[int]


@dataclass(frozen=True)
class Data:
    """All examples of a task, its initial parameters, and for the characters the spelling of rare words."""

    task: str
    examples: list[Example]
    parameters: dict[str, Any]
    spelling: dict[int, list[int]]

    def groups(self, batch: int) -> Iterator[list[Example]]:
        """Groups of `batch` examples, one graph each, for ever; a language model's are of like length."""
        examples = self.examples
        if self.task == "lm":
            examples = sorted(examples, key=lambda example: -len(example.words))
        groups = [examples[i : i + batch] for i in range(0, len(examples) - batch + 1, batch)]
        if self.task == "lm":
            groups = [groups[i] for i in np.random.RandomState(0).permutation(len(groups))]
        return itertools.cycle(groups)

    def uses(self) -> dict[str, float]:
        """How often each matrix is multiplied by a vector in a forward pass, per word or tree node, on average."""
        words = sum(len(example.words) for example in self.examples)
        uses = {name: 1.0 for name in self.parameters if self.parameters[name].ndim == 2}
        for name in ("embedding", "characters"):
            uses.pop(name, None)
        if "leaf" in uses:
            leaves = sum(child < 0 for example in self.examples for child in example.left) / words
            uses.update(leaf=leaves, inner=1.0 - leaves, forget_left=1.0 - leaves, forget_right=1.0 - leaves)
        letters = sum(len(self.spelling.get(word, ())) for example in self.examples for word in example.words)
        uses.update({name: letters / words for name in uses if name.startswith("character_")})
        return uses

    def multiply_adds(self) -> float:
        """Multiply-adds of all matrix products of a forward pass, per word or tree node, on average."""
        return float(sum(count * self.parameters[name].size for name, count in self.uses().items()))


def load(folder: Path, task: str) -> Data:
    """The data of `task` as `data.prepare` wrote them into `folder`."""
    with np.load(folder / f"{task}.npz") as file:
        arrays = dict(file)
    with np.load(folder / f"{task}-parameters.npz") as file:
        parameters = dict(file)
    starts = arrays["words_starts"].tolist()
    columns = [arrays[name].tolist() if name in arrays else [] for name in ("words", "tags", "left", "right")]
    slices = [slice(a, b) for a, b in zip(starts[:-1], starts[1:])]  # noqa: RUF007 (pairwise needs Python 3.10)
    examples = [Example(*(column[part] for column in columns)) for part in slices]
    return Data(task, examples, parameters, _spelling(arrays) if task == "chars" else {})


def _spelling(arrays: dict[str, Any]) -> dict[int, list[int]]:
    starts = arrays["letters_starts"].tolist()
    letters = arrays["letters"].tolist()
    rare = np.flatnonzero(arrays["rare"]).tolist()
    return {word: letters[starts[word] : starts[word + 1]] for word in rare}
