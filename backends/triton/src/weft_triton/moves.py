"""Elements that change their place: a few kernels for all operations that only copy.

An operation names the axes of a part of its result, each with its stride there and in the operand. Numbers in the
payload may move the part of the operand. Gradients go back over the same axes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import triton
import triton.language as tl

from weft_core.shape import Shape

from .access import add, base, constant, payload, row_offsets, takes_gradient
from .lines import MORE, Lines, line_numbers, line_starts, line_sums, place, radices
from .lowering import Gradient, Lowering, Ref, Tiles, Value
from .opcodes import opcode
from .specialised import specialised

BLOCK = 512
_BLOCK = tl.constexpr(BLOCK)
# Constants of a part: its elements, radices that take them to the result, to the operand and to payload numbers, and
# the floats that one in the payload is.
_RESULT, _OPERAND, _INDEX, _SHIFT = (tl.constexpr(k) for k in range(1, 5))
PART = 5
# Constant of sums over examples: radices that take a line to the operand.
_OWN = tl.constexpr(MORE)
# Constants of a turned part: sizes of both axes and strides, numbers of squares, radices of all other axes.
_I, _J, _TO_STEP, _OF_STEP, _DOWN, _ACROSS, _OTHERS, _TO, _OF = (tl.constexpr(k) for k in range(9))
TURNED = 9
# A square tile, and how large a part must be that its lines in memory are worth it.
SIDE = 32
_SIDE = tl.constexpr(SIDE)
LEAST_SIDE, LEAST_TURNED = 16, 4096


class Axis(NamedTuple):
    """`size` elements: how far they are apart in the result and in the operand, and the payload numbers they take."""

    size: int
    result: int
    operand: int
    payload: int = 0


def examples(y: Shape, x: Shape, payload: int = 0) -> Axis:
    """The examples of a result; an operand without a batch is there for all of them."""
    return Axis(y.batch, y.size, x.size if x.batch > 1 else 0, payload)


def joined(axes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Sizes and strides, with axes that go on where the one before ends taken as one, and without those of size 1."""
    found: list[tuple[int, ...]] = []
    for size, *steps in axes:
        if found and steps == [found[-1][0] * step for step in found[-1][1:]]:
            found[-1] = (found[-1][0] * size, *found[-1][1:])
        elif size > 1:
            found.append((size, *steps))
    return found


# --- element by element ---------------------------------------------------------------------------


@triton.jit
def _in_operand(words, at, tables, r, e, mask):
    """Where element `e` of a part stands in the operand."""
    found = place(words, at, tables, constant(words, at, tables, _OPERAND), e)
    shift = constant(words, at, tables, _SHIFT)
    if shift != 0:
        index = place(words, at, tables, constant(words, at, tables, _INDEX), e)
        found += shift * payload(words, at, index, r, mask)
    return found


@triton.jit
def _in_result(words, at, tables, e):
    """Where element `e` of a part stands in the result."""
    return place(words, at, tables, constant(words, at, tables, _RESULT), e)


@opcode
def copy_part(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """y[e] = x[e] for the elements of a part, wherever they stand."""
    r, e, mask = line_numbers(words, at, tile, tables, _BLOCK)
    source = row_offsets(words, at, 1, r, mask) + _in_operand(words, at, tables, r, e, mask)
    x = tl.load(base(bases, words, at, 1) + source, mask=mask, other=0.0)
    target = row_offsets(words, at, 0, r, mask) + _in_result(words, at, tables, e)
    tl.store(base(bases, words, at, 0) + target, x, mask=mask)


@opcode
def copy_part_backward(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """dx[e] += dy[e]; views dy, dx."""
    r, e, mask = line_numbers(words, at, tile, tables, _BLOCK)
    source = row_offsets(words, at, 0, r, mask) + _in_result(words, at, tables, e)
    dy = tl.load(base(bases, words, at, 0) + source, mask=mask, other=0.0)
    own = row_offsets(words, at, 1, r, mask)
    target = base(bases, words, at, 1) + own + _in_operand(words, at, tables, r, e, mask)
    add(target, dy, mask & takes_gradient(words, at, 1, own), words, at, 1)


@triton.jit
def copy_to_examples_backward(
    words, at, tile, bases, tables, PRECISION: tl.constexpr,
    LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr,
):  # fmt: skip
    """dx[e] += sum of dy[e] over examples; views dy, dx."""
    r, e, mask = line_numbers(words, at, tile, tables, LINES)
    start = row_offsets(words, at, 0, r, mask) + line_starts(words, at, tables, e)
    dx = line_sums(words, at, tables, base(bases, words, at, 0), start, mask, LINES, CHUNK, AXIS)
    own = row_offsets(words, at, 1, r, mask)
    target = base(bases, words, at, 1) + own + place(words, at, tables, constant(words, at, tables, _OWN), e)
    add(target, dx, mask & takes_gradient(words, at, 1, own), words, at, 1)


# --- squares --------------------------------------------------------------------------------------


@triton.jit
def _square(words, at, tile, tables):
    """The row of a square of the two axes, its places in result and operand, and which of them there are.

    Neighbours in memory lie along one side of the square in the operand, along the other in the result. The compiler
    sees that they are neighbours because all that is added to their numbers is a single number.
    """
    down = constant(words, at, tables, _DOWN)
    across = constant(words, at, tables, _ACROSS)
    column = tile // down
    plane = column // across
    r = plane // constant(words, at, tables, _OTHERS)
    other = plane - r * constant(words, at, tables, _OTHERS)
    i = (tile - column * down) * _SIDE + tl.expand_dims(tl.arange(0, _SIDE), 1)
    j = (column - plane * across) * _SIDE + tl.expand_dims(tl.arange(0, _SIDE), 0)
    mask = (i < constant(words, at, tables, _I)) & (j < constant(words, at, tables, _J))
    to = place(words, at, tables, constant(words, at, tables, _TO), other)
    of = place(words, at, tables, constant(words, at, tables, _OF), other)
    to_step = constant(words, at, tables, _TO_STEP)
    of_step = constant(words, at, tables, _OF_STEP)
    return r, to + i * to_step + j, of + i + j * of_step, mask


@opcode
def turn_part(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """y[j, i] = x[i, j] of a square."""
    r, to, of, mask = _square(words, at, tile, tables)
    source = base(bases, words, at, 1) + row_offsets(words, at, 1, r, r >= 0)
    x = tl.load(source + of, mask=mask, other=0.0)
    tl.store(base(bases, words, at, 0) + row_offsets(words, at, 0, r, r >= 0) + to, x, mask=mask)


@opcode
def turn_part_backward(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """dx[i, j] += dy[j, i] of a square; views dy, dx."""
    r, to, of, mask = _square(words, at, tile, tables)
    source = base(bases, words, at, 0) + row_offsets(words, at, 0, r, r >= 0)
    dy = tl.load(source + to, mask=mask, other=0.0)
    own = row_offsets(words, at, 1, r, r >= 0)
    add(base(bases, words, at, 1) + own + of, dy, mask & takes_gradient(words, at, 1, own), words, at, 1)


# --- lowering -------------------------------------------------------------------------------------


def move(
    plan: Lowering, axes: Sequence[Axis], *, view: int = 1, result: int = 0, operand: int = 0, shift: int = 0
) -> None:
    """Copy a part, and add its gradient to that of the operand in this view.

    The part begins at float `result` of the result and at float `operand` of the operand, moved by `shift` floats for
    each one in the payload.
    """
    copy(plan, axes, view=view, result=result, operand=operand, shift=shift)
    if plan.needs[view]:
        give_back(plan, axes, view=view, result=result, operand=operand, shift=shift)


def copy(
    plan: Lowering, axes: Sequence[Axis], *, view: int = 1, result: int = 0, operand: int = 0, shift: int = 0
) -> None:
    """Forward only; the arguments are those of `move`."""
    lanes = math.prod(axis.size for axis in axes)
    views = [Value(0, result), Value(view, operand)]
    plan.forward(copy_part, Tiles(lanes, BLOCK), views, constants=_part(axes, shift))


def give_back(
    plan: Lowering,
    axes: Sequence[Axis],
    *,
    view: int = 1,
    result: int = 0,
    operand: int = 0,
    shift: int = 0,
    overlap: bool = False,
) -> None:
    """Backward only; the arguments are those of `move`. `overlap`: elements of a part share places in the operand."""
    repeated = [axis for axis in axes if axis.size > 1 and axis.operand == 0]
    dy = Gradient(0, result)
    if repeated and repeated[0].payload == 0:
        (summed,) = repeated
        _add_sums(plan, [axis for axis in axes if axis != summed], summed, dy, Gradient(view, operand))
    else:
        # The payload may name one place twice.
        dx = Gradient(view, operand, shared=overlap or bool(repeated))
        lanes = math.prod(axis.size for axis in axes)
        plan.backward(copy_part_backward, Tiles(lanes, BLOCK), [dy, dx], constants=_part(axes, shift))


def _add_sums(plan: Lowering, kept: Sequence[Axis], summed: Axis, dy: Ref, dx: Ref) -> None:
    """Add the gradients of elements that were copied along an axis, a line of the result for each."""
    lines = Lines(tuple((axis.size, axis.result) for axis in kept), ((summed.size, summed.result),))
    own = radices([(axis.size, axis.operand) for axis in kept])
    constants = [*lines.constants(len(lines.constants(0))), *own]
    body = specialised(copy_to_examples_backward, *lines.tile)
    plan.backward(body, Tiles(lines.count, lines.tile[0]), [dy, dx], constants=constants)


def turn(plan: Lowering, axes: Sequence[Axis]) -> None:
    """`move` where neighbours of the operand may be far apart in the result: by squares, if the part is large."""
    parts = [Axis(*axis) for axis in joined(axes)]
    downs = [axis for axis in parts if axis.operand == 1 and axis.size >= LEAST_SIDE]
    acrosses = [axis for axis in parts if axis.result == 1 and axis.size >= LEAST_SIDE]
    if not downs or not acrosses or downs == acrosses or downs[0].size * acrosses[0].size < LEAST_TURNED:
        move(plan, axes)
        return
    (i,), (j,) = downs, acrosses
    others = [axis for axis in parts if axis not in (i, j)]
    to = radices([(size, step) for size, step in joined([(axis.size, axis.result) for axis in others])])
    of = radices([(size, step) for size, step in joined([(axis.size, axis.operand) for axis in others])])
    down, across = -(-i.size // SIDE), -(-j.size // SIDE)
    count = math.prod(axis.size for axis in others)
    head = [i.size, j.size, i.result, j.operand, down, across, count, TURNED, TURNED + len(to)]
    tiles = Tiles(down * across * count, 1)
    plan.forward(turn_part, tiles, [Value(0), Value(1)], constants=[*head, *to, *of])
    if plan.needs[1]:
        plan.backward(turn_part_backward, tiles, [Gradient(0), Gradient(1)], constants=[*head, *to, *of])


def _part(axes: Sequence[Axis], shift: int) -> list[int]:
    """The constants of a part."""
    numbers, head = [math.prod(axis.size for axis in axes)], []
    places: list[int] = []
    for strides in zip(*(axis[1:] for axis in axes), strict=True):
        head.append(PART + len(places))
        pairs = joined([(axis.size, stride) for axis, stride in zip(axes, strides, strict=True)])
        places += radices([(size, stride) for size, stride in pairs])
    return [*numbers, *head, shift, *places]
