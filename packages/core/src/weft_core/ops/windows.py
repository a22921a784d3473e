"""Windows that slide over the first two axes: how many places they have, and what they cover at each."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ..errors import ShapeError
from ..operation import Array
from ..shape import Shape


class Window(NamedTuple):
    """A window of `width` positions on an axis of `size`.

    It stops at so many `places`, `stride` positions apart; the first one begins `before` positions ahead of the axis.
    """

    size: int
    width: int
    stride: int
    places: int
    before: int

    @property
    def after(self) -> int:
        """How far the last place reaches beyond the axis."""
        return max(0, (self.places - 1) * self.stride + self.width - self.before - self.size)

    def covered(self, k: int) -> slice:
        """What position k of the window meets at all places, on the axis with its padding."""
        return slice(k, k + (self.places - 1) * self.stride + 1, self.stride)

    def inside(self, k: int) -> tuple[int, int]:
        """The first place where position k of the window is on the axis, and the first one behind it."""
        first = min(max(0, -((k - self.before) // self.stride)), self.places)
        return first, max(first, min(self.places, (self.size - 1 + self.before - k) // self.stride + 1))


# One window for the rows, one for the columns.
Windows = tuple[Window, Window]


def two_numbers(name: str, what: str, numbers: Sequence[int]) -> tuple[int, int]:
    """A number for rows and one for columns, each at least 1; raises ValueError or TypeError for anything else."""
    try:
        found = [operator.index(n) for n in numbers]
    except TypeError:
        raise TypeError(
            f"{name}: {what} is a list of two whole numbers, one for rows and one for columns, got {numbers!r}"
        ) from None
    if len(found) != 2 or min(found) < 1:
        raise ValueError(
            f"{name}: {what} is a list of two numbers of at least 1, one for rows and one for columns, got {found}"
        )
    return found[0], found[1]


def slide(name: str, x: Shape, widths: Sequence[int], strides: Sequence[int], is_valid: bool) -> Windows:
    """The windows of an operation on x.

    With `is_valid` they stay inside of x: `ceil((size - width + 1) / stride)` places. Otherwise there are
    `ceil(size / stride)`, and x is padded; an odd padding has the smaller part before x.
    Raises `ShapeError` for a window that is larger than x and must stay inside.
    """
    made = []
    for size, width, stride in zip(x.dims, widths, strides, strict=False):
        if is_valid and width > size:
            raise ShapeError(
                f"{name}: a window of {widths[0]} rows and {widths[1]} columns does not fit into {x}; "
                "make it smaller, or pad with is_valid=False"
            )
        places = -(-(size - width + 1 if is_valid else size) // stride)
        padding = 0 if is_valid else max(0, (places - 1) * stride + width - size)
        made.append(Window(size, width, stride, places, padding // 2))
    return made[0], made[1]


def padded(x: Array, windows: Windows, fill: float = 0.0) -> Array:
    """x with `fill` around its first two axes."""
    margins = [(w.before, w.after) for w in windows] + [(0, 0)] * (x.ndim - 2)
    return np.pad(x, margins, constant_values=fill)


def without_padding(x: Array, windows: Windows) -> Array:
    """What `padded` has put a frame around."""
    rows, columns = (slice(w.before, w.before + w.size) for w in windows)
    return x[rows, columns]


def positions(windows: Windows) -> Iterator[tuple[int, int, tuple[slice, slice]]]:
    """Row and column of each position in the window, row by row, and what it meets in the padded operand."""
    rows, columns = windows
    for a in range(rows.width):
        for b in range(columns.width):
            yield a, b, (rows.covered(a), columns.covered(b))
