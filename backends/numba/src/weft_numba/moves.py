"""Elements that change their place: one pair of kernels for all operations that only copy, driven by tables.

A piece is a part of the result and the part of an operand that goes there, as two NumPy arrays of one shape
whose elements stand for the floats: an operation says what it does by indexing and transposing them. They are
never read; addresses and strides of the two make the table of the signature.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weft_core.plan import T_TABLE
from weft_core.shape import Shape

from .cache import cached_njit
from .pointers import copy_floats, floats, integers
from .views import gradient, payload, value, view, wants_gradient

Places = NDArray[np.int8]

# A table: the number of pieces, then the pieces one after another. A piece: the view of its operand; the
# payload integer that shifts its source, or -1, and by how many floats; length and steps of a run; the number
# of runs; where each run begins in the result and in the operand.
FIRST_PIECE = 1
VIEW, SLOT, SHIFT, LENGTH, TO_STEP, FROM_STEP, RUNS, OFFSETS = range(8)


def places(shape: Shape, ndim: int = 0) -> Places:
    """The memory of a value, one byte for each float: `dims`, then 1 up to `ndim` axes, then the batch."""
    ones = (1,) * (ndim - len(shape.dims))
    return np.empty(shape.total, np.int8).reshape((*shape.dims, *ones, shape.batch), order="F")


def first(part: Places) -> int:
    """Where a part begins in its memory."""
    assert part.base is not None
    return part.ctypes.data - part.base.ctypes.data


def piece(operand: int, target: Places, source: Places, slot: int = -1, shift: int = 0) -> list[int]:
    """`target` is `source` of this operand (counted from 0), moved by `shift` times payload integer `slot`.

    A source of one example goes to all examples of the target.
    """
    offsets = np.array([[first(target), first(source)]])
    axes = merged_axes(target, np.broadcast_to(source, target.shape))
    # A run of neighbours is worth more than a longer one with gaps.
    run = max(axes, key=lambda axis: axis[0] * (8 if axis[1:] == [1, 1] else 1))
    axes.remove(run)
    for length, *steps in axes:
        offsets = (np.arange(length)[:, None, None] * np.array(steps) + offsets).reshape(-1, 2)
    return [1 + operand, slot, shift, *run, len(offsets), *offsets.ravel().tolist()]


def shifted(one: list[int], operand: int, floats: int) -> list[int]:
    """The same piece of another operand, that many floats further on in the result."""
    numbers = one.copy()
    numbers[VIEW] = 1 + operand
    numbers[OFFSETS::2] = [offset + floats for offset in numbers[OFFSETS::2]]
    return numbers


def merged_axes(target: Places, source: Places) -> list[list[int]]:
    """Length, step in the target and step in the source of each axis; neighbours that run on are one."""
    axes = [[1, 1, 1]]
    for length, *steps in zip(target.shape, target.strides, source.strides, strict=True):
        if steps == [axes[-1][0] * step for step in axes[-1][1:]]:
            axes[-1][0] *= length
        elif length > 1:
            axes.append([length, *steps])
    return axes


def table(pieces: Sequence[Sequence[int]]) -> list[int]:
    """Pieces as the table of a signature."""
    return [len(pieces), *(number for p in pieces for number in p)]


@cached_njit
def copy_run(target: int, to_step: int, source: int, from_step: int, length: int) -> None:
    """`y[i] = x[i]` along one run."""
    if to_step == 1 and from_step == 1:
        copy_floats(target, source, length)
    else:
        y, x = floats(target), floats(source)
        for i in range(length):
            y[i * to_step] = x[i * from_step]


@cached_njit
def add_run(source: int, from_step: int, target: int, to_step: int, length: int) -> None:
    """`dx[i] += dy[i]` along one run."""
    dx, dy = floats(source), floats(target)
    if to_step == 1 and from_step == 1:
        for i in range(length):
            dx[i] += dy[i]
    else:
        for i in range(length):
            dx[i * from_step] += dy[i * to_step]


@cached_njit
def moved(record: int, p: Any, row: int) -> int:
    """How many bytes the payload of this instruction moves the source of a piece."""
    return 4 * payload(record, p[SLOT], row) * p[SHIFT] if p[SLOT] >= 0 else 0


def copy_pieces(record: int, start: int, count: int) -> None:
    """Copy every piece to its place."""
    y = view(record, 0)
    at = integers(record)[T_TABLE] + 8 * FIRST_PIECE
    for _ in range(integers(integers(record)[T_TABLE])[0]):
        p = integers(at)
        x = view(record, p[VIEW])
        length, to_step, from_step, runs = p[LENGTH], p[TO_STEP], p[FROM_STEP], p[RUNS]
        for row in range(start, start + count):
            target, source = value(y, row), value(x, row) + moved(record, p, row)
            for k in range(OFFSETS, OFFSETS + 2 * runs, 2):
                copy_run(target + 4 * p[k], to_step, source + 4 * p[k + 1], from_step, length)
        at += 8 * (OFFSETS + 2 * runs)


def add_pieces(record: int, start: int, count: int) -> None:
    """Add the gradient of every piece to that of its source."""
    y = view(record, 0)
    at = integers(record)[T_TABLE] + 8 * FIRST_PIECE
    for _ in range(integers(integers(record)[T_TABLE])[0]):
        p = integers(at)
        x = view(record, p[VIEW])
        length, to_step, from_step, runs = p[LENGTH], p[TO_STEP], p[FROM_STEP], p[RUNS]
        if wants_gradient(x):
            for row in range(start, start + count):
                target, source = gradient(y, row), gradient(x, row) + moved(record, p, row)
                for k in range(OFFSETS, OFFSETS + 2 * runs, 2):
                    add_run(source + 4 * p[k + 1], from_step, target + 4 * p[k], to_step, length)
        at += 8 * (OFFSETS + 2 * runs)
