"""Kernels of filters along the columns of a matrix: a product for each column of the filters.

Column k of all filters is a matrix F_k, and what it meets, the columns of X from k on, is another one, X_k. Both lie in
memory as they are: nothing is copied.
"""

from __future__ import annotations

from weft_core.plan import T_BATCH
from weft_core.signature import Signature

from .blas import outer_add, product_add, product_transposed_add
from .convolution import example, example_gradient
from .kernels import kernel
from .pointers import integers, zero_floats
from .views import layout, sgemm_address, total, value, view, wants_gradient

HEIGHT, WIDTH, FILTERS, COLUMNS = range(4)


def narrow_table(signature: Signature) -> list[int]:
    """Sizes of one example's matrices."""
    _, f = signature.operands
    return [f.rows, f.dims[1], *signature.results[0].dims]


def narrow_forward(record: int, start: int, count: int) -> None:
    """Y = sum over k of F_k^T X_k."""
    y, x, f = view(record, 0), view(record, 1), view(record, 2)
    height, width, n = layout(record, HEIGHT), layout(record, WIDTH), layout(record, FILTERS)
    zero_floats(value(y, start), count * total(y))
    for e in range(count * integers(record)[T_BATCH]):
        for k in range(0, height * width, height):
            product_transposed_add(
                sgemm_address(record), height, layout(record, COLUMNS), n, example(record, f, start, e) + 4 * k,
                height * width, example(record, x, start, e) + 4 * k, height, example(record, y, start, e), n,
            )  # fmt: skip


def narrow_backward(record: int, start: int, count: int) -> None:
    """dX_k += F_k dY, dF_k += X_k dY^T."""
    y, x, f = view(record, 0), view(record, 1), view(record, 2)
    height, width, n = layout(record, HEIGHT), layout(record, WIDTH), layout(record, FILTERS)
    columns, blas = layout(record, COLUMNS), sgemm_address(record)
    for e in range(count * integers(record)[T_BATCH]):
        dy = example_gradient(record, y, start, e)
        for k in range(0, height * width, height):
            if wants_gradient(x):
                weights, dx = example(record, f, start, e) + 4 * k, example_gradient(record, x, start, e) + 4 * k
                product_add(blas, height, columns, n, weights, height * width, dy, n, dx, height)
            if wants_gradient(f):
                met, df = example(record, x, start, e) + 4 * k, example_gradient(record, f, start, e) + 4 * k
                outer_add(blas, height, columns, n, met, height, dy, n, df, height * width)


kernel("filter1d_narrow", forward=narrow_forward, backward=narrow_backward, table=narrow_table)
