"""Kernels of inverse and determinant: Gauss-Jordan elimination with partial pivoting, in the place of the result."""

from __future__ import annotations

import math

import numpy as np

from weft_core.plan import T_BATCH
from weft_core.signature import Signature

from .blas import outer_add, product_transposed_add
from .cache import cached_njit
from .kernels import kernel
from .mathematics import NAN, ONE, ZERO, absolute
from .pointers import copy_floats, floats, integers, zero_floats
from .reductions import loop
from .views import batch_stride, gradient, layout, scratch, sgemm_address, size, value, view, wants_gradient

# Integer of the table: rows and columns of a matrix.
ROWS = 0


def rows_table(signature: Signature) -> list[int]:
    return [signature.operands[0].rows]


@loop
def eliminate(matrix: int, n: int, k: int) -> None:
    """Clear column k of the others with row k, and put the column of the inverse in its place."""
    column = floats(matrix + 4 * k * n)
    factor = -ONE / column[k]
    column[k] = -ONE
    for i in range(n):
        column[i] *= factor
    for j in range(n):
        if j != k:
            other = floats(matrix + 4 * j * n)
            top = other[k]
            other[k] = ZERO
            for i in range(n):
                other[i] += column[i] * top


@cached_njit
def swap(matrix: int, n: int, first: int, second: int, step: int, next_line: int) -> None:
    """Exchange two lines of n floats that begin at `first` and `second` times `next_line`."""
    a = floats(matrix)
    for i in range(n):
        at_first, at_second = first * next_line + i * step, second * next_line + i * step
        a[at_first], a[at_second] = a[at_second], a[at_first]


@cached_njit
def invert(matrix: int, n: int, pivots: int) -> float:
    """Replace a matrix by its inverse, NaN where it is singular; returns the logarithm of its determinant.

    `pivots` is room for n floats: which row became the k-th.
    """
    chosen = floats(pivots)
    logarithm = 0.0
    positive = True
    for k in range(n):
        column = floats(matrix + 4 * k * n)
        p = k
        for i in range(k + 1, n):
            if absolute(column[i]) > absolute(column[p]):
                p = i
        chosen[k] = np.float32(p)
        if p != k:
            swap(matrix, n, k, p, n, 1)
            positive = not positive
        if column[k] == ZERO:
            for i in range(n * n):
                floats(matrix)[i] = NAN
            return -math.inf
        if column[k] < ZERO:
            positive = not positive
        logarithm += math.log(abs(np.float64(column[k])))
        eliminate(matrix, n, k)
    for k in range(n - 1, -1, -1):
        p = int(chosen[k])
        if p != k:
            swap(matrix, n, k, p, 1, n)
    return logarithm if positive else math.nan


def inverse_forward(record: int, start: int, count: int) -> None:
    """Y = X^-1."""
    y, x = view(record, 0), view(record, 1)
    n = layout(record, ROWS)
    for row in range(start, start + count):
        for b in range(integers(record)[T_BATCH]):
            target = value(y, row) + 4 * b * size(y)
            copy_floats(target, value(x, row) + 4 * b * batch_stride(x), n * n)
            invert(target, n, scratch(record))


@loop
def negate(address: int, n: int) -> None:
    """`x = -x` of n floats."""
    x = floats(address)
    for i in range(n):
        x[i] = -x[i]


def inverse_backward(record: int, start: int, count: int) -> None:
    """dX -= Y^T dY Y^T."""
    y, x = view(record, 0), view(record, 1)
    if not wants_gradient(x):
        return
    n = layout(record, ROWS)
    blas, product = sgemm_address(record), scratch(record)
    for row in range(start, start + count):
        for b in range(integers(record)[T_BATCH]):
            found, dy = value(y, row) + 4 * b * size(y), gradient(y, row) + 4 * b * size(y)
            zero_floats(product, n * n)
            product_transposed_add(blas, n, n, n, found, n, dy, n, product, n)
            negate(product, n * n)
            outer_add(blas, n, n, n, product, n, found, n, gradient(x, row) + 4 * b * batch_stride(x), n)


def logdet_forward(record: int, start: int, count: int) -> None:
    """`ln det X`; saves the inverse."""
    y, saved, x = view(record, 0), view(record, 1), view(record, 2)
    n = layout(record, ROWS)
    for row in range(start, start + count):
        for b in range(integers(record)[T_BATCH]):
            matrix = value(saved, row) + 4 * b * size(saved)
            copy_floats(matrix, value(x, row) + 4 * b * batch_stride(x), n * n)
            floats(value(y, row))[b] = invert(matrix, n, scratch(record))


def logdet_backward(record: int, start: int, count: int) -> None:
    """dX += dy X^-T."""
    y, saved, x = view(record, 0), view(record, 1), view(record, 2)
    if not wants_gradient(x):
        return
    n = layout(record, ROWS)
    for row in range(start, start + count):
        for b in range(integers(record)[T_BATCH]):
            inverse, dy = floats(value(saved, row) + 4 * b * size(saved)), floats(gradient(y, row))[b]
            dx = floats(gradient(x, row) + 4 * b * batch_stride(x))
            for j in range(n):
                for i in range(n):
                    dx[j * n + i] += dy * inverse[i * n + j]


kernel("inverse", forward=inverse_forward, backward=inverse_backward, table=rows_table)
kernel("logdet", forward=logdet_forward, backward=logdet_backward, table=rows_table)
