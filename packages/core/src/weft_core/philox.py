"""Philox4x32-10 (Salmon et al. 2011: "Parallel random numbers: as easy as 1, 2, 3") in NumPy.

Counter-based: a random number is a function of seed, graph, node and element, and of nothing else, so masks
and noise do not depend on the batching order, on the backend or on a resume. Block `element // 4` gives four
words: counter (block, node, low and high half of graph), key (low and high half of seed).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MASK = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)

Words = NDArray[np.uint64]


def _word(number: int) -> np.uint64:
    return np.uint64(number & 0xFFFFFFFF)


def philox_uint32(
    seed: int, c0: Words, c1: Words | np.uint64, c2: Words | np.uint64, c3: Words | np.uint64
) -> tuple[Words, Words, Words, Words]:
    """Four 32-bit words, as uint64, for each counter (c0, c1, c2, c3); arrays or single words."""
    key_0, key_1 = _word(seed), _word(seed >> 32)
    shape = np.broadcast_shapes(*(np.shape(c) for c in (c0, c1, c2, c3)))
    x0, x1, x2, x3 = (np.broadcast_to(np.asarray(c, np.uint64), shape) for c in (c0, c1, c2, c3))
    for _ in range(10):
        product_0, product_1 = _MULTIPLIERS[0] * x0, _MULTIPLIERS[1] * x2
        x0, x2 = (product_1 >> _HALF) ^ x1 ^ key_0, (product_0 >> _HALF) ^ x3 ^ key_1
        x1, x3 = product_1 & _MASK, product_0 & _MASK
        key_0, key_1 = (key_0 + _WEYL[0]) & _MASK, (key_1 + _WEYL[1]) & _MASK
    return x0, x1, x2, x3


def _blocks(seed: int, graph: int, node: int, n: int) -> Words:
    """Words of blocks 0 to (n + 3) // 4 - 1: one row of four for each block."""
    blocks = np.arange((n + 3) // 4, dtype=np.uint64) & _MASK
    return np.stack(philox_uint32(seed, blocks, _word(node), _word(graph), _word(graph >> 32)), axis=1)


def uniform(seed: int, graph: int, node: int, n: int) -> NDArray[np.float32]:
    """Elements 0 to n - 1 of a node's uniform numbers in [0, 1): 24 random bits each, shape (n,)."""
    words = _blocks(seed, graph, node, n).reshape(-1)[:n]
    return (words >> np.uint64(8)).astype(np.float32) * np.float32(2.0**-24)


def normal(seed: int, graph: int, node: int, n: int) -> NDArray[np.float32]:
    """Elements 0 to n - 1 of a node's standard normal numbers, shape (n,), by Box and Muller (1958).

    Words (a, b) of a block give sqrt(-2 log u) (cos v, sin v) with u = (a + 1) / 2^32, v = 2 pi b / 2^32,
    in float64.
    """
    pairs = _blocks(seed, graph, node, n).reshape(-1, 2).astype(np.float64)
    radius = np.sqrt(-2.0 * np.log((pairs[:, 0] + 1.0) * 2.0**-32))
    angle = pairs[:, 1] * (2.0 * np.pi * 2.0**-32)
    both = np.stack((radius * np.cos(angle), radius * np.sin(angle)), axis=1)
    return both.reshape(-1)[:n].astype(np.float32)
