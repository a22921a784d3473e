"""Kernels of the softmax family, by tiles of lines: elements are read chunk by chunk as often as a formula needs them.

Gradients of y = f(x) have the views y, dy, dx.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

from weft_core.ops.attributes import integer
from weft_core.signature import Signature

from .access import add, base, constant, payload, present, row_offsets, takes_gradient
from .lines import MORE, Lines, Tile, elements, filled, line_length, line_numbers, line_starts, lines_of, of_line
from .lowering import NONE, Gradient, Lowering, Ref, Tiles, Value, lowering
from .mathematics import INFINITY
from .opcodes import opcode
from .specialised import specialised

BLOCK = 1024
_BLOCK = tl.constexpr(BLOCK)
# The tile of constrained softmax, which has much to remember of an element.
CONSTRAINED = (4, 256, 1)
# Constants of constrained softmax: steps from example to example of scores and of bounds.
_SCORES, _BOUNDS = tl.constexpr(MORE), tl.constexpr(MORE + 1)


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
def largest(words, at, tables, x, mask, LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr):
    """The largest element of each line."""
    found = filled(-INFINITY, LINES, CHUNK, AXIS)
    for first in range(0, line_length(words, at, tables), CHUNK):
        k, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        found = tl.maximum(found, tl.load(x + k, mask=there, other=-INFINITY))
    return tl.max(found, AXIS)


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


def line_work(lines: Lines, function: Any, *settings: float, tile: Tile | None = None) -> dict[str, Any]:
    """Opcode, tiles and constants of a work on lines."""
    tile = tile or lines.tile
    tiles, constants = Tiles(lines.count, tile[0]), lines.constants(*settings)
    return {"body": specialised(function, *tile), "tiles": tiles, "constants": constants}


def _lower(signature: Signature, plan: Lowering, axis: int, forward: Any, backward: Any) -> None:
    lines = lines_of(signature.operands[0], [axis])
    plan.forward(**line_work(lines, forward), views=[Value(0), Value(1)])
    if plan.needs[1]:
        plan.backward(**line_work(lines, backward), views=[Value(0), Gradient(0), Gradient(1)])


@lowering("softmax")
def lower_softmax(signature: Signature, plan: Lowering) -> None:
    """Along the axis that is the attribute."""
    _lower(signature, plan, integer(signature.attributes[0]), softmax_forward, softmax_backward)


@lowering("log_softmax")
def lower_log_softmax(signature: Signature, plan: Lowering) -> None:
    """Along the first axis."""
    _lower(signature, plan, 0, log_softmax_forward, log_softmax_backward)


@lowering("sparsemax")
def lower_sparsemax(signature: Signature, plan: Lowering) -> None:
    """Of vectors."""
    _lower(signature, plan, 0, sparsemax_forward, sparsemax_backward)


@lowering("restricted_log_softmax")
def lower_restricted_log_softmax(signature: Signature, plan: Lowering) -> None:
    """A tile for each example."""
    y = signature.results[0]
    tiles, constants = Tiles(y.batch, 1), [y.size, y.batch, signature.payload]
    plan.forward(restricted_log_softmax_forward, tiles, [Value(0), Value(1)], constants=constants)
    if plan.needs[1]:
        views = [Value(0), Gradient(0), Gradient(1)]
        plan.backward(restricted_log_softmax_backward, tiles, views, constants=constants)


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
