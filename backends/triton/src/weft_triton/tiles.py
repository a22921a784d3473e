"""Tiles of matrix products: how they find their columns, and read them in the widest words that memory allows.

The columns of a product are counted through all rows of an instruction. A tile is `ALIGNED` where all columns begin on
16 bytes, which lowering knows: a load then moves four floats, and takes fewer registers.
Triton forgets what is promised of the result of a call: promises are made where a number is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import triton
import triton.language as tl

from .dots import dot
from .lowering import LARGE, MOST_ROWS, STREAM
from .specialised import specialised

# Floats of the widest load.
WIDE = 4


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
class Tile:
    """Rows and columns of the result of one tile, and how much it sums at a time; the kernel that runs it."""

    rows: int
    columns: int
    depth: int
    kernel: int = STREAM

    def count(self, rows: int, columns: int) -> int:
        """Tiles of a matrix of this size."""
        return tiles_of(rows, self.rows) * tiles_of(columns, self.columns)

    def opcode(self, body: Any, *more: int) -> Any:
        """The opcode `body(..., rows, columns, depth, *more)`."""
        return specialised(body, self.rows, self.columns, self.depth, *map(int, more))


# Tiles for few columns, for more, and for products that fill the device; what is not aligned takes more registers.
NARROW = {True: Tile(64, 16, 32), False: Tile(32, 16, 32)}
MEDIUM = {True: Tile(32, 64, 32), False: Tile(32, 32, 16)}
LARGE_TILE = {True: Tile(64, 128, 32, LARGE), False: Tile(64, 64, 16, LARGE)}
# Columns from which each of them runs.
NARROW_FROM, MEDIUM_FROM, LARGE_FROM = 0, 17, 128


def tiles_by_columns(
    aligned: bool, columns: int, large: bool, narrow: bool = True
) -> Iterator[tuple[Tile, dict[str, int]]]:
    """The tiles that a step may need, whose rows have so many columns, and when and where each runs.

    `large`, `narrow`: whether these may be among them.
    """
    forms = [(MEDIUM[aligned], MEDIUM_FROM if narrow else 0)]
    forms = [(NARROW[aligned], NARROW_FROM), *forms] if narrow else forms
    forms = [*forms, (LARGE_TILE[aligned], LARGE_FROM)] if large else forms
    limits = [*(tiles_of(first, columns) for _, first in forms), MOST_ROWS + 1]
    for (tile, _), least, end in zip(forms, limits, limits[1:]):
        if least < end:
            yield tile, {"least": least, "most": end - 1, "kernel": tile.kernel}


def tiles_of(extent: int, tile: int) -> int:
    """How many tiles cover it."""
    return -(-extent // tile)


def worth_a_launch(rows: int, inner: int) -> bool:
    """Whether products of matrices of this size with many columns run in the kernel for large products."""
    return min(rows, inner) >= 64 and rows * inner >= 1 << 14
