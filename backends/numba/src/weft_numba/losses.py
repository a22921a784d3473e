"""Kernels of losses over a vector of scores, one wanted class per example."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft_core.plan import T_BATCH

from .kernels import kernel
from .mathematics import ONE, ZERO, exp, formula, log
from .pointers import floats, integers
from .reductions import largest, sum_exp
from .views import gradient, payload, setting, size, value, view, wants_gradient


@formula
def negative_log(normalizer: Any, x: Any, shift: Any) -> Any:
    """`normalizer - (x - shift)`, in this order, as in `reductions.centred`."""
    return normalizer - (x - shift)


def negative_log_softmax_forward(record: int, start: int, count: int) -> None:
    """`ln sum exp(x - max) - (x_v - max)`; saves `ln sum exp(x)`."""
    y, saved, x = view(record, 0), view(record, 1), view(record, 2)
    n = size(x)
    for row in range(start, start + count):
        for b in range(integers(record)[T_BATCH]):
            source = value(x, row) + 4 * b * n
            shift = largest(source, n, 1)
            normalizer = log(sum_exp(source, n, 1, shift))
            floats(value(y, row))[b] = negative_log(normalizer, floats(source)[payload(record, b, row)], shift)
            floats(value(saved, row))[b] = shift + normalizer


def negative_log_softmax_backward(record: int, start: int, count: int) -> None:
    """dx += dy (exp(x - ln sum exp(x)) - onehot(v))."""
    y, saved, x = view(record, 0), view(record, 1), view(record, 2)
    if not wants_gradient(x):
        return
    n = size(x)
    for row in range(start, start + count):
        for b in range(integers(record)[T_BATCH]):
            source, dx = floats(value(x, row) + 4 * b * n), floats(gradient(x, row) + 4 * b * n)
            normalizer, dy = floats(value(saved, row))[b], floats(gradient(y, row))[b]
            for i in range(n):
                dx[i] += dy * exp(source[i] - normalizer)
            dx[payload(record, b, row)] -= dy


def hinge_forward(record: int, start: int, count: int) -> None:
    """Sum of `max(0, x_i - x_v + margin)` over the other classes."""
    y, x = view(record, 0), view(record, 1)
    n, margin = size(x), np.float32(setting(record, 0))
    for row in range(start, start + count):
        for b in range(integers(record)[T_BATCH]):
            source, wanted = floats(value(x, row) + 4 * b * n), payload(record, b, row)
            limit = source[wanted] - margin
            s = ZERO
            for i in range(n):
                excess = source[i] - limit
                s += ZERO if (i == wanted) | (excess <= ZERO) else excess
            floats(value(y, row))[b] = s


def hinge_backward(record: int, start: int, count: int) -> None:
    """Every class that is too near receives dy, and the wanted one as often -dy."""
    y, x = view(record, 0), view(record, 1)
    if not wants_gradient(x):
        return
    n, margin = size(x), np.float32(setting(record, 0))
    for row in range(start, start + count):
        for b in range(integers(record)[T_BATCH]):
            source, dx = floats(value(x, row) + 4 * b * n), floats(gradient(x, row) + 4 * b * n)
            wanted, dy = payload(record, b, row), floats(gradient(y, row))[b]
            limit = source[wanted] - margin
            near = ZERO
            for i in range(n):
                counts = ONE if (i != wanted) & (source[i] > limit) else ZERO
                dx[i] += dy * counts
                near += counts
            dx[wanted] -= dy * near


kernel("pickneglogsoftmax", forward=negative_log_softmax_forward, backward=negative_log_softmax_backward)
kernel("hinge", forward=hinge_forward, backward=hinge_backward)
