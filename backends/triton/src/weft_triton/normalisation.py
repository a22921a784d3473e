"""Layer and weight normalisation: an example is a line; its means first, then each of its elements."""

from __future__ import annotations

import triton
import triton.language as tl

from weft_core.ops.normalisation import EPSILON
from weft_core.signature import Signature

from .access import add, base, constant, present, row_offsets, takes_gradient
from .lines import MORE, elements, filled, line_length, line_numbers, line_starts, lines_of, of_line
from .lowering import Gradient, Lowering, Tiles, Value, lowering
from .specialised import specialised

_EPSILON = tl.constexpr(EPSILON)
# Constants of weights: strides of the weights and of the gain over examples.
_WEIGHTS, _GAIN = tl.constexpr(MORE), tl.constexpr(MORE + 1)


@triton.jit
def standardize_lines(
    words, at, tile, bases, tables, PRECISION: tl.constexpr,
    LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr,
):  # fmt: skip
    """y = (x - mean) / (deviation + EPSILON). Views: y, deviation, x."""
    r, b, mask = line_numbers(words, at, tile, tables, LINES)
    start, n = line_starts(words, at, tables, b), line_length(words, at, tables)
    here = base(bases, words, at, 2) + row_offsets(words, at, 2, r, mask) + start
    source = of_line(here, AXIS)
    # From the first element on, so that equal elements have no deviation, not even by rounding.
    origin = of_line(tl.load(here, mask=mask, other=0.0), AXIS)
    total = filled(0.0, LINES, CHUNK, AXIS)
    for first in range(0, n, CHUNK):
        offset, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        total += tl.where(there, tl.load(source + offset, mask=there, other=0.0) - origin, 0.0)
    mean = of_line(tl.sum(total, AXIS) / n, AXIS)
    squares = filled(0.0, LINES, CHUNK, AXIS)
    for first in range(0, n, CHUNK):
        offset, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        centred = tl.where(there, (tl.load(source + offset, mask=there, other=0.0) - origin) - mean, 0.0)
        squares += centred * centred
    deviation = tl.sqrt(tl.sum(squares, AXIS) / n)
    scale = of_line(1.0 / (deviation + _EPSILON), AXIS)
    target = base(bases, words, at, 0) + of_line(row_offsets(words, at, 0, r, mask) + start, AXIS)
    for first in range(0, n, CHUNK):
        offset, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        centred = (tl.load(source + offset, mask=there, other=0.0) - origin) - mean
        tl.store(target + offset, centred * scale, mask=there)
    tl.store(base(bases, words, at, 1) + row_offsets(words, at, 1, r, mask) + b, deviation, mask=mask)


@triton.jit
def standardize_lines_backward(
    words, at, tile, bases, tables, PRECISION: tl.constexpr,
    LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr,
):  # fmt: skip
    """dx += (dy - mean(dy) - y mean(dy y) (deviation + EPSILON) / deviation) / (deviation + EPSILON).

    Views: y, deviation, dy, dx.
    """
    r, b, mask = line_numbers(words, at, tile, tables, LINES)
    start, n = line_starts(words, at, tables, b), line_length(words, at, tables)
    results = base(bases, words, at, 0) + of_line(row_offsets(words, at, 0, r, mask) + start, AXIS)
    gradients = base(bases, words, at, 2) + of_line(row_offsets(words, at, 2, r, mask) + start, AXIS)
    total, along = filled(0.0, LINES, CHUNK, AXIS), filled(0.0, LINES, CHUNK, AXIS)
    for first in range(0, n, CHUNK):
        offset, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        dy = tl.load(gradients + offset, mask=there, other=0.0)
        total += dy
        along += dy * tl.load(results + offset, mask=there, other=0.0)
    deviation = tl.load(base(bases, words, at, 1) + row_offsets(words, at, 1, r, mask) + b, mask=mask, other=0.0)
    broad = deviation + _EPSILON
    mean = of_line(tl.sum(total, AXIS) / n, AXIS)
    slope = of_line(tl.where(deviation > 0.0, tl.sum(along, AXIS) / n * (broad / deviation), 0.0), AXIS)
    scale = of_line(1.0 / broad, AXIS)
    own = row_offsets(words, at, 3, r, mask)
    target = base(bases, words, at, 3) + of_line(own + start, AXIS)
    mask &= takes_gradient(words, at, 3, own)
    for first in range(0, n, CHUNK):
        offset, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        dy = tl.load(gradients + offset, mask=there, other=0.0)
        dx = scale * (dy - mean - tl.load(results + offset, mask=there, other=0.0) * slope)
        add(target + offset, dx, there, words, at, 3)


@triton.jit
def norm_lines(
    words, at, tile, bases, tables, PRECISION: tl.constexpr,
    LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr,
):  # fmt: skip
    """y = g w / |w|, zeros where w is 0. Views: y, |w|, w, g."""
    r, b, mask = line_numbers(words, at, tile, tables, LINES)
    n = line_length(words, at, tables)
    start = row_offsets(words, at, 2, r, mask) + b * constant(words, at, tables, _WEIGHTS)
    source = base(bases, words, at, 2) + of_line(start, AXIS)
    squares = filled(0.0, LINES, CHUNK, AXIS)
    for first in range(0, n, CHUNK):
        offset, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        w = tl.load(source + offset, mask=there, other=0.0)
        squares += w * w
    norm = tl.sqrt(tl.sum(squares, AXIS))
    gain = row_offsets(words, at, 3, r, mask) + b * constant(words, at, tables, _GAIN)
    g = tl.load(base(bases, words, at, 3) + gain, mask=mask, other=0.0)
    factor = of_line(tl.where(norm > 0.0, g / norm, 0.0), AXIS)
    start = row_offsets(words, at, 0, r, mask) + line_starts(words, at, tables, b)
    target = base(bases, words, at, 0) + of_line(start, AXIS)
    for first in range(0, n, CHUNK):
        offset, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        tl.store(target + offset, tl.load(source + offset, mask=there, other=0.0) * factor, mask=there)
    tl.store(base(bases, words, at, 1) + row_offsets(words, at, 1, r, mask) + b, norm, mask=mask)


@triton.jit
def norm_lines_backward(
    words, at, tile, bases, tables, PRECISION: tl.constexpr,
    LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr,
):  # fmt: skip
    """dg += u dy and dw += (dy - u (u dy)) g / |w| with u = w / |w|; nothing where w is 0.

    Views: |w|, w, g, dy, dw, dg.
    """
    r, b, mask = line_numbers(words, at, tile, tables, LINES)
    n = line_length(words, at, tables)
    start, gain = b * constant(words, at, tables, _WEIGHTS), b * constant(words, at, tables, _GAIN)
    weights = base(bases, words, at, 1) + of_line(row_offsets(words, at, 1, r, mask) + start, AXIS)
    begin = row_offsets(words, at, 3, r, mask) + line_starts(words, at, tables, b)
    gradients = base(bases, words, at, 3) + of_line(begin, AXIS)
    products = filled(0.0, LINES, CHUNK, AXIS)
    for first in range(0, n, CHUNK):
        offset, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        w = tl.load(weights + offset, mask=there, other=0.0)
        products += w * tl.load(gradients + offset, mask=there, other=0.0)
    norm = tl.load(base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + b, mask=mask, other=0.0)
    inverse = tl.where(norm > 0.0, 1.0 / norm, 0.0)
    dg = tl.sum(products, AXIS) * inverse
    if present(words, at, 5):
        own = row_offsets(words, at, 5, r, mask)
        takes = mask & takes_gradient(words, at, 5, own)
        add(base(bases, words, at, 5) + own + gain, dg, takes, words, at, 5)
    if present(words, at, 4):
        g = tl.load(base(bases, words, at, 2) + row_offsets(words, at, 2, r, mask) + gain, mask=mask, other=0.0)
        own = row_offsets(words, at, 4, r, mask)
        target = base(bases, words, at, 4) + of_line(own + start, AXIS)
        takes = mask & takes_gradient(words, at, 4, own)
        along, scale = of_line(dg * inverse, AXIS), of_line(g * inverse, AXIS)
        for first in range(0, n, CHUNK):
            offset, there = elements(words, at, tables, first, takes, CHUNK, AXIS)
            w = tl.load(weights + offset, mask=there, other=0.0)
            dw = (tl.load(gradients + offset, mask=there, other=0.0) - along * w) * scale
            add(target + offset, dw, there, words, at, 4)


@lowering("standardize")
def lower_standardize(signature: Signature, plan: Lowering) -> None:
    """Every example for itself."""
    x = signature.operands[0]
    lines = lines_of(x, range(len(x.dims)))
    tiles = Tiles(lines.count, lines.tile[0])
    forward = specialised(standardize_lines, *lines.tile)
    plan.forward(forward, tiles, [Value(0), Value(1), Value(2)], constants=lines.constants())
    if plan.needs[2]:
        backward = specialised(standardize_lines_backward, *lines.tile)
        views = [Value(0), Value(1), Gradient(0), Gradient(2)]
        plan.backward(backward, tiles, views, constants=lines.constants())


@lowering("weight_norm")
def lower_weight_norm(signature: Signature, plan: Lowering) -> None:
    """Every example for itself; weights or a gain that are the same for all receive the gradients of each."""
    y, (w, g) = signature.results[0], signature.operands
    lines = lines_of(y, range(len(y.dims)))
    tiles = Tiles(lines.count, lines.tile[0])
    constants = lines.constants(w.size if w.batch > 1 else 0, 1 if g.batch > 1 else 0)
    forward = specialised(norm_lines, *lines.tile)
    plan.forward(forward, tiles, [Value(0), Value(1), Value(2), Value(3)], constants=constants)
    if plan.needs[2] or plan.needs[3]:
        dw, dg = (Gradient(k, shared=x.batch < y.batch) for k, x in ((2, w), (3, g)))
        views = [Value(1), Value(2), Value(3), Gradient(0), dw, dg]
        plan.backward(specialised(norm_lines_backward, *lines.tile), tiles, views, constants=constants)
