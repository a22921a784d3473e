"""Sums of products, c = sum over t of a_t b_t, of small matrices: a lane for each number, or a few that share its sum.

A number of the result has three indices: i, j and the example; each operand has a stride for each of them, and two for
what is summed over: t, and examples that share the number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import triton
import triton.language as tl

from .access import add, base, constant, row_offsets, rows, takes_gradient
from .lowering import Ref, Tiles
from .opcodes import opcode

# Terms up to which a lane has a sum of its own, and from which few sums share a tile.
FEW_TERMS, MANY_TERMS = 4, 1024


@dataclass(frozen=True)
class Strides:
    """How far apart numbers of an operand are: by example, i, j, t, and example that is summed over."""

    example: int
    i: int
    j: int
    t: int
    summed: int


@triton.jit
def operand(bases, words, at, tables, k, first, r, example, i, j, mask):
    """Where the terms of each sum begin in view `k`, whose strides are constants from `first` on."""
    place = row_offsets(words, at, k, r, mask) + example * constant(words, at, tables, first)
    place += i * constant(words, at, tables, first + 1) + j * constant(words, at, tables, first + 2)
    return base(bases, words, at, k) + place


@triton.jit
def terms(words, at, tables, first, example, t):
    """How far behind the first the terms are."""
    return t * constant(words, at, tables, first + 3) + example * constant(words, at, tables, first + 4)


@triton.jit
def sums(
    words, at, tile, bases, tables, SUMS: tl.constexpr, TERMS: tl.constexpr, ACROSS: tl.constexpr, ADDS: tl.constexpr
):
    """`SUMS` numbers of the result, `TERMS` terms at a time; views: result, both operands.

    Constants: extents of i, j and examples, of t and of examples to sum over; strides of both operands. `ACROSS`:
    numbers, not terms, lie side by side in memory.
    """
    i_size, j_size = constant(words, at, tables, 0), constant(words, at, tables, 1)
    t_size = constant(words, at, tables, 3)
    length = t_size * constant(words, at, tables, 4)
    per_row = i_size * j_size * constant(words, at, tables, 2)
    o = tile * SUMS + tl.arange(0, SUMS)
    mask = o < rows(words, at) * per_row
    r = o // per_row
    q = o - r * per_row
    example = q // (i_size * j_size)
    i = q % i_size
    j = q // i_size % j_size
    a = operand(bases, words, at, tables, 1, 5, r, example, i, j, mask)
    b = operand(bases, words, at, tables, 2, 10, r, example, i, j, mask)
    AXIS: tl.constexpr = 0 if ACROSS else 1
    a, b, there = tl.expand_dims(a, AXIS), tl.expand_dims(b, AXIS), tl.expand_dims(mask, AXIS)
    total = tl.zeros([TERMS, SUMS] if ACROSS else [SUMS, TERMS], tl.float32)
    for begin in range(0, length, TERMS):
        n = begin + tl.arange(0, TERMS)
        some = there & tl.expand_dims(n < length, 1 - AXIS)
        s = n // t_size
        t = n - s * t_size
        x = tl.load(a + tl.expand_dims(terms(words, at, tables, 5, s, t), 1 - AXIS), mask=some, other=0.0)
        y = tl.load(b + tl.expand_dims(terms(words, at, tables, 10, s, t), 1 - AXIS), mask=some, other=0.0)
        total += x * y
    found = tl.sum(total, AXIS)
    start = row_offsets(words, at, 0, r, mask)
    pointers = base(bases, words, at, 0) + start + q
    if ADDS:
        add(pointers, found, mask & takes_gradient(words, at, 0, start), words, at, 0)
    else:
        tl.store(pointers, found, mask=mask)


@opcode
def sums_few_stored(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    sums(words, at, tile, bases, tables, 1024, 1, False, False)


@opcode
def sums_stored(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    sums(words, at, tile, bases, tables, 64, 32, False, False)


@opcode
def sums_many_stored(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    sums(words, at, tile, bases, tables, 2, 1024, False, False)


@opcode
def sums_few_added(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    sums(words, at, tile, bases, tables, 1024, 1, False, True)


@opcode
def sums_added(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    sums(words, at, tile, bases, tables, 64, 32, False, True)


@opcode
def sums_many_added(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    sums(words, at, tile, bases, tables, 2, 1024, False, True)


@opcode
def sums_across_added(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    sums(words, at, tile, bases, tables, 64, 32, True, True)


_STORED = (sums_few_stored, 1024), (sums_stored, 64), (sums_many_stored, 2)
_ADDED = (sums_few_added, 1024), (sums_added, 64), (sums_many_added, 2)


def lower_sums(
    phase: Callable[..., None], views: Sequence[Ref], extents: tuple[int, int, int], terms: tuple[int, int],
    left: Strides, right: Strides,
) -> None:  # fmt: skip
    """One work; `views`: result and both operands; `extents` of i, j and examples; `terms`: t, examples summed."""
    count = terms[0] * terms[1]
    form: tuple[Any, int]
    if 1 not in (left.t, right.t) and count > FEW_TERMS:
        form = sums_across_added, 64
    else:
        forms = _ADDED if views[0].gradient else _STORED
        form = forms[0 if count <= FEW_TERMS else 1 if count < MANY_TERMS else 2]
    body, block = form
    phase(
        body,
        Tiles(extents[0] * extents[1] * extents[2], block),
        views,
        constants=[*extents, *terms, *astuple(left), *astuple(right)],
    )
