"""Kernels of circular convolution and correlation: one run of additions for each element of the first vector."""

from __future__ import annotations

from collections.abc import Callable

from weft_core.plan import T_BATCH

from .kernels import kernel
from .pointers import floats, integers, zero_floats
from .reductions import loop
from .views import batch_stride, gradient, size, total, value, view, wants_gradient


@loop
def convolve_add(target: int, left: int, right: int, n: int) -> None:
    """`y_k += sum_i u_i v_(k-i)`, indices modulo n."""
    y, u, v = floats(target), floats(left), floats(right)
    for i in range(n):
        factor = u[i]
        shifted, wrapped = floats(target + 4 * i), floats(right + 4 * (n - i))
        for k in range(n - i):
            shifted[k] += factor * v[k]
        for k in range(i):
            y[k] += factor * wrapped[k]


@loop
def correlate_add(target: int, left: int, right: int, n: int) -> None:
    """`y_k += sum_i u_i v_(i+k)`, indices modulo n."""
    y, u, v = floats(target), floats(left), floats(right)
    for i in range(n):
        factor = u[i]
        shifted, wrapped = floats(right + 4 * i), floats(target + 4 * (n - i))
        for k in range(n - i):
            y[k] += factor * shifted[k]
        for k in range(i):
            wrapped[k] += factor * v[k]


def forward_of(add: Callable[[int, int, int, int], None]) -> Callable[[int, int, int], None]:
    """The kernel that gives y what `add` makes of u and v, example by example."""

    def forward(record: int, start: int, count: int) -> None:
        y, u, v = view(record, 0), view(record, 1), view(record, 2)
        n = size(y)
        zero_floats(value(y, start), count * total(y))
        for row in range(start, start + count):
            for b in range(integers(record)[T_BATCH]):
                left, right = value(u, row) + 4 * b * batch_stride(u), value(v, row) + 4 * b * batch_stride(v)
                add(value(y, row) + 4 * b * n, left, right, n)

    return forward


def convolution_backward(record: int, start: int, count: int) -> None:
    """du += the correlation of v and dy, dv += that of u and dy."""
    y, u, v = view(record, 0), view(record, 1), view(record, 2)
    n = size(y)
    for row in range(start, start + count):
        for b in range(integers(record)[T_BATCH]):
            at_u, at_v = 4 * b * batch_stride(u), 4 * b * batch_stride(v)
            dy = gradient(y, row) + 4 * b * n
            if wants_gradient(u):
                correlate_add(gradient(u, row) + at_u, value(v, row) + at_v, dy, n)
            if wants_gradient(v):
                correlate_add(gradient(v, row) + at_v, value(u, row) + at_u, dy, n)


def correlation_backward(record: int, start: int, count: int) -> None:
    """du += the correlation of dy and v, dv += the convolution of dy and u."""
    y, u, v = view(record, 0), view(record, 1), view(record, 2)
    n = size(y)
    for row in range(start, start + count):
        for b in range(integers(record)[T_BATCH]):
            at_u, at_v = 4 * b * batch_stride(u), 4 * b * batch_stride(v)
            dy = gradient(y, row) + 4 * b * n
            if wants_gradient(u):
                correlate_add(gradient(u, row) + at_u, dy, value(v, row) + at_v, n)
            if wants_gradient(v):
                convolve_add(gradient(v, row) + at_v, dy, value(u, row) + at_u, n)


kernel("circ_conv", forward=forward_of(convolve_add), backward=convolution_backward)
kernel("circ_corr", forward=forward_of(correlate_add), backward=correlation_backward)
