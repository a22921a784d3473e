"""Lines: the elements of which a reduction makes one, as tiles of several lines and of a chunk of each.

Element k of a line stands k strides behind the first. Line j of an instruction becomes element j of its result; where
it starts is a number in mixed radix, with axes that lie side by side and are all kept taken as one. A tile has its
lines on one axis and their elements on the other, so that neighbours in memory are neighbours in a tile.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import triton
import triton.language as tl

from weft_core.shape import Shape

from .access import constant, rows

# The first constants: lines of an instruction, elements of a line and their stride, where the radices of lines stand,
# and where those of `outer` do, behind their number; then what a work adds.
MORE = 5
# Lines, elements of each and their axis in a tile, for lines up to a length.
_RUNS = ((32, (32, 32, 1)), (256, (4, 256, 1)), (math.inf, (1, 2048, 1)))
_STRIDED = ((64, (128, 8, 0)), (math.inf, (32, 32, 0)))

Radix = tuple[int, int]
Tile = tuple[int, int, int]


@dataclass(frozen=True)
class Lines:
    """Which elements a reduction keeps apart, and which it takes together: sizes and strides, the innermost first.

    The longest axis that is summed is that of the lines; several lines make one element where there are others.
    """

    kept: tuple[Radix, ...]
    summed: tuple[Radix, ...]

    @property
    def count(self) -> int:
        """Elements that an instruction makes."""
        return math.prod(size for size, _ in self.kept)

    @property
    def along(self) -> Radix:
        """The axis of the lines: of the longest ones the innermost."""
        return max(self.summed, key=lambda radix: (radix[0], -radix[1]), default=(1, 1))

    @property
    def length(self) -> int:
        """Elements of a line."""
        return self.along[0]

    @property
    def stride(self) -> int:
        """Floats from an element of a line to the next."""
        return self.along[1]

    @property
    def outer(self) -> tuple[Radix, ...]:
        """The other axes that are summed."""
        return tuple(radix for radix in self.summed if radix != self.along)

    @property
    def tile(self) -> Tile:
        """Lines, elements of each and the axis of elements in a tile."""
        shapes = _RUNS if self.stride == 1 else _STRIDED
        return next(shape for most, shape in shapes if self.length <= most)

    def constants(self, *more: float) -> list[float]:
        """Those that the device functions of this module read."""
        kept, at = radices(self.kept), MORE + len(more)
        outer = [math.prod(size for size, _ in self.outer), *radices(self.outer)]
        return [self.count, self.length, self.stride, at, at + len(kept), *more, *kept, *outer]


def lines_of(x: Shape, axes: Collection[int]) -> Lines:
    """The lines along these axes; the axis behind the last one is that of examples."""
    groups = _groups(x, axes)
    return Lines(
        tuple((size, stride) for size, stride, summed in groups if not summed),
        tuple((size, stride) for size, stride, summed in groups if summed),
    )


def line_of_element(x: Shape, axes: Collection[int]) -> list[int]:
    """Radices that take an element of x to the line along these axes that it stands in."""
    found, step = [], 1
    for size, _, summed in _groups(x, axes):
        found.append((size, 0 if summed else step))
        step *= 1 if summed else size
    return radices(found)


def _groups(x: Shape, axes: Collection[int]) -> list[tuple[int, int, bool]]:
    """Size and stride of axes that lie side by side and are all summed, or all kept."""
    groups: list[tuple[int, int, bool]] = []
    stride = 1
    for axis, size in enumerate((*x.dims, x.batch)):
        summed = axis in axes
        if size > 1 and groups and groups[-1][2] == summed:
            groups[-1] = (groups[-1][0] * size, groups[-1][1], summed)
        elif size > 1:
            groups.append((size, stride, summed))
        stride *= size
    return groups


def radices(groups: Sequence[Radix]) -> list[int]:
    """What `place` reads: how many there are but the last; size and stride of each of these; stride of the last."""
    *inner, (_, last) = groups or [(1, 0)]
    return [len(inner), *(number for radix in inner for number in radix), last]


@triton.jit
def place(words, at, tables, radix, n):
    """Where number `n` stands, counted in the radices that begin at constant `radix`."""
    offset = 0 * n
    inner = constant(words, at, tables, radix)
    for axis in range(0, inner):
        size = constant(words, at, tables, radix + 1 + 2 * axis)
        outer = n // size
        offset += (n - outer * size) * constant(words, at, tables, radix + 2 + 2 * axis)
        n = outer
    return offset + n * constant(words, at, tables, radix + 1 + 2 * inner)


@triton.jit
def line_numbers(words, at, tile, tables, BLOCK: tl.constexpr):
    """Rows and numbers of the lines of a tile, and which are there; constant 0: how many an instruction has."""
    j = tile * BLOCK + tl.arange(0, BLOCK)
    count = constant(words, at, tables, 0)
    r = j // count
    return r, j - r * count, j < rows(words, at) * count


@triton.jit
def line_starts(words, at, tables, j):
    """Where line `j` of an instruction starts."""
    return place(words, at, tables, constant(words, at, tables, 3), j)


@triton.jit
def line_length(words, at, tables):
    """Elements of a line."""
    return constant(words, at, tables, 1)


@triton.jit
def line_stride(words, at, tables):
    """Floats from an element of a line to the next."""
    return constant(words, at, tables, 2)


@triton.jit
def of_line(x, AXIS: tl.constexpr):
    """A number for each line of a tile."""
    return tl.expand_dims(x, AXIS)


@triton.jit
def of_element(x, AXIS: tl.constexpr):
    """A number for each element of a line."""
    return tl.expand_dims(x, 1 - AXIS)


@triton.jit
def filled(number, LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr):
    """A tile of one number."""
    if AXIS == 1:
        tile = tl.full([LINES, CHUNK], number, tl.float32)
    else:
        tile = tl.full([CHUNK, LINES], number, tl.float32)
    return tile


@triton.jit
def elements(words, at, tables, first, mask, CHUNK: tl.constexpr, AXIS: tl.constexpr):
    """How far elements `first` and on of a line stand behind its first one, and which of them are there."""
    k = of_element(first + tl.arange(0, CHUNK), AXIS)
    return k * line_stride(words, at, tables), of_line(mask, AXIS) & (k < line_length(words, at, tables))


@triton.jit
def line_sums(words, at, tables, source, start, mask, LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr):
    """The sums of lines that start at `source + start`, each with all lines that make one element with it."""
    total = filled(0.0, LINES, CHUNK, AXIS)
    outer = constant(words, at, tables, 4)
    for n in range(0, constant(words, at, tables, outer)):
        begin = of_line(start + place(words, at, tables, outer + 1, n), AXIS)
        for first in range(0, line_length(words, at, tables), CHUNK):
            offset, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
            total += tl.load(source + (begin + offset), mask=there, other=0.0)
    return tl.sum(total, AXIS)
