"""Kernels of the softmax family, by tiles of lines: elements are read chunk by chunk as often as a formula needs them.

Gradients of y = f(x) have the views y, dy, dx.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

from weft_core.ops.attributes import integer
from weft_core.signature import Signature

from .access import add, base, constant, payload, row_offsets, takes_gradient
from .lines import Lines, Tile, elements, filled, line_length, line_numbers, line_starts, lines_of, of_line
from .lowering import Gradient, Lowering, Tiles, Value, lowering
from .mathematics import INFINITY
from .opcodes import opcode
from .specialised import specialised

BLOCK = 1024
_BLOCK = tl.constexpr(BLOCK)


# --- lines ----------------------------------------------------------------------------------------


@triton.jit
def line_in(bases, words, at, k, r, start, mask, AXIS: tl.constexpr):
    """Pointers to where lines start in view `k`, across a tile."""
    return of_line(base(bases, words, at, k) + row_offsets(words, at, k, r, mask) + start, AXIS)


@triton.jit
def receiving(words, at, k, r, mask):
    """Which lines may receive a gradient in view `k`."""
    return mask & takes_gradient(words, at, k, row_offsets(words, at, k, r, mask))


@triton.jit
def pivot(found):
    """What to subtract before exp: numbers that are all -inf count nothing, and must not make others NaN."""
    return tl.where(found == -INFINITY, 0.0, found)


@triton.jit
def join_sums(found, total, z):
    """max and sum of exp(x - max) with one more number: what was summed is scaled where the maximum grows."""
    higher = tl.maximum(found, z)
    return higher, total * tl.exp(found - pivot(higher)) + tl.exp(z - pivot(higher))


@triton.jit
def whole_sum(found, total, AXIS: tl.constexpr):
    """max and sum of exp(x - max) of lines from those of their lanes."""
    highest = tl.max(found, AXIS)
    return highest, tl.sum(total * tl.exp(found - of_line(pivot(highest), AXIS)), AXIS)


@triton.jit
def largest_and_sum(words, at, tables, x, mask, LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr):
    """max and sum of exp(x - max) of each line, in one reading."""
    found, total = filled(-INFINITY, LINES, CHUNK, AXIS), filled(0.0, LINES, CHUNK, AXIS)
    for first in range(0, line_length(words, at, tables), CHUNK):
        k, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        found, total = join_sums(found, total, tl.load(x + k, mask=there, other=-INFINITY))
    return whole_sum(found, total, AXIS)


# --- softmax --------------------------------------------------------------------------------------


@triton.jit
def softmax_forward(
    words, at, tile, bases, tables, PRECISION: tl.constexpr,
    LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr,
):  # fmt: skip
    """y = exp(x - max x) / sum of them."""
    r, j, mask = line_numbers(words, at, tile, tables, LINES)
    start = line_starts(words, at, tables, j)
    y = line_in(bases, words, at, 0, r, start, mask, AXIS)
    x = line_in(bases, words, at, 1, r, start, mask, AXIS)
    shift, total = largest_and_sum(words, at, tables, x, mask, LINES, CHUNK, AXIS)
    scale = 1.0 / total
    for first in range(0, line_length(words, at, tables), CHUNK):
        k, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        e = tl.exp(tl.load(x + k, mask=there, other=0.0) - of_line(shift, AXIS))
        tl.store(y + k, e * of_line(scale, AXIS), mask=there)


@triton.jit
def softmax_backward(
    words, at, tile, bases, tables, PRECISION: tl.constexpr,
    LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr,
):  # fmt: skip
    """dx += y (dy - sum y dy)."""
    r, j, mask = line_numbers(words, at, tile, tables, LINES)
    start = line_starts(words, at, tables, j)
    y = line_in(bases, words, at, 0, r, start, mask, AXIS)
    dy = line_in(bases, words, at, 1, r, start, mask, AXIS)
    dx = line_in(bases, words, at, 2, r, start, mask, AXIS)
    mask = receiving(words, at, 2, r, mask)
    products = filled(0.0, LINES, CHUNK, AXIS)
    for first in range(0, line_length(words, at, tables), CHUNK):
        k, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        products += tl.load(y + k, mask=there, other=0.0) * tl.load(dy + k, mask=there, other=0.0)
    mean = tl.sum(products, AXIS)
    for first in range(0, line_length(words, at, tables), CHUNK):
        k, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        d = tl.load(dy + k, mask=there, other=0.0) - of_line(mean, AXIS)
        add(dx + k, tl.load(y + k, mask=there, other=0.0) * d, there, words, at, 2)


# --- log-softmax ----------------------------------------------------------------------------------


@triton.jit
def log_softmax_forward(
    words, at, tile, bases, tables, PRECISION: tl.constexpr,
    LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr,
):  # fmt: skip
    """y = (x - max x) - log sum exp(x - max x)."""
    r, j, mask = line_numbers(words, at, tile, tables, LINES)
    start = line_starts(words, at, tables, j)
    y = line_in(bases, words, at, 0, r, start, mask, AXIS)
    x = line_in(bases, words, at, 1, r, start, mask, AXIS)
    shift, total = largest_and_sum(words, at, tables, x, mask, LINES, CHUNK, AXIS)
    normalizer = tl.log(total)
    for first in range(0, line_length(words, at, tables), CHUNK):
        k, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        z = tl.load(x + k, mask=there, other=0.0) - of_line(shift, AXIS)
        tl.store(y + k, z - of_line(normalizer, AXIS), mask=there)


@triton.jit
def log_softmax_backward(
    words, at, tile, bases, tables, PRECISION: tl.constexpr,
    LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr,
):  # fmt: skip
    """dx += dy - exp(y) sum dy."""
    r, j, mask = line_numbers(words, at, tile, tables, LINES)
    start = line_starts(words, at, tables, j)
    y = line_in(bases, words, at, 0, r, start, mask, AXIS)
    dy = line_in(bases, words, at, 1, r, start, mask, AXIS)
    dx = line_in(bases, words, at, 2, r, start, mask, AXIS)
    mask = receiving(words, at, 2, r, mask)
    numbers = filled(0.0, LINES, CHUNK, AXIS)
    for first in range(0, line_length(words, at, tables), CHUNK):
        k, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        numbers += tl.load(dy + k, mask=there, other=0.0)
    total = tl.sum(numbers, AXIS)
    for first in range(0, line_length(words, at, tables), CHUNK):
        k, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        p = tl.exp(tl.load(y + k, mask=there, other=0.0)) * of_line(total, AXIS)
        add(dx + k, tl.load(dy + k, mask=there, other=0.0) - p, there, words, at, 2)


# --- log-softmax of named elements ----------------------------------------------------------------


@triton.jit
def _example(words, at, tile, tables):
    """Row of an example that has a tile for itself, and where the example starts in the row."""
    batch = constant(words, at, tables, 1)
    r = tile // batch
    return r, (tile - r * batch) * constant(words, at, tables, 0)


@triton.jit
def _named(words, at, tables, r, first):
    """A chunk of the elements that the payload names; constant 2: how many there are."""
    k = first + tl.arange(0, _BLOCK)
    there = k < constant(words, at, tables, 2)
    return payload(words, at, k, r, there), there


@opcode
def restricted_log_softmax_forward(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """y = log-softmax over the elements that are named, -inf elsewhere; constants: elements, batch, how many."""
    r, start = _example(words, at, tile, tables)
    y = base(bases, words, at, 0) + row_offsets(words, at, 0, r, r >= 0) + start
    x = base(bases, words, at, 1) + row_offsets(words, at, 1, r, r >= 0) + start
    found, sums = tl.full([_BLOCK], -INFINITY, tl.float32), tl.zeros([_BLOCK], tl.float32)
    for first in range(0, constant(words, at, tables, 2), _BLOCK):
        i, there = _named(words, at, tables, r, first)
        found, sums = join_sums(found, sums, tl.load(x + i, mask=there, other=-INFINITY))
    shift, total = whole_sum(found, sums, 0)
    n = constant(words, at, tables, 0)
    for first in range(0, n, _BLOCK):
        i = first + tl.arange(0, _BLOCK)
        tl.store(y + i, tl.full([_BLOCK], -INFINITY, tl.float32), mask=i < n)
    # Other threads of the program write those that are named.
    tl.debug_barrier()
    normalizer = tl.log(total)
    for first in range(0, constant(words, at, tables, 2), _BLOCK):
        i, there = _named(words, at, tables, r, first)
        tl.store(y + i, tl.load(x + i, mask=there, other=0.0) - shift - normalizer, mask=there)


@opcode
def restricted_log_softmax_backward(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """dx += dy - exp(y) sum dy over the elements that are named."""
    r, start = _example(words, at, tile, tables)
    y = base(bases, words, at, 0) + row_offsets(words, at, 0, r, r >= 0) + start
    dy = base(bases, words, at, 1) + row_offsets(words, at, 1, r, r >= 0) + start
    row = row_offsets(words, at, 2, r, r >= 0)
    dx = base(bases, words, at, 2) + row + start
    numbers = tl.zeros([_BLOCK], tl.float32)
    for first in range(0, constant(words, at, tables, 2), _BLOCK):
        i, there = _named(words, at, tables, r, first)
        numbers += tl.load(dy + i, mask=there, other=0.0)
    total = tl.sum(numbers, 0)
    for first in range(0, constant(words, at, tables, 2), _BLOCK):
        i, there = _named(words, at, tables, r, first)
        p = tl.exp(tl.load(y + i, mask=there, other=0.0)) * total
        d = tl.load(dy + i, mask=there, other=0.0) - p
        add(dx + i, d, there & takes_gradient(words, at, 2, row), words, at, 2)


# --- lowering -------------------------------------------------------------------------------------


def line_work(lines: Lines, function: Any, *settings: float, tile: Tile | None = None) -> dict[str, Any]:
    """Opcode, tiles and constants of a work on lines."""
    tile = tile or lines.tile
    tiles, constants = Tiles(lines.count, tile[0]), lines.constants(*settings)
    return {"body": specialised(function, *tile), "tiles": tiles, "constants": constants}


def lower_lines(signature: Signature, plan: Lowering, axis: int, forward: Any, backward: Any) -> None:
    """Lines along an axis; the gradient reads the result."""
    lines = lines_of(signature.operands[0], [axis])
    plan.forward(**line_work(lines, forward), views=[Value(0), Value(1)])
    if plan.needs[1]:
        plan.backward(**line_work(lines, backward), views=[Value(0), Gradient(0), Gradient(1)])


@lowering("softmax")
def lower_softmax(signature: Signature, plan: Lowering) -> None:
    """Along the axis that is the attribute."""
    lower_lines(signature, plan, integer(signature.attributes[0]), softmax_forward, softmax_backward)


@lowering("log_softmax")
def lower_log_softmax(signature: Signature, plan: Lowering) -> None:
    """Along the first axis."""
    lower_lines(signature, plan, 0, log_softmax_forward, log_softmax_backward)


@lowering("restricted_log_softmax")
def lower_restricted_log_softmax(signature: Signature, plan: Lowering) -> None:
    """A tile for each example."""
    y = signature.results[0]
    tiles, constants = Tiles(y.batch, 1), [y.size, y.batch, signature.payload]
    plan.forward(restricted_log_softmax_forward, tiles, [Value(0), Value(1)], constants=constants)
    if plan.needs[1]:
        views = [Value(0), Gradient(0), Gradient(1)]
        plan.backward(restricted_log_softmax_backward, tiles, views, constants=constants)
