"""Floats as whole numbers in the same order, so that the largest is found without a case for each special number."""

from __future__ import annotations

import triton
import triton.language as tl

# Below the number of every float, and above.
LEAST = tl.constexpr(-(1 << 31))
MOST = tl.constexpr((1 << 31) - 1)


@triton.jit
def ordered(x):
    """A whole number for each float: larger for larger ones, equal for both zeros, largest for NaN."""
    bits = tl.where(x == 0.0, 0.0, x).to(tl.int32, bitcast=True)
    return tl.where(x == x, tl.where(bits < 0, bits ^ MOST, bits), MOST)


@triton.jit
def first_largest(numbers, k, largest, position, AXIS: tl.constexpr):
    """The largest whole number of each line and where it stands first, after one more chunk; `k`: its positions."""
    best = tl.max(numbers, AXIS)
    first = tl.min(tl.where(numbers == tl.expand_dims(best, AXIS), k, MOST), AXIS)
    return tl.maximum(largest, best), tl.where(best > largest, first, position)
