"""Kernel of the one activation that is not elementwise."""

from __future__ import annotations

import triton
import triton.language as tl

from weft_core.ops.activations import STRAIGHT_THROUGH
from weft_core.signature import Signature

from .lines import elements, line_length, line_numbers, line_starts, lines_of, of_element, of_line
from .lowering import Lowering, Value, lowering
from .moves import Axis, give_back
from .ordered import LEAST, first_largest, ordered
from .softmax import line_in, line_work


@triton.jit
def argmax_forward(
    words, at, tile, bases, tables, PRECISION: tl.constexpr,
    LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr,
):  # fmt: skip
    """y = 1 at the first maximum of each line, 0 elsewhere; NaN is larger than any number."""
    r, j, mask = line_numbers(words, at, tile, tables, LINES)
    start = line_starts(words, at, tables, j)
    x = line_in(bases, words, at, 1, r, start, mask, AXIS)
    largest = tl.full([LINES], LEAST, tl.int32)
    position = tl.zeros([LINES], tl.int32)
    for first in range(0, line_length(words, at, tables), CHUNK):
        offset, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        numbers = tl.where(there, ordered(tl.load(x + offset, mask=there, other=0.0)), LEAST)
        k = of_element(first + tl.arange(0, CHUNK), AXIS)
        largest, position = first_largest(numbers, k, largest, position, AXIS)
    y = line_in(bases, words, at, 0, r, start, mask, AXIS)
    for first in range(0, line_length(words, at, tables), CHUNK):
        offset, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        k = of_element(first + tl.arange(0, CHUNK), AXIS)
        tl.store(y + offset, tl.where(k == of_line(position, AXIS), 1.0, 0.0), mask=there)


@lowering("argmax")
def lower_argmax(signature: Signature, plan: Lowering) -> None:
    """The gradient passes, or there is none."""
    (x,) = signature.operands
    plan.forward(**line_work(lines_of(x, [0]), argmax_forward), views=[Value(0), Value(1)])
    if plan.needs[1] and signature.attributes[0] == STRAIGHT_THROUGH:
        give_back(plan, [Axis(x.total, 1, 1)])
