"""Kernels of the softmaxes with exact zeros and with bounds: which elements they concern is found round by round."""

from __future__ import annotations

import triton
import triton.language as tl

from weft_core.signature import Signature

from .access import add, constant, present
from .lines import MORE, elements, filled, line_length, line_numbers, line_starts, lines_of, of_line
from .lowering import NONE, Gradient, Lowering, Ref, Value, lowering
from .mathematics import INFINITY
from .softmax import line_in, line_work, lower_lines, receiving

# The tile of constrained softmax, which has much to remember of an element.
CONSTRAINED = (4, 128, 1)
# Constants of constrained softmax: steps from example to example of scores and of bounds.
_SCORES, _BOUNDS = tl.constexpr(MORE), tl.constexpr(MORE + 1)


@triton.jit
def largest(words, at, tables, x, mask, LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr):
    """The largest element of each line."""
    found = filled(-INFINITY, LINES, CHUNK, AXIS)
    for first in range(0, line_length(words, at, tables), CHUNK):
        k, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        found = tl.maximum(found, tl.load(x + k, mask=there, other=-INFINITY))
    return tl.max(found, AXIS)


# --- sparsemax ------------------------------------------------------------------------------------


@triton.jit
def _threshold(words, at, tables, x, shift, mask, LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr):
    """tau with sum of max(x - shift - tau, 0) = 1; `shift` is the largest x.

    The support is cut down to the elements above the threshold that it gives, until it stays (Michelot 1986). It
    starts with all that can belong to it: tau is at least -1.
    """
    threshold = tl.full([LINES], -1.0, tl.float32)
    known = tl.full([LINES], INFINITY, tl.float32)
    going = mask.to(tl.int32)
    while tl.max(going, 0) > 0:
        numbers, ones = filled(0.0, LINES, CHUNK, AXIS), filled(0.0, LINES, CHUNK, AXIS)
        for first in range(0, line_length(words, at, tables), CHUNK):
            k, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
            z = tl.load(x + k, mask=there, other=-INFINITY) - of_line(shift, AXIS)
            above = z > of_line(threshold, AXIS)
            numbers += tl.where(above, z, 0.0)
            ones += tl.where(above, 1.0, 0.0)
        support = tl.sum(ones, AXIS)
        smaller = (support > 0.0) & (support < known)
        threshold = tl.where(smaller, (tl.sum(numbers, AXIS) - 1.0) / support, threshold)
        known = tl.where(smaller, support, known)
        going = tl.where(smaller, going, 0)
    return threshold


@triton.jit
def sparsemax_forward(
    words, at, tile, bases, tables, PRECISION: tl.constexpr,
    LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr,
):  # fmt: skip
    """y = max(x - tau, 0)."""
    r, j, mask = line_numbers(words, at, tile, tables, LINES)
    start = line_starts(words, at, tables, j)
    y = line_in(bases, words, at, 0, r, start, mask, AXIS)
    x = line_in(bases, words, at, 1, r, start, mask, AXIS)
    shift = largest(words, at, tables, x, mask, LINES, CHUNK, AXIS)
    threshold = _threshold(words, at, tables, x, shift, mask, LINES, CHUNK, AXIS)
    for first in range(0, line_length(words, at, tables), CHUNK):
        k, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        z = tl.load(x + k, mask=there, other=0.0) - of_line(shift, AXIS) - of_line(threshold, AXIS)
        tl.store(y + k, tl.where(z <= 0.0, 0.0, z), mask=there)


@triton.jit
def sparsemax_backward(
    words, at, tile, bases, tables, PRECISION: tl.constexpr,
    LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr,
):  # fmt: skip
    """dx += dy - mean of dy, on the support."""
    r, j, mask = line_numbers(words, at, tile, tables, LINES)
    start = line_starts(words, at, tables, j)
    y = line_in(bases, words, at, 0, r, start, mask, AXIS)
    dy = line_in(bases, words, at, 1, r, start, mask, AXIS)
    dx = line_in(bases, words, at, 2, r, start, mask, AXIS)
    mask = receiving(words, at, 2, r, mask)
    numbers, ones = filled(0.0, LINES, CHUNK, AXIS), filled(0.0, LINES, CHUNK, AXIS)
    for first in range(0, line_length(words, at, tables), CHUNK):
        k, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        on = tl.load(y + k, mask=there, other=0.0) > 0.0
        numbers += tl.load(dy + k, mask=on, other=0.0)
        ones += tl.where(on, 1.0, 0.0)
    mean = tl.sum(numbers, AXIS) / tl.sum(ones, AXIS)
    for first in range(0, line_length(words, at, tables), CHUNK):
        k, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        on = tl.load(y + k, mask=there, other=0.0) > 0.0
        add(dx + k, tl.load(dy + k, mask=on, other=0.0) - of_line(mean, AXIS), on, words, at, 2)


# --- constrained softmax --------------------------------------------------------------------------


@triton.jit
def _weights(x, bounds, k, there, shift, limit, AXIS: tl.constexpr):
    """exp(x - max x) of a chunk, the bounds, and what is at them: a weight that `limit` takes above its bound.

    While more weights reach their bounds, the factor that makes the others probabilities only grows, so its largest
    value tells both kinds from each other.
    """
    bound = tl.load(bounds + k, mask=there, other=INFINITY)
    weight = tl.exp(tl.load(x + k, mask=there, other=-INFINITY) - of_line(shift, AXIS))
    return weight, bound, weight * of_line(limit, AXIS) > bound


@triton.jit
def _shares(words, at, tables, x, bounds, mask, LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr):
    """max x, the limit of `_weights`, and the factor that makes weights below their bounds probabilities."""
    shift = largest(words, at, tables, x, mask, LINES, CHUNK, AXIS)
    limit = tl.full([LINES], -INFINITY, tl.float32)
    scale = tl.zeros([LINES], tl.float32)
    known = tl.full([LINES], -1.0, tl.float32)
    going = mask.to(tl.int32)
    while tl.max(going, 0) > 0:
        taken, weights = filled(0.0, LINES, CHUNK, AXIS), filled(0.0, LINES, CHUNK, AXIS)
        ones = filled(0.0, LINES, CHUNK, AXIS)
        for first in range(0, line_length(words, at, tables), CHUNK):
            k, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
            weight, bound, over = _weights(x, bounds, k, there, shift, limit, AXIS)
            taken += tl.where(over, bound, 0.0)
            weights += tl.where(over, 0.0, weight)
            ones += tl.where(over, 1.0, 0.0)
        total, bounded = tl.sum(weights, AXIS), tl.sum(ones, AXIS)
        scale = (1.0 - tl.sum(taken, AXIS)) / total
        going = tl.where(bounded > known, going, 0)
        known = bounded
        # Where all are at their bounds there is no factor.
        limit = tl.where((going > 0) & (total > 0.0), tl.maximum(limit, scale), limit)
    return shift, limit, scale


@triton.jit
def constrained_softmax_forward(
    words, at, tile, bases, tables, PRECISION: tl.constexpr,
    LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr,
):  # fmt: skip
    """y = the bound of what would be above it, a share of the rest for the others; views y, x, bounds."""
    r, j, mask = line_numbers(words, at, tile, tables, LINES)
    y = line_in(bases, words, at, 0, r, line_starts(words, at, tables, j), mask, AXIS)
    x = line_in(bases, words, at, 1, r, j * constant(words, at, tables, _SCORES), mask, AXIS)
    bounds = line_in(bases, words, at, 2, r, j * constant(words, at, tables, _BOUNDS), mask, AXIS)
    shift, limit, scale = _shares(words, at, tables, x, bounds, mask, LINES, CHUNK, AXIS)
    for first in range(0, line_length(words, at, tables), CHUNK):
        k, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        weight, bound, over = _weights(x, bounds, k, there, shift, limit, AXIS)
        tl.store(y + k, tl.where(over, bound, weight * of_line(scale, AXIS)), mask=there)


@triton.jit
def constrained_softmax_backward(
    words, at, tile, bases, tables, PRECISION: tl.constexpr,
    LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr,
):  # fmt: skip
    """dx += y (dy - mean) of the free, dbound += dy - mean of the others; mean is that of dy under the free y.

    Views dy, x, bounds, dx, dbounds.
    """
    r, j, mask = line_numbers(words, at, tile, tables, LINES)
    to_x, to_bounds = j * constant(words, at, tables, _SCORES), j * constant(words, at, tables, _BOUNDS)
    dy = line_in(bases, words, at, 0, r, line_starts(words, at, tables, j), mask, AXIS)
    x = line_in(bases, words, at, 1, r, to_x, mask, AXIS)
    bounds = line_in(bases, words, at, 2, r, to_bounds, mask, AXIS)
    shift, limit, scale = _shares(words, at, tables, x, bounds, mask, LINES, CHUNK, AXIS)
    products, shares = filled(0.0, LINES, CHUNK, AXIS), filled(0.0, LINES, CHUNK, AXIS)
    for first in range(0, line_length(words, at, tables), CHUNK):
        k, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        weight, _bound, over = _weights(x, bounds, k, there, shift, limit, AXIS)
        p = tl.where(over, 0.0, weight * of_line(scale, AXIS))
        products += p * tl.load(dy + k, mask=there, other=0.0)
        shares += p
    mean = tl.sum(products, AXIS) / tl.sum(shares, AXIS)
    dx = line_in(bases, words, at, 3, r, to_x, mask, AXIS)
    dbounds = line_in(bases, words, at, 4, r, to_bounds, mask, AXIS)
    takes_x = of_line(receiving(words, at, 3, r, mask), AXIS) & present(words, at, 3)
    takes_bounds = of_line(receiving(words, at, 4, r, mask), AXIS) & present(words, at, 4)
    for first in range(0, line_length(words, at, tables), CHUNK):
        k, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        weight, _bound, over = _weights(x, bounds, k, there, shift, limit, AXIS)
        d = tl.load(dy + k, mask=there, other=0.0) - of_line(mean, AXIS)
        add(dx + k, weight * of_line(scale, AXIS) * d, there & takes_x & (over == 0), words, at, 3)
        add(dbounds + k, d, there & takes_bounds & over, words, at, 4)


# --- lowering -------------------------------------------------------------------------------------


@lowering("sparsemax")
def lower_sparsemax(signature: Signature, plan: Lowering) -> None:
    """Of vectors."""
    lower_lines(signature, plan, 0, sparsemax_forward, sparsemax_backward)


@lowering("constrained_softmax")
def lower_constrained_softmax(signature: Signature, plan: Lowering) -> None:
    """An operand without a batch is read by all examples, and all of them add to its gradient."""
    y, operands = signature.results[0], signature.operands
    lines = lines_of(y, [0])
    steps = [x.size if x.batch > 1 else 0 for x in operands]
    views = [Value(1), Value(2)]
    work = line_work(lines, constrained_softmax_forward, *steps, tile=CONSTRAINED)
    plan.forward(**work, views=[Value(0), *views])
    gradients: list[Ref] = [
        Gradient(k, shared=x.batch < y.batch) if plan.needs[k] else NONE for k, x in enumerate(operands, 1)
    ]
    if any(g is not NONE for g in gradients):
        work = line_work(lines, constrained_softmax_backward, *steps, tile=CONSTRAINED)
        plan.backward(**work, views=[Gradient(0), *views, *gradients])
