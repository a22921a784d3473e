"""Kernels of products of computed matrices; those with parameters are gated kernels."""

from __future__ import annotations

from weft_core.plan import T_BATCH, V_GRADIENT_ROWS, V_ROWS
from weft_core.signature import Signature

from .blas import outer_add, product_add, product_transposed_add
from .cache import cached_njit
from .kernels import kernel
from .pointers import integers, zero_floats
from .views import (
    adjacent,
    batch_stride,
    gradient,
    gradients_adjacent,
    layout,
    row_distance,
    sgemm_address,
    total,
    value,
    view,
    wants_gradient,
)

# Integers of the table: X is rows x inner, Y is inner x columns.
ROWS, INNER, COLUMNS = range(3)


def product_table(signature: Signature) -> list[int]:
    """Sizes of one example's matrices."""
    x, y = signature.operands
    return [x.rows, x.dim(1), y.dim(1)]


@cached_njit
def repeats(v: int, start: int, count: int) -> bool:
    """Whether these instructions share one operand."""
    rows, gradient_rows = integers(v)[V_ROWS], integers(v)[V_GRADIENT_ROWS]
    return row_distance(rows, start, count) == 0 and row_distance(gradient_rows, start, count) == 0


@cached_njit
def spans(record: int, start: int, count: int) -> tuple[int, int, int]:
    """Instructions, examples and columns of the products; a left operand that stays the same meets many columns."""
    x, y = view(record, 1), view(record, 2)
    examples, columns = integers(record)[T_BATCH], layout(record, COLUMNS)
    if batch_stride(x) != 0:
        return count, examples, columns
    columns *= examples
    side_by_side = adjacent(y, start, count) and gradients_adjacent(y, start, count)
    if count > 1 and side_by_side and repeats(x, start, count):
        return 1, 1, columns * count
    return count, 1, columns


def product_forward(record: int, start: int, count: int) -> None:
    """Z = X Y."""
    z, x, y = view(record, 0), view(record, 1), view(record, 2)
    m, k = layout(record, ROWS), layout(record, INNER)
    zero_floats(value(z, start), count * total(z))
    instructions, examples, n = spans(record, start, count)
    for row in range(start, start + instructions):
        for b in range(examples):
            left, right = value(x, row) + 4 * b * batch_stride(x), value(y, row) + 4 * b * batch_stride(y)
            product_add(sgemm_address(record), m, n, k, left, m, right, k, value(z, row) + 4 * b * m * n, m)


def product_backward(record: int, start: int, count: int) -> None:
    """dX += dZ Y^T, dY += X^T dZ."""
    z, x, y = view(record, 0), view(record, 1), view(record, 2)
    m, k = layout(record, ROWS), layout(record, INNER)
    instructions, examples, n = spans(record, start, count)
    for row in range(start, start + instructions):
        for b in range(examples):
            at_x, at_y = 4 * b * batch_stride(x), 4 * b * batch_stride(y)
            dz = gradient(z, row) + 4 * b * m * n
            if wants_gradient(x):
                right, dx = value(y, row) + at_y, gradient(x, row) + at_x
                outer_add(sgemm_address(record), m, n, k, dz, m, right, k, dx, m)
            if wants_gradient(y):
                left, dy = value(x, row) + at_x, gradient(y, row) + at_y
                product_transposed_add(sgemm_address(record), m, n, k, left, m, dz, m, dy, k)


kernel("matrix_product", forward=product_forward, backward=product_backward, table=product_table)
