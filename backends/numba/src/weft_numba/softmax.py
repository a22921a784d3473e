"""Kernels of the softmax family: line by line, the largest element first."""

from __future__ import annotations

from typing import Any

from weft_core.plan import T_BATCH, T_PAYLOAD

from .kernels import kernel
from .mathematics import INFINITY, ONE, ZERO, exp, log
from .pointers import floats, integers
from .reductions import (
    LENGTH,
    STRIDE,
    along_attribute,
    along_first,
    centred,
    larger,
    largest,
    line,
    lines,
    loop,
    sum_exp,
)
from .views import batch_stride, gradient, layout, payload, scratch, size, value, view, wants_gradient


def softmax_forward(record: int, start: int, count: int) -> None:
    """`exp(x - max) / sum`, the sum taken while the exponentials are written."""
    y, x = view(record, 0), view(record, 1)
    stride, n = layout(record, STRIDE), layout(record, LENGTH)
    for row in range(start, start + count):
        for j in range(lines(record, x)):
            at = line(record, j)
            source, target = floats(value(x, row) + at), floats(value(y, row) + at)
            shift = largest(value(x, row) + at, n, stride)
            s = ZERO
            for k in range(n):
                e = exp(source[k * stride] - shift)
                target[k * stride] = e
                s += e
            scale = ONE / s
            for k in range(n):
                target[k * stride] *= scale


def softmax_backward(record: int, start: int, count: int) -> None:
    """dx += y (dy - sum y dy)."""
    y, x = view(record, 0), view(record, 1)
    if not wants_gradient(x):
        return
    stride, n = layout(record, STRIDE), layout(record, LENGTH)
    for row in range(start, start + count):
        for j in range(lines(record, x)):
            at = line(record, j)
            p, dy = floats(value(y, row) + at), floats(gradient(y, row) + at)
            dx = floats(gradient(x, row) + at)
            mean = ZERO
            for k in range(n):
                mean += p[k * stride] * dy[k * stride]
            for k in range(n):
                dx[k * stride] += p[k * stride] * (dy[k * stride] - mean)


def log_softmax_forward(record: int, start: int, count: int) -> None:
    """`(x - max) - ln sum exp(x - max)`."""
    y, x = view(record, 0), view(record, 1)
    n = layout(record, LENGTH)
    for row in range(start, start + count):
        for j in range(lines(record, x)):
            at = line(record, j)
            source, target = floats(value(x, row) + at), floats(value(y, row) + at)
            shift = largest(value(x, row) + at, n, 1)
            normalizer = log(sum_exp(value(x, row) + at, n, 1, shift))
            for k in range(n):
                target[k] = centred(source[k], shift, normalizer)


def log_softmax_backward(record: int, start: int, count: int) -> None:
    """dx += dy - exp(y) sum dy."""
    y, x = view(record, 0), view(record, 1)
    if not wants_gradient(x):
        return
    n = layout(record, LENGTH)
    for row in range(start, start + count):
        for j in range(lines(record, x)):
            at = line(record, j)
            result, dy = floats(value(y, row) + at), floats(gradient(y, row) + at)
            dx = floats(gradient(x, row) + at)
            s = ZERO
            for k in range(n):
                s += dy[k]
            for k in range(n):
                dx[k] += dy[k] - exp(result[k]) * s


def restricted_forward(record: int, start: int, count: int) -> None:
    """Log-softmax over the elements that the payload names; -inf elsewhere."""
    y, x = view(record, 0), view(record, 1)
    allowed = integers(record)[T_PAYLOAD]
    for row in range(start, start + count):
        for b in range(integers(record)[T_BATCH]):
            source, target = floats(value(x, row) + 4 * b * size(x)), floats(value(y, row) + 4 * b * size(y))
            for i in range(size(y)):
                target[i] = -INFINITY
            shift = source[payload(record, 0, row)]
            for k in range(1, allowed):
                shift = larger(shift, source[payload(record, k, row)])
            s = ZERO
            for k in range(allowed):
                s += exp(source[payload(record, k, row)] - shift)
            normalizer = log(s)
            for k in range(allowed):
                i = payload(record, k, row)
                target[i] = centred(source[i], shift, normalizer)


def restricted_backward(record: int, start: int, count: int) -> None:
    """dx += dy - exp(y) sum dy over the elements that the payload names."""
    y, x = view(record, 0), view(record, 1)
    if not wants_gradient(x):
        return
    allowed = integers(record)[T_PAYLOAD]
    for row in range(start, start + count):
        for b in range(integers(record)[T_BATCH]):
            result, dy = floats(value(y, row) + 4 * b * size(y)), floats(gradient(y, row) + 4 * b * size(y))
            dx = floats(gradient(x, row) + 4 * b * size(x))
            s = ZERO
            for k in range(allowed):
                s += dy[payload(record, k, row)]
            for k in range(allowed):
                i = payload(record, k, row)
                dx[i] += dy[i] - exp(result[i]) * s


@loop
def simplex_threshold(address: int, n: int, shift: Any) -> Any:
    """tau with `sum max(x - shift - tau, 0) = 1`; `shift` is the largest x.

    The support is cut down to the elements above the threshold that it gives, until it stays (Michelot 1986).
    It starts with all that can belong to it: tau is at least -1.
    """
    x = floats(address)
    threshold = -ONE
    known = INFINITY
    while True:
        s = support = ZERO
        for i in range(n):
            z = x[i] - shift
            s += z if z > threshold else ZERO
            support += ONE if z > threshold else ZERO
        if not ZERO < support < known:
            return threshold
        known = support
        threshold = (s - ONE) / support


def sparsemax_forward(record: int, start: int, count: int) -> None:
    """`max(x - tau, 0)`."""
    y, x = view(record, 0), view(record, 1)
    n = layout(record, LENGTH)
    for row in range(start, start + count):
        for j in range(lines(record, x)):
            at = line(record, j)
            source, target = floats(value(x, row) + at), floats(value(y, row) + at)
            shift = largest(value(x, row) + at, n, 1)
            threshold = simplex_threshold(value(x, row) + at, n, shift)
            for i in range(n):
                z = centred(source[i], shift, threshold)
                target[i] = ZERO if z <= ZERO else z


def sparsemax_backward(record: int, start: int, count: int) -> None:
    """dx += dy - mean of dy, on the support."""
    y, x = view(record, 0), view(record, 1)
    if not wants_gradient(x):
        return
    n = layout(record, LENGTH)
    for row in range(start, start + count):
        for j in range(lines(record, x)):
            at = line(record, j)
            p, dy = floats(value(y, row) + at), floats(gradient(y, row) + at)
            dx = floats(gradient(x, row) + at)
            s = support = ZERO
            for i in range(n):
                s += dy[i] if p[i] > ZERO else ZERO
                support += ONE if p[i] > ZERO else ZERO
            mean = s / support
            for i in range(n):
                dx[i] += dy[i] - mean if p[i] > ZERO else ZERO


BOUNDED = -ONE
"""In the place of a weight: this probability is at its bound."""


@loop
def share(source: int, bounds: int, weights: int, n: int) -> Any:
    """Fill in weights, `BOUNDED` where at the bound; returns the factor that makes the others probabilities."""
    x, bound, weight = floats(source), floats(bounds), floats(weights)
    shift = largest(source, n, 1)
    for i in range(n):
        weight[i] = exp(x[i] - shift)
    while True:
        free, s = ONE, ZERO
        for i in range(n):
            free -= bound[i] if weight[i] < ZERO else ZERO
            s += ZERO if weight[i] < ZERO else weight[i]
        scale = free / s
        above = 0
        for i in range(n):
            over = (weight[i] >= ZERO) & (weight[i] * scale > bound[i])
            weight[i] = BOUNDED if over else weight[i]
            above += 1 if over else 0
        if above == 0:
            return scale


def constrained_forward(record: int, start: int, count: int) -> None:
    """Softmax, the excess over the bounds shared among the others."""
    y, x, bounds = view(record, 0), view(record, 1), view(record, 2)
    weights = scratch(record)
    for row in range(start, start + count):
        for b in range(integers(record)[T_BATCH]):
            source = value(x, row) + 4 * b * batch_stride(x)
            limit = value(bounds, row) + 4 * b * batch_stride(bounds)
            scale = share(source, limit, weights, size(y))
            target, weight, bound = floats(value(y, row) + 4 * b * size(y)), floats(weights), floats(limit)
            for i in range(size(y)):
                target[i] = bound[i] if weight[i] < ZERO else weight[i] * scale


def constrained_backward(record: int, start: int, count: int) -> None:
    """dx += y (dy - mean) on the free, dbound += dy - mean on the bounded; mean is that of dy under the free y."""
    y, x, bounds = view(record, 0), view(record, 1), view(record, 2)
    n = size(y)
    weight = floats(scratch(record))
    for row in range(start, start + count):
        for b in range(integers(record)[T_BATCH]):
            at_x, at_bound = 4 * b * batch_stride(x), 4 * b * batch_stride(bounds)
            scale = share(value(x, row) + at_x, value(bounds, row) + at_bound, scratch(record), n)
            dy = floats(gradient(y, row) + 4 * b * n)
            mean = free = ZERO
            for i in range(n):
                p = ZERO if weight[i] < ZERO else weight[i] * scale
                mean += p * dy[i]
                free += p
            mean /= free
            if wants_gradient(x):
                dx = floats(gradient(x, row) + at_x)
                for i in range(n):
                    dx[i] += ZERO if weight[i] < ZERO else weight[i] * scale * (dy[i] - mean)
            if wants_gradient(bounds):
                dbound = floats(gradient(bounds, row) + at_bound)
                for i in range(n):
                    dbound[i] += dy[i] - mean if weight[i] < ZERO else ZERO


kernel("softmax", forward=softmax_forward, backward=softmax_backward, table=along_attribute)
kernel("log_softmax", forward=log_softmax_forward, backward=log_softmax_backward, table=along_first)
kernel("restricted_log_softmax", forward=restricted_forward, backward=restricted_backward)
kernel("sparsemax", forward=sparsemax_forward, backward=sparsemax_backward, table=along_first)
kernel("constrained_softmax", forward=constrained_forward, backward=constrained_backward)
