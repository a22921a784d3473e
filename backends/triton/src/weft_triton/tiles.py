"""Tiles of matrix products: how they find their columns, and read them in the widest words that memory allows.

The columns of a product are counted through all rows of an instruction. Rows of a view may begin anywhere, because a
value may be a part of another one. Where all begin on 16 bytes, and columns are as long, a tile is computed with
`ALIGNED`: a load then moves four floats, and takes fewer registers. Elsewhere the tile is cut into smaller ones.
Triton forgets what is promised of the result of a call: promises are made where a number is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import triton
import triton.language as tl

from .dots import dot
from .lowering import LARGE, MOST_ROWS

# Floats of the widest load.
WIDE = 4
# Row offsets that are looked at together.
_LOOKED_AT = tl.constexpr(1024)


@triton.jit
def aligned(bases, words, at, k, first, end):
    """Whether rows `first` to `end` of view `k` begin on 16 bytes."""
    view = words + at + 8 + 4 * k
    bits = (tl.load(bases + tl.load(view)) & 15).to(tl.int32) | (tl.load(view + 2) & 3)
    place = tl.load(view + 1)
    if place >= 0:
        for begin in range(first, end, _LOOKED_AT):
            r = begin + tl.arange(0, _LOOKED_AT)
            bits |= tl.max(tl.load(words + place + r, mask=r < end, other=0) & 3, 0)
    return bits == 0


@triton.jit
def memory(bases, words, at, k, ALIGNED: tl.constexpr):
    """The float32 pointer that row offsets of view `k` are added to."""
    pointer = tl.load(bases + tl.load(words + at + 8 + 4 * k)).to(tl.pointer_type(tl.float32))
    shift = tl.load(words + at + 8 + 4 * k + 2)
    if ALIGNED:
        pointer = tl.multiple_of(pointer, 16)
        shift = tl.multiple_of(shift, 4)
    return pointer + shift


@triton.jit
def size(words, at, tables, k, ALIGNED: tl.constexpr):
    """Constant `k` of the work, by which columns lie apart."""
    number = tl.load(tables + tl.load(words + at + 4) + k)
    if ALIGNED:
        number = tl.multiple_of(number, 4)
    return number


@triton.jit
def starts_of(words, at, k, row, shift, inside, ALIGNED: tl.constexpr):
    """Where columns begin that are `shift` floats behind the start of their rows of view `k`."""
    place = tl.load(words + at + 8 + 4 * k + 1)
    starts = tl.load(words + place + row, mask=inside & (place >= 0), other=0) + shift
    if ALIGNED:
        starts = tl.multiple_of(starts, 4)
    return starts


@triton.jit
def multiply(
    total, a, i, i_step, t_step, i_mask, b, starts, inside, begin, end, length, K: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """total[i, j] += sum over t from begin to end of a[i, t] b[t, j]: a matrix, and columns that start anywhere.

    One of the steps of `a` is the literal number 1. `length` is what there is along t; `end` is that, or multiples of K
    behind `begin`.
    """
    for first in range(begin, end, K):
        t = first + tl.arange(0, K)
        there = t < length
        left = tl.load(
            a + (i[:, None] * i_step + t[None, :] * t_step), mask=i_mask[:, None] & there[None, :], other=0.0
        )
        right = tl.load(b + (starts[None, :] + t[:, None]), mask=there[:, None] & inside[None, :], other=0.0)
        total = dot(left, right, total, PRECISION)
    return total


@dataclass(frozen=True)
class Variant:
    """One body of a product for tiles of `rows` times `columns`, from so many columns of a step on."""

    body: Any
    rows: int
    columns: int
    least_columns: int = 0
    kernel: int = 0


def by_columns(variants: Sequence[Variant], columns: int) -> Iterator[tuple[Variant, dict[str, int]]]:
    """Each variant that a step may need, whose rows have so many columns, and when and where it runs."""
    limits = [-(-v.least_columns // columns) for v in variants] + [MOST_ROWS + 1]
    for variant, least, end in zip(variants, limits, limits[1:]):
        if least < end:
            yield variant, {"least": least, "most": end - 1, "kernel": variant.kernel}


def tiles_of(extent: int, tile: int) -> int:
    """How many tiles cover it."""
    return -(-extent // tile)


def worth_a_launch(rows: int, inner: int) -> bool:
    """Whether products of matrices of this size with many columns run in the kernel for large products."""
    return min(rows, inner) >= 64 and rows * inner >= 1 << 14


__all__ = [
    "LARGE", "WIDE", "Variant", "aligned", "by_columns", "memory", "multiply", "size", "starts_of", "tiles_of",
    "worth_a_launch",
]  # fmt: skip
