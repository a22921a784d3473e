"""Reductions over elements, axes and batches, by tiles of lines; lanes own the elements that gradients are added to."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import triton
import triton.language as tl

from weft_core.ops.attributes import integer
from weft_core.signature import Signature

from .access import add, base, row_offsets, setting, takes_gradient
from .lines import (
    MORE,
    Lines,
    elements,
    filled,
    line_length,
    line_numbers,
    line_of_element,
    line_starts,
    line_stride,
    line_sums,
    lines_of,
    of_element,
    of_line,
    place,
)
from .lowering import Gradient, Lowering, Tiles, Value, lowering
from .mathematics import INFINITY
from .opcodes import opcode
from .specialised import specialised

BLOCK = 1024
_BLOCK = tl.constexpr(BLOCK)
# Constant of an extreme: 1 for the maximum, -1 for the minimum, which is the maximum of -x.
_SIGN = tl.constexpr(MORE)
# Constant of a gradient by lanes: radices that take an element to its line.
_LINE = tl.constexpr(1)
_NOWHERE = tl.constexpr((1 << 31) - 1)


# --- sums -----------------------------------------------------------------------------------------


@triton.jit
def sum_lines(
    words, at, tile, bases, tables, PRECISION: tl.constexpr,
    LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr,
):  # fmt: skip
    """y[j] = sum of line j."""
    r, j, mask = line_numbers(words, at, tile, tables, LINES)
    start = row_offsets(words, at, 1, r, mask) + line_starts(words, at, tables, j)
    y = line_sums(words, at, tables, base(bases, words, at, 1), start, mask, LINES, CHUNK, AXIS)
    tl.store(base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + j, y, mask=mask)


@opcode
def sum_lines_backward(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """dx[e] += dy[line of e]; constants: elements of an instruction, radices of lines."""
    r, e, mask = line_numbers(words, at, tile, tables, _BLOCK)
    j = place(words, at, tables, _LINE, e)
    dy = tl.load(base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + j, mask=mask, other=0.0)
    own = row_offsets(words, at, 1, r, mask)
    mask &= takes_gradient(words, at, 1, own)
    add(base(bases, words, at, 1) + own + e, dy, mask, words, at, 1)


# --- extremes -------------------------------------------------------------------------------------


@triton.jit
def extreme_lines(
    words, at, tile, bases, tables, PRECISION: tl.constexpr,
    LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr,
):  # fmt: skip
    """y[j] = extreme of line j, NaN where there is one."""
    r, j, mask = line_numbers(words, at, tile, tables, LINES)
    start = row_offsets(words, at, 1, r, mask) + line_starts(words, at, tables, j)
    source = base(bases, words, at, 1) + of_line(start, AXIS)
    sign = setting(words, at, tables, _SIGN)
    best = filled(-INFINITY, LINES, CHUNK, AXIS)
    for first in range(0, line_length(words, at, tables), CHUNK):
        offset, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        x = tl.where(there, sign * tl.load(source + offset, mask=there, other=0.0), -INFINITY)
        best = tl.maximum(best, x, propagate_nan=tl.PropagateNan.ALL)
    # Reduced along an axis, NaN would be dropped.
    broken = tl.sum(tl.where(best == best, 0.0, best), AXIS)
    y = tl.where(broken == broken, sign * tl.max(tl.where(best == best, best, -INFINITY), AXIS), broken)
    tl.store(base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + j, y, mask=mask)


@triton.jit
def extreme_lines_backward(
    words, at, tile, bases, tables, PRECISION: tl.constexpr,
    LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr,
):  # fmt: skip
    """dx[first position of y[j] in line j] += dy[j]. Views: y, x, dy, dx."""
    r, j, mask = line_numbers(words, at, tile, tables, LINES)
    start = line_starts(words, at, tables, j)
    source = base(bases, words, at, 1) + of_line(row_offsets(words, at, 1, r, mask) + start, AXIS)
    y = tl.load(base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + j, mask=mask, other=0.0)
    dy = tl.load(base(bases, words, at, 2) + row_offsets(words, at, 2, r, mask) + j, mask=mask, other=0.0)
    position = tl.full([LINES], _NOWHERE, tl.int32)
    for first in range(0, line_length(words, at, tables), CHUNK):
        offset, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        k = of_element(first + tl.arange(0, CHUNK), AXIS)
        x = tl.load(source + offset, mask=there, other=0.0)
        found = tl.where(there & ((x == of_line(y, AXIS)) | (x != x)), k, _NOWHERE)
        position = tl.minimum(position, tl.min(found, AXIS))
    own = row_offsets(words, at, 3, r, mask)
    mask &= takes_gradient(words, at, 3, own)
    offset = own + start + position * line_stride(words, at, tables)
    add(base(bases, words, at, 3) + offset, dy, mask, words, at, 3)


# --- logarithms of sums of exponentials -----------------------------------------------------------


@triton.jit
def pivot(largest):
    """What to subtract before exp: the largest number; nothing where it is infinite or NaN."""
    return tl.where(tl.abs(largest) < INFINITY, largest, 0.0)


@triton.jit
def logsumexp_lines(
    words, at, tile, bases, tables, PRECISION: tl.constexpr,
    LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr,
):  # fmt: skip
    """y[j] = pivot + ln sum exp(x - pivot) of line j."""
    r, j, mask = line_numbers(words, at, tile, tables, LINES)
    start = row_offsets(words, at, 1, r, mask) + line_starts(words, at, tables, j)
    source = base(bases, words, at, 1) + of_line(start, AXIS)
    length = line_length(words, at, tables)
    best = filled(-INFINITY, LINES, CHUNK, AXIS)
    for first in range(0, length, CHUNK):
        offset, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        best = tl.maximum(best, tl.load(source + offset, mask=there, other=-INFINITY))
    shift = pivot(tl.max(best, AXIS))
    total = filled(0.0, LINES, CHUNK, AXIS)
    for first in range(0, length, CHUNK):
        offset, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        total += tl.exp(tl.load(source + offset, mask=there, other=-INFINITY) - of_line(shift, AXIS))
    y = shift + tl.log(tl.sum(total, AXIS))
    tl.store(base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + j, y, mask=mask)


@opcode
def logsumexp_lines_backward(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """dx[e] += dy[line of e] exp(x[e] - y[line of e]); constants as of sums. Views: y, x, dy, dx."""
    r, e, mask = line_numbers(words, at, tile, tables, _BLOCK)
    j = place(words, at, tables, _LINE, e)
    y = tl.load(base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + j, mask=mask, other=0.0)
    x = tl.load(base(bases, words, at, 1) + row_offsets(words, at, 1, r, mask) + e, mask=mask, other=0.0)
    dy = tl.load(base(bases, words, at, 2) + row_offsets(words, at, 2, r, mask) + j, mask=mask, other=0.0)
    own = row_offsets(words, at, 3, r, mask)
    mask &= takes_gradient(words, at, 3, own)
    add(base(bases, words, at, 3) + own + e, dy * tl.exp(x - y), mask, words, at, 3)


# --- running sums ---------------------------------------------------------------------------------


@triton.jit
def cumsum_lines(
    words, at, tile, bases, tables, PRECISION: tl.constexpr,
    LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr,
):  # fmt: skip
    """y[k] = x[0] + ... + x[k] along each line."""
    r, j, mask = line_numbers(words, at, tile, tables, LINES)
    start = line_starts(words, at, tables, j)
    source = base(bases, words, at, 1) + of_line(row_offsets(words, at, 1, r, mask) + start, AXIS)
    target = base(bases, words, at, 0) + of_line(row_offsets(words, at, 0, r, mask) + start, AXIS)
    before = tl.zeros([LINES], tl.float32)
    for first in range(0, line_length(words, at, tables), CHUNK):
        offset, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        k = of_element(first + tl.arange(0, CHUNK), AXIS)
        x = tl.load(source + offset, mask=there, other=0.0) + tl.where(k == first, of_line(before, AXIS), 0.0)
        tl.store(target + offset, tl.cumsum(x, AXIS), mask=there)
        before = tl.sum(x, AXIS)


@triton.jit
def cumsum_lines_backward(
    words, at, tile, bases, tables, PRECISION: tl.constexpr,
    LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr,
):  # fmt: skip
    """dx[k] += dy[k] + ... + dy[last] along each line: running sums from its end. Views: dy, dx."""
    r, j, mask = line_numbers(words, at, tile, tables, LINES)
    length = line_length(words, at, tables)
    # Elements count back from the last one.
    start = line_starts(words, at, tables, j) + (length - 1) * line_stride(words, at, tables)
    source = base(bases, words, at, 0) + of_line(row_offsets(words, at, 0, r, mask) + start, AXIS)
    own = row_offsets(words, at, 1, r, mask)
    target = base(bases, words, at, 1) + of_line(own + start, AXIS)
    takes = of_line(takes_gradient(words, at, 1, own), AXIS)
    before = tl.zeros([LINES], tl.float32)
    for first in range(0, length, CHUNK):
        offset, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        k = of_element(first + tl.arange(0, CHUNK), AXIS)
        dy = tl.load(source - offset, mask=there, other=0.0) + tl.where(k == first, of_line(before, AXIS), 0.0)
        add(target - offset, tl.cumsum(dy, AXIS), there & takes, words, at, 1)
        before = tl.sum(dy, AXIS)


# --- lowering -------------------------------------------------------------------------------------


def reduce_lines(plan: Lowering, lines: Lines, function: Any, *settings: float) -> None:
    """A forward work from view 1 to view 0, tile by tile of lines."""
    body = specialised(function, *lines.tile)
    tiles = Tiles(lines.count, lines.tile[0])
    plan.forward(body, tiles, [Value(0), Value(1)], constants=lines.constants(*settings))


def _lower_sum(signature: Signature, plan: Lowering, axes: Collection[int]) -> None:
    x = signature.operands[0]
    reduce_lines(plan, lines_of(x, axes), sum_lines)
    if plan.needs[1]:
        constants = [x.total, *line_of_element(x, axes)]
        views = [Gradient(0), Gradient(1)]
        plan.backward(sum_lines_backward, Tiles(x.total, BLOCK), views, constants=constants)


@lowering("sum_elems")
def lower_sum_elements(signature: Signature, plan: Lowering) -> None:
    """Sums of examples."""
    _lower_sum(signature, plan, range(len(signature.operands[0].dims)))


@lowering("sum_dim")
def lower_sum_axes(signature: Signature, plan: Lowering) -> None:
    """Sums over the axes that are the attributes."""
    _lower_sum(signature, plan, [integer(axis) for axis in signature.attributes])


@lowering("sum_batches")
def lower_sum_batches(signature: Signature, plan: Lowering) -> None:
    """Sums over examples."""
    _lower_sum(signature, plan, [len(signature.operands[0].dims)])


@lowering("max_dim", "min_dim")
def lower_extreme(signature: Signature, plan: Lowering) -> None:
    """Extremes along an axis."""
    lines = lines_of(signature.operands[0], [integer(signature.attributes[0])])
    sign = 1.0 if signature.operation.name == "max_dim" else -1.0
    reduce_lines(plan, lines, extreme_lines, sign)
    if plan.needs[1]:
        body = specialised(extreme_lines_backward, *lines.tile)
        views = [Value(0), Value(1), Gradient(0), Gradient(1)]
        plan.backward(body, Tiles(lines.count, lines.tile[0]), views, constants=lines.constants())


@lowering("logsumexp_dim")
def lower_logsumexp(signature: Signature, plan: Lowering) -> None:
    """`ln sum exp(x)` along an axis."""
    x, axes = signature.operands[0], [integer(signature.attributes[0])]
    reduce_lines(plan, lines_of(x, axes), logsumexp_lines)
    if plan.needs[1]:
        constants = [x.total, *line_of_element(x, axes)]
        views = [Value(0), Value(1), Gradient(0), Gradient(1)]
        plan.backward(logsumexp_lines_backward, Tiles(x.total, BLOCK), views, constants=constants)


@lowering("cumsum")
def lower_cumsum(signature: Signature, plan: Lowering) -> None:
    """Running sums along an axis."""
    lines = lines_of(signature.operands[0], [integer(signature.attributes[0])])
    reduce_lines(plan, lines, cumsum_lines)
    if plan.needs[1]:
        body = specialised(cumsum_lines_backward, *lines.tile)
        tiles = Tiles(lines.count, lines.tile[0])
        plan.backward(body, tiles, [Gradient(0), Gradient(1)], constants=lines.constants())
