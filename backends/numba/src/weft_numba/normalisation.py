"""Kernels of layer and weight normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft_core.ops.normalisation import EPSILON
from weft_core.plan import T_BATCH

from .kernels import kernel
from .mathematics import ONE, ZERO, sqrt
from .pointers import floats, integers
from .reductions import loop
from .views import batch_stride, gradient, size, value, view, wants_gradient

SMALL = np.float32(EPSILON)


@loop
def standardize(target: int, source: int, n: int) -> Any:
    """Write `(x - mean) / (deviation + SMALL)`; returns the deviation."""
    x, y = floats(source), floats(target)
    # From the first element on, so that equal elements have no deviation, not even by rounding.
    first, s = x[0], ZERO
    for i in range(n):
        y[i] = x[i] - first
        s += y[i]
    mean = s / np.float32(n)
    squares = ZERO
    for i in range(n):
        y[i] -= mean
        squares += y[i] * y[i]
    deviation = sqrt(squares / np.float32(n))
    scale = ONE / (deviation + SMALL)
    for i in range(n):
        y[i] *= scale
    return deviation


@loop
def standardize_backward(target: int, gradients: int, results: int, n: int, deviation: Any) -> None:
    """`dx += (dy - mean(dy) - y mean(dy y) (deviation + SMALL) / deviation) / (deviation + SMALL)`."""
    dx, dy, y = floats(target), floats(gradients), floats(results)
    s = along = ZERO
    for i in range(n):
        s += dy[i]
        along += dy[i] * y[i]
    scale = ONE / (deviation + SMALL)
    mean = s / np.float32(n)
    along = along / np.float32(n) * ((deviation + SMALL) / deviation) if deviation > ZERO else ZERO
    for i in range(n):
        dx[i] += scale * (dy[i] - mean - y[i] * along)


def standardize_rows(record: int, start: int, count: int) -> None:
    """Every example for itself; saves the deviation."""
    y, saved, x = view(record, 0), view(record, 1), view(record, 2)
    n = size(y)
    for row in range(start, start + count):
        for b in range(integers(record)[T_BATCH]):
            source = value(x, row) + 4 * b * batch_stride(x)
            floats(value(saved, row))[b] = standardize(value(y, row) + 4 * b * n, source, n)


def standardize_rows_backward(record: int, start: int, count: int) -> None:
    """Every example for itself."""
    y, saved, x = view(record, 0), view(record, 1), view(record, 2)
    if not wants_gradient(x):
        return
    n = size(y)
    for row in range(start, start + count):
        for b in range(integers(record)[T_BATCH]):
            dx, dy = gradient(x, row) + 4 * b * batch_stride(x), gradient(y, row) + 4 * b * n
            standardize_backward(dx, dy, value(y, row) + 4 * b * n, n, floats(value(saved, row))[b])


@loop
def scalar_product(left: int, right: int, n: int) -> Any:
    """Sum of the products of n floats with n others."""
    x, y = floats(left), floats(right)
    s = ZERO
    for i in range(n):
        s += x[i] * y[i]
    return s


@loop
def weight_gradient(target: int, weights: int, gradients: int, n: int, along: Any, scale: Any) -> None:
    """`dw += (dy - along w) scale`."""
    dw, w, dy = floats(target), floats(weights), floats(gradients)
    for i in range(n):
        dw[i] += (dy[i] - along * w[i]) * scale


def weight_norm_forward(record: int, start: int, count: int) -> None:
    """`g w / |w|`, zeros where w is 0; saves `|w|`."""
    y, saved, w, g = view(record, 0), view(record, 1), view(record, 2), view(record, 3)
    n = size(y)
    for row in range(start, start + count):
        for b in range(integers(record)[T_BATCH]):
            source = value(w, row) + 4 * b * batch_stride(w)
            gain = floats(value(g, row))[b * batch_stride(g)]
            norm = sqrt(scalar_product(source, source, n))
            factor = gain / norm if norm > ZERO else ZERO
            weights, target = floats(source), floats(value(y, row) + 4 * b * n)
            for i in range(n):
                target[i] = weights[i] * factor
            floats(value(saved, row))[b] = norm


def weight_norm_backward(record: int, start: int, count: int) -> None:
    """dg += w dy / |w|, dw += (dy - w (w dy) / |w|^2) g / |w|; nothing where w is 0."""
    y, saved, w, g = view(record, 0), view(record, 1), view(record, 2), view(record, 3)
    n = size(y)
    for row in range(start, start + count):
        for b in range(integers(record)[T_BATCH]):
            source, dy = value(w, row) + 4 * b * batch_stride(w), gradient(y, row) + 4 * b * n
            norm = floats(value(saved, row))[b]
            inverse = ONE / norm if norm > ZERO else ZERO
            dg = scalar_product(source, dy, n) * inverse
            if wants_gradient(g):
                floats(gradient(g, row))[b * batch_stride(g)] += dg
            if wants_gradient(w):
                scale = floats(value(g, row))[b * batch_stride(g)] * inverse
                weight_gradient(gradient(w, row) + 4 * b * batch_stride(w), source, dy, n, dg * inverse, scale)


kernel("standardize", forward=standardize_rows, backward=standardize_rows_backward)
kernel("weight_norm", forward=weight_norm_forward, backward=weight_norm_backward)
