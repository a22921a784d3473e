"""Kernel of the one activation that is not elementwise."""

from __future__ import annotations

from weft_core.ops.activations import STRAIGHT_THROUGH
from weft_core.signature import Signature

from .kernels import kernel
from .mathematics import ONE
from .pointers import floats, zero_floats
from .reductions import LENGTH, add_floats, along_first, first_position, largest, line, lines
from .views import gradient, layout, total, value, view, wants_gradient

PASSES = LENGTH + 1


def argmax_table(signature: Signature) -> list[int]:
    """Lines along the first axis, and whether the gradient passes."""
    return [*along_first(signature), int(signature.attributes[0] == STRAIGHT_THROUGH)]


def argmax_forward(record: int, start: int, count: int) -> None:
    """1 at the first maximum of each line."""
    y, x = view(record, 0), view(record, 1)
    n = layout(record, LENGTH)
    for row in range(start, start + count):
        zero_floats(value(y, row), total(y))
        for j in range(lines(record, x)):
            source = value(x, row) + line(record, j)
            k = first_position(source, n, 1, largest(source, n, 1))
            floats(value(y, row) + line(record, j))[k] = ONE


def argmax_backward(record: int, start: int, count: int) -> None:
    """The gradient passes, or there is none."""
    y, x = view(record, 0), view(record, 1)
    if not wants_gradient(x) or not layout(record, PASSES):
        return
    for row in range(start, start + count):
        add_floats(gradient(x, row), gradient(y, row), total(x))


kernel("argmax", forward=argmax_forward, backward=argmax_backward, table=argmax_table)
