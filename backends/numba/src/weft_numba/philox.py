"""Philox4x32-10 in compiled code (Salmon et al. 2011: "Parallel random numbers: as easy as 1, 2, 3").

The number at an element of a node depends on seed, graph, node and element only. Block `element // 4` gives
four words: counter (block, node, low and high half of graph), key (low and high half of seed).
`weft_core.philox` is the same stream in NumPy.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .cache import cached_njit
from .pointers import floats

# All uint64: numba makes a float64 of uint64 and int64 together.
MASK = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)
MULTIPLIER_0, MULTIPLIER_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
WEYL_0, WEYL_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
UNIFORM_SHIFT, UNIFORM_SCALE = np.uint64(8), np.float32(2.0**-24)
TURN = 2.0 * math.pi * 2.0**-32


@cached_njit(forceinline=True)
def philox_uint32(seed: Any, c0: Any, c1: Any, c2: Any, c3: Any) -> Any:
    """Four 32-bit words, as uint64, from a 64-bit key and a counter of four 32-bit words."""
    key_0, key_1 = np.uint64(seed) & MASK, np.uint64(seed) >> HALF
    c0, c1, c2, c3 = np.uint64(c0) & MASK, np.uint64(c1) & MASK, np.uint64(c2) & MASK, np.uint64(c3) & MASK
    for _ in range(10):
        product_0, product_1 = MULTIPLIER_0 * c0, MULTIPLIER_1 * c2
        c0, c2 = (product_1 >> HALF) ^ c1 ^ key_0, (product_0 >> HALF) ^ c3 ^ key_1
        c1, c3 = product_1 & MASK, product_0 & MASK
        key_0, key_1 = (key_0 + WEYL_0) & MASK, (key_1 + WEYL_1) & MASK
    return c0, c1, c2, c3


@cached_njit(forceinline=True)
def _uniform_block(seed: Any, graph: Any, node: Any, block: Any) -> Any:
    w0, w1, w2, w3 = philox_uint32(seed, block, node, graph, np.uint64(graph) >> HALF)
    return (
        np.float32(np.int64(w0 >> UNIFORM_SHIFT)) * UNIFORM_SCALE,
        np.float32(np.int64(w1 >> UNIFORM_SHIFT)) * UNIFORM_SCALE,
        np.float32(np.int64(w2 >> UNIFORM_SHIFT)) * UNIFORM_SCALE,
        np.float32(np.int64(w3 >> UNIFORM_SHIFT)) * UNIFORM_SCALE,
    )


@cached_njit(forceinline=True)
def _normal_pair(first: Any, second: Any) -> Any:
    """Box-Muller: two independent normals from two words; 1 added to the first, as log(0) is no number."""
    radius = math.sqrt(-2.0 * math.log((np.float64(np.int64(first)) + 1.0) * 2.0**-32))
    angle = np.float64(np.int64(second)) * TURN
    return np.float32(radius * math.cos(angle)), np.float32(radius * math.sin(angle))


@cached_njit
def _normal_block(seed: Any, graph: Any, node: Any, block: Any) -> Any:
    w0, w1, w2, w3 = philox_uint32(seed, block, node, graph, np.uint64(graph) >> HALF)
    n0, n1 = _normal_pair(w0, w1)
    n2, n3 = _normal_pair(w2, w3)
    return n0, n1, n2, n3


@cached_njit(forceinline=True)
def _element_of(block: Any, position: Any) -> Any:
    first = block[0] if position == 0 else block[1]
    second = block[2] if position == 2 else block[3]
    return first if position < 2 else second


@cached_njit
def uniform(seed: Any, graph: Any, node: Any, element: Any) -> Any:
    """The uniform float32 in [0, 1) of one element: 24 random bits."""
    return _element_of(_uniform_block(seed, graph, node, element // 4), element % 4)


@cached_njit
def normal(seed: Any, graph: Any, node: Any, element: Any) -> Any:
    """The standard normal float32 of one element."""
    return _element_of(_normal_block(seed, graph, node, element // 4), element % 4)


@cached_njit
def fill_uniform(seed: Any, graph: Any, node: Any, n: Any, dst_address: Any) -> Any:
    """Write elements 0 to n - 1 of a node's uniform numbers."""
    dst = floats(dst_address)
    for block in range(n // 4):
        numbers = _uniform_block(seed, graph, node, block)
        dst[4 * block], dst[4 * block + 1] = numbers[0], numbers[1]
        dst[4 * block + 2], dst[4 * block + 3] = numbers[2], numbers[3]
    for element in range(n // 4 * 4, n):
        dst[element] = uniform(seed, graph, node, element)


@cached_njit
def fill_normal(seed: Any, graph: Any, node: Any, n: Any, dst_address: Any) -> Any:
    """Write elements 0 to n - 1 of a node's standard normal numbers."""
    dst = floats(dst_address)
    for block in range(n // 4):
        numbers = _normal_block(seed, graph, node, block)
        dst[4 * block], dst[4 * block + 1] = numbers[0], numbers[1]
        dst[4 * block + 2], dst[4 * block + 3] = numbers[2], numbers[3]
    for element in range(n // 4 * 4, n):
        dst[element] = normal(seed, graph, node, element)
