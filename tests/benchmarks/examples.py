"""Reading the data files back: the same examples in the same groups for every peer (Python 3.8, NumPy 1.24 and later)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List

import numpy as np

TASKS = ("lm", "tagger", "chars", "tree", "nary")


@dataclass(frozen=True)
class Example:
    """A sentence (`tags` empty for the language model) or a tree in post-order (`left`, `right` are -1 at leaves)."""

    words: List[int]
    tags: List[int]
    left: List[int]
    right: List[int]


@dataclass(frozen=True)
class Data:
    """All examples of a task, its initial parameters, and for the characters the spelling of rare words."""

    task: str
    examples: List[Example]
    parameters: Dict[str, Any]
    spelling: Dict[int, List[int]]

    def groups(self, batch: int) -> Iterator[List[Example]]:
        """Groups of `batch` examples for one graph each, for ever; those of the language model are of like length."""
        examples = self.examples
        if self.task == "lm":
            examples = sorted(examples, key=lambda example: -len(example.words))
        groups = [examples[i : i + batch] for i in range(0, len(examples) - batch + 1, batch)]
        if self.task == "lm":
            groups = [groups[i] for i in np.random.RandomState(0).permutation(len(groups))]
        return itertools.cycle(groups)

    def multiply_adds(self) -> float:
        """Multiply-adds of all matrix products of a forward pass, per word or tree node, on average."""
        words = sum(len(example.words) for example in self.examples)
        uses = {name: 1.0 for name in self.parameters if self.parameters[name].ndim == 2}
        for name in ("embedding", "characters"):
            uses.pop(name, None)
        if "leaf" in uses:
            leaves = sum(child < 0 for example in self.examples for child in example.left) / words
            uses.update(leaf=leaves, inner=1.0 - leaves, forget_left=1.0 - leaves, forget_right=1.0 - leaves)
        letters = sum(len(self.spelling.get(word, ())) for example in self.examples for word in example.words)
        uses.update({name: letters / words for name in uses if name.startswith("character_")})
        return sum(count * self.parameters[name].size for name, count in uses.items())


def load(folder: Path, task: str) -> Data:
    """The data of `task` as `data.prepare` wrote them into `folder`."""
    with np.load(folder / f"{task}.npz") as file:
        arrays = dict(file)
    with np.load(folder / f"{task}-parameters.npz") as file:
        parameters = dict(file)
    starts = arrays["words_starts"].tolist()
    columns = [arrays[name].tolist() if name in arrays else [] for name in ("words", "tags", "left", "right")]
    examples = [Example(*(column[a:b] for column in columns)) for a, b in zip(starts[:-1], starts[1:])]
    return Data(task, examples, parameters, _spelling(arrays) if task == "chars" else {})


def _spelling(arrays: Dict[str, Any]) -> Dict[int, List[int]]:
    starts = arrays["letters_starts"].tolist()
    letters = arrays["letters"].tolist()
    return {word: letters[starts[word] : starts[word + 1]] for word in np.flatnonzero(arrays["rare"]).tolist()}
