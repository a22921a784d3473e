"""Kernels of the losses that pick a class: the classes of examples are payload, an example is a line."""

from __future__ import annotations

import triton
import triton.language as tl

from weft_core.ops.attributes import number
from weft_core.signature import Signature

from .access import add, base, constant, payload, row_offsets, rows, setting, takes_gradient
from .lines import MORE, elements, filled, line_length, line_numbers, line_starts, lines_of, of_line
from .lowering import Gradient, Lowering, Tiles, Value, lowering
from .opcodes import opcode
from .softmax import largest_and_sum, line_in, line_work, receiving

BLOCK = 1024
_BLOCK = tl.constexpr(BLOCK)
# Constant of the hinge loss.
_MARGIN = tl.constexpr(MORE)


@triton.jit
def pickneglogsoftmax_forward(
    words, at, tile, bases, tables, PRECISION: tl.constexpr,
    LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr,
):  # fmt: skip
    """y = log sum exp(x) - x_v, and the logarithm; views y, the logarithm, x."""
    r, b, mask = line_numbers(words, at, tile, tables, LINES)
    start = line_starts(words, at, tables, b)
    x = line_in(bases, words, at, 2, r, start, mask, AXIS)
    found, total = largest_and_sum(words, at, tables, x, mask, LINES, CHUNK, AXIS)
    place = row_offsets(words, at, 2, r, mask) + start + payload(words, at, b, r, mask)
    picked = tl.load(base(bases, words, at, 2) + place, mask=mask, other=0.0)
    # The difference first: scores may be large, and close to each other.
    y = found - picked + tl.log(total)
    tl.store(base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + b, y, mask=mask)
    tl.store(base(bases, words, at, 1) + row_offsets(words, at, 1, r, mask) + b, found + tl.log(total), mask=mask)


@opcode
def pickneglogsoftmax_backward(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """dx += (softmax(x) - onehot(v)) dy; constants: elements, batch; views dy, log sum exp(x), x, dx."""
    e = tile * _BLOCK + tl.arange(0, _BLOCK)
    n = constant(words, at, tables, 0)
    per_row = n * constant(words, at, tables, 1)
    mask = e < rows(words, at) * per_row
    r = e // per_row
    q = e - r * per_row
    b = q // n
    dy = tl.load(base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + b, mask=mask, other=0.0)
    normalizer = tl.load(base(bases, words, at, 1) + row_offsets(words, at, 1, r, mask) + b, mask=mask, other=0.0)
    x = tl.load(base(bases, words, at, 2) + row_offsets(words, at, 2, r, mask) + q, mask=mask, other=0.0)
    wanted = tl.where(q - b * n == payload(words, at, b, r, mask), 1.0, 0.0)
    own = row_offsets(words, at, 3, r, mask)
    mask &= takes_gradient(words, at, 3, own)
    add(base(bases, words, at, 3) + own + q, (tl.exp(x - normalizer) - wanted) * dy, mask, words, at, 3)


@triton.jit
def _excess(x, k, there, v, threshold):
    """What elements of a chunk are above a threshold, 0 for i = v."""
    return tl.where(there & (k != v), tl.load(x + k, mask=there, other=0.0) - threshold, 0.0)


@triton.jit
def _threshold(words, at, tables, x, v, mask, AXIS: tl.constexpr):
    """x_v - m of each line."""
    return tl.load(x + v, mask=of_line(mask, AXIS), other=0.0) - setting(words, at, tables, _MARGIN)


@triton.jit
def hinge_forward(
    words, at, tile, bases, tables, PRECISION: tl.constexpr,
    LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr,
):  # fmt: skip
    """y = sum over i != v of max(0, x_i - x_v + m)."""
    r, b, mask = line_numbers(words, at, tile, tables, LINES)
    x = line_in(bases, words, at, 1, r, line_starts(words, at, tables, b), mask, AXIS)
    v = of_line(payload(words, at, b, r, mask), AXIS)
    threshold = _threshold(words, at, tables, x, v, mask, AXIS)
    losses = filled(0.0, LINES, CHUNK, AXIS)
    for first in range(0, line_length(words, at, tables), CHUNK):
        k, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        excess = _excess(x, k, there, v, threshold)
        # NaN stays.
        losses += tl.where(excess <= 0.0, 0.0, excess)
    tl.store(base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + b, tl.sum(losses, AXIS), mask=mask)


@triton.jit
def hinge_backward(
    words, at, tile, bases, tables, PRECISION: tl.constexpr,
    LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr,
):  # fmt: skip
    """dx_i += dy where the margin is violated, and dx_v -= dy as often; views dy, x, dx."""
    r, b, mask = line_numbers(words, at, tile, tables, LINES)
    start = line_starts(words, at, tables, b)
    x = line_in(bases, words, at, 1, r, start, mask, AXIS)
    dx = line_in(bases, words, at, 2, r, start, mask, AXIS)
    dy = tl.load(base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + b, mask=mask, other=0.0)
    mask = receiving(words, at, 2, r, mask)
    v = of_line(payload(words, at, b, r, mask), AXIS)
    threshold = _threshold(words, at, tables, x, v, mask, AXIS)
    ones = filled(0.0, LINES, CHUNK, AXIS)
    for first in range(0, line_length(words, at, tables), CHUNK):
        k, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        ones += tl.where(_excess(x, k, there, v, threshold) > 0.0, 1.0, 0.0)
    count = tl.sum(ones, AXIS)
    for first in range(0, line_length(words, at, tables), CHUNK):
        k, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        violated = tl.where(_excess(x, k, there, v, threshold) > 0.0, 1.0, 0.0)
        times = tl.where(k == v, -of_line(count, AXIS), violated)
        add(dx + k, times * of_line(dy, AXIS), there, words, at, 2)


@lowering("pickneglogsoftmax")
def lower_pickneglogsoftmax(signature: Signature, plan: Lowering) -> None:
    """The gradient is elementwise: the logarithm of the sum is kept."""
    (x,) = signature.operands
    plan.forward(**line_work(lines_of(x, [0]), pickneglogsoftmax_forward), views=[Value(0), Value(1), Value(2)])
    if plan.needs[2]:
        views = [Gradient(0), Value(1), Value(2), Gradient(2)]
        plan.backward(pickneglogsoftmax_backward, Tiles(x.total, BLOCK), views, constants=[x.size, x.batch])


@lowering("hinge")
def lower_hinge(signature: Signature, plan: Lowering) -> None:
    """The attribute is the margin."""
    lines, margin = lines_of(signature.operands[0], [0]), number(signature.attributes[0])
    plan.forward(**line_work(lines, hinge_forward, margin), views=[Value(0), Value(1)])
    if plan.needs[1]:
        plan.backward(**line_work(lines, hinge_backward, margin), views=[Gradient(0), Value(1), Gradient(1)])
