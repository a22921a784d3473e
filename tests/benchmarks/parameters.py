"""Initial parameters of the tasks: Glorot-uniform by DyNet's conventions, biases of cells zero.

Matrices are {rows, columns} as in DyNet; the gates of an LSTM are rows i, f, o, g; those of a tree cell i,
o, u, with the two forget gates apart. The forget bias of +1 is part of the equations and not of the stored
bias.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

EMBEDDING, LM_HIDDEN, TAG_HIDDEN, MLP = 128, 256, 50, 32
CHARACTER_EMBEDDING, CHARACTER_HIDDEN, TREE_HIDDEN = 20, 64, 128

Array = npt.NDArray[np.float32]


def initial_parameters(task: str, data: Mapping[str, npt.NDArray[Any]], seed: int) -> dict[str, Array]:
    """The parameters of `task` ("lm", "tagger", "chars", "tree" or "nary") by name."""
    rng = np.random.default_rng(seed)
    words = int(data["vocabulary"])
    parameters = {"embedding": glorot(rng, words, EMBEDDING)}
    if task == "lm":
        parameters |= lstm(rng, "lstm", EMBEDDING, LM_HIDDEN)
        parameters |= {"output": glorot(rng, words, LM_HIDDEN), "output_bias": glorot(rng, words)}
        return parameters
    labels = int(data["labels"])
    if task in ("tree", "nary"):
        read = TREE_HIDDEN if task == "tree" else 2 * TREE_HIDDEN
        parameters |= {
            "leaf": np.concatenate([glorot(rng, TREE_HIDDEN, EMBEDDING) for _ in "iou"]),
            "inner": np.concatenate([glorot(rng, TREE_HIDDEN, 2 * TREE_HIDDEN) for _ in "iou"]),
            "forget_left": glorot(rng, TREE_HIDDEN, read),
            "forget_right": glorot(rng, TREE_HIDDEN, read),
            "bias": np.zeros(3 * TREE_HIDDEN, np.float32),
            "forget_bias": np.zeros(TREE_HIDDEN, np.float32),
            "output": glorot(rng, labels, TREE_HIDDEN),
        }
        return parameters
    parameters |= lstm(rng, "forward", EMBEDDING, TAG_HIDDEN) | lstm(rng, "backward", EMBEDDING, TAG_HIDDEN)
    parameters |= {"hidden": glorot(rng, MLP, 2 * TAG_HIDDEN), "output": glorot(rng, labels, MLP)}
    if task == "chars":
        parameters["characters"] = glorot(rng, int(data["characters"]), CHARACTER_EMBEDDING)
        parameters |= lstm(rng, "character_forward", CHARACTER_EMBEDDING, CHARACTER_HIDDEN)
        parameters |= lstm(rng, "character_backward", CHARACTER_EMBEDDING, CHARACTER_HIDDEN)
    return parameters


def glorot(rng: np.random.Generator, *shape: int) -> Array:
    """U(-a, a) with a = sqrt(3 n / sum of sizes) for n dimensions (Glorot and Bengio, 2010)."""
    bound = np.sqrt(3.0 * len(shape) / sum(shape))
    return rng.uniform(-bound, bound, size=shape).astype(np.float32)


def lstm(rng: np.random.Generator, name: str, inputs: int, hidden: int) -> dict[str, Array]:
    """`<name>_x` {4H, I}, `<name>_h` {4H, H} and `<name>_b` {4H}."""
    return {
        f"{name}_x": glorot(rng, 4 * hidden, inputs),
        f"{name}_h": glorot(rng, 4 * hidden, hidden),
        f"{name}_b": np.zeros(4 * hidden, np.float32),
    }
