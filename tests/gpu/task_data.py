"""The tasks' data in other sizes: with any hidden size, and tiny ones that interpreted kernels can train on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import data
import examples
import numpy as np
import parameters

SEED = 20261121
# Hidden sizes of the stored parameters (the DyNet paper's); characters and embeddings keep theirs.
STORED = {"lm": parameters.LM_HIDDEN, "tagger": parameters.TAG_HIDDEN, "chars": parameters.TAG_HIDDEN,
          "tree": parameters.TREE_HIDDEN}  # fmt: skip
EXAMPLES, WORDS, LABELS, CHARACTERS = 24, 12, 3, 6


def sized(folder: Path, task: str, hidden: int) -> examples.Data:
    """The data of a task, with parameters for this hidden size; 0 means those that are stored."""
    loaded = examples.load(folder, task)
    if not hidden or hidden == STORED[task]:
        return loaded
    with np.load(folder / f"{task}.npz") as file:
        arrays = dict(file)
    with mock.patch.multiple(parameters, LM_HIDDEN=hidden, TAG_HIDDEN=hidden, TREE_HIDDEN=hidden):
        return replace(loaded, parameters=parameters.initial_parameters(task, arrays, SEED))


def write_tiny(folder: Path) -> None:
    """All tasks in the form of `data.prepare`: sentences of two or three words, trees of two or three leaves."""
    rng = np.random.default_rng(SEED)
    lengths = rng.integers(2, 4, EXAMPLES)
    sentences = [rng.integers(0, WORDS, n).tolist() for n in lengths]
    tags = [rng.integers(0, LABELS, n).tolist() for n in lengths]
    spelling = [[0, *rng.integers(1, CHARACTERS, 2).tolist(), 0] for _ in range(WORDS)]
    flat = data._flat(sentences, "words")
    tagging = {
        **flat, "tags": data._flat(tags, "tags")["tags"], **data._flat(spelling, "letters"),
        "rare": np.arange(WORDS) >= WORDS - 2, "vocabulary": np.array(WORDS), "characters": np.array(CHARACTERS),
        "labels": np.array(LABELS),
    }  # fmt: skip
    made = {"lm": {**flat, "vocabulary": np.array(WORDS)}, "tagger": tagging, "chars": tagging, "tree": _trees(rng)}
    # Words are as long as what two directions over the characters give.
    sizes: Any = {"EMBEDDING": 4, "LM_HIDDEN": 4, "TAG_HIDDEN": 4, "TREE_HIDDEN": 4, "MLP": 4, "CHARACTER_EMBEDDING": 4,
             "CHARACTER_HIDDEN": 2}  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    with mock.patch.multiple(parameters, **sizes):
        for task, arrays in made.items():
            np.savez(folder / f"{task}.npz", allow_pickle=False, **arrays)
            initial = parameters.initial_parameters(task, arrays, SEED)
            np.savez(folder / f"{task}-parameters.npz", allow_pickle=False, **initial)


def _trees(rng: np.random.Generator) -> data.Arrays:
    """((a b) c) or (a b), in post-order."""
    shapes = {2: ([0, 0, -1], [-1, -1, 0], [-1, -1, 1]), 3: ([0, 0, -1, 0, -1], [-1, -1, 0, -1, 2], [-1, -1, 1, -1, 3])}
    chosen = [shapes[int(n)] for n in rng.integers(2, 4, EXAMPLES)]
    words = [[w if w < 0 else int(rng.integers(WORDS)) for w in tree[0]] for tree in chosen]
    tags = [rng.integers(0, LABELS, len(tree[0])).tolist() for tree in chosen]
    return {
        **data._flat(words, "words"),
        "left": data._flat([tree[1] for tree in chosen], "left")["left"],
        "right": data._flat([tree[2] for tree in chosen], "right")["right"],
        "tags": data._flat(tags, "tags")["tags"],
        "vocabulary": np.array(WORDS), "labels": np.array(LABELS),
    }  # fmt: skip
