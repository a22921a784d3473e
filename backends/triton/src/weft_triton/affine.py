"""Products of parameters with gathered columns: gates = sum of W x + b for all columns of a step, and their gradients.

A column is one example of one instruction (or one of its columns, where operands are matrices). The constants of a
*side* are: rows of the gates, columns of an instruction, number of products, number of biases, whether the result is
added to; then `PRODUCT` numbers for each product and `BIAS` numbers for each bias. The first views are said by each
body; operands, weights and biases are named by view.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .access import add, base, constant, row_offsets, rows, takes_gradient
from .dots import dot
from .opcodes import opcode
from .tiles import memory, size, starts_of

# Of a product: views of operand and weight, first gate row, weight rows, where its part of the weight begins, width of
# the operand, columns that the operand has itself.
P_OPERAND, P_WEIGHT, P_ROW, P_ROWS, P_PART, P_WIDTH, P_COLUMNS = range(7)
PRODUCT = 7
# Of a bias: its view, first gate row, rows.
B_VIEW, B_ROW, B_ROWS = range(3)
BIAS = 3
# Where the constants of products begin.
SIDE = 5
# Columns that one tile of a weight gradient sums; more are split between tiles, which add atomically.
SPLIT = 1024
_SPLIT = tl.constexpr(SPLIT)


@triton.jit
def column_starts(words, at, k, n, inside, columns, own, width, ALIGNED: tl.constexpr):
    """Where columns `n` of view `k` begin; the operand has `own` of the `columns` of a row, each `width` floats."""
    row = n // columns
    return starts_of(words, at, k, row, (n - row * columns) % own * width, inside, ALIGNED)


@triton.jit
def affine(
    words,
    at,
    tile,
    bases,
    tables,
    PRECISION: tl.constexpr,
    M: tl.constexpr,
    N: tl.constexpr,
    K: tl.constexpr,
    ALIGNED: tl.constexpr,
):
    """gates[tile] (+)= W x + b; view 0: the gates."""
    height = size(words, at, tables, 0, ALIGNED)
    columns = constant(words, at, tables, 1)
    products = constant(words, at, tables, 2)
    total_columns = rows(words, at) * columns
    across = (height + M - 1) // M
    o = (tile % across) * M + tl.arange(0, M)
    n = (tile // across) * N + tl.arange(0, N)
    inside = n < total_columns
    total = tl.zeros([M, N], tl.float32)
    for p in range(0, products):
        first = 5 + 7 * p
        x = constant(words, at, tables, first)
        w = constant(words, at, tables, first + 1)
        row = size(words, at, tables, first + 2, ALIGNED)
        weight_rows = size(words, at, tables, first + 3, ALIGNED)
        width = size(words, at, tables, first + 5, ALIGNED)
        own = constant(words, at, tables, first + 6)
        part = memory(bases, words, at, w, ALIGNED) + size(words, at, tables, first + 4, ALIGNED)
        x_columns = memory(bases, words, at, x, ALIGNED) + column_starts(
            words, at, x, n, inside, columns, own, width, ALIGNED
        )
        i = o - row
        fits = (i >= 0) & (i < weight_rows)
        for begin in range(0, width, K):
            k = begin + tl.arange(0, K)
            some = k < width
            weight = tl.load(
                part + i[:, None] + k[None, :] * weight_rows, mask=fits[:, None] & some[None, :], other=0.0
            )
            operand = tl.load(x_columns[None, :] + k[:, None], mask=some[:, None] & inside[None, :], other=0.0)
            total = dot(weight, operand, total, PRECISION)
    for b in range(0, constant(words, at, tables, 3)):
        first = 5 + 7 * products + 3 * b
        i = o - constant(words, at, tables, first + 1)
        fits = (i >= 0) & (i < constant(words, at, tables, first + 2))
        bias = tl.load(base(bases, words, at, constant(words, at, tables, first)) + i, mask=fits, other=0.0)
        total += bias[:, None]
    target = memory(bases, words, at, 0, ALIGNED) + column_starts(
        words, at, 0, n, inside, columns, columns, height, ALIGNED
    )
    there = (o < height)[:, None] & inside[None, :]
    if constant(words, at, tables, 4) != 0:
        total += tl.load(target[None, :] + o[:, None], mask=there, other=0.0)
    tl.store(target[None, :] + o[:, None], total, mask=there)


@triton.jit
def affine_operand(
    words,
    at,
    tile,
    bases,
    tables,
    PRECISION: tl.constexpr,
    M: tl.constexpr,
    N: tl.constexpr,
    K: tl.constexpr,
    ALIGNED: tl.constexpr,
):
    """dx += W^T dgates for one product; views: gradient of the gates, of the operand, the weight.

    Constants: height, columns, then as of a product.
    """
    height = size(words, at, tables, 0, ALIGNED)
    columns = constant(words, at, tables, 1)
    row = size(words, at, tables, 4, ALIGNED)
    weight_rows = size(words, at, tables, 5, ALIGNED)
    width = size(words, at, tables, 7, ALIGNED)
    own = constant(words, at, tables, 8)
    part = memory(bases, words, at, 2, ALIGNED) + size(words, at, tables, 6, ALIGNED)
    across = (width + M - 1) // M
    i = (tile % across) * M + tl.arange(0, M)
    n = (tile // across) * N + tl.arange(0, N)
    inside = n < rows(words, at) * columns
    gates = (
        memory(bases, words, at, 0, ALIGNED)
        + column_starts(words, at, 0, n, inside, columns, columns, height, ALIGNED)
        + row
    )
    total = tl.zeros([M, N], tl.float32)
    # Loads of the next turn would take registers that the products need.
    for begin in tl.range(0, weight_rows, K, num_stages=1):
        k = begin + tl.arange(0, K)
        some = k < weight_rows
        weight = tl.load(
            part + k[None, :] + i[:, None] * weight_rows, mask=some[None, :] & (i < width)[:, None], other=0.0
        )
        gate = tl.load(gates[None, :] + k[:, None], mask=some[:, None] & inside[None, :], other=0.0)
        total = dot(weight, gate, total, PRECISION)
    add_columns(total, words, at, 1, bases, n, inside, columns, own, width, i)


@triton.jit
def add_columns(total, words, at, k, bases, n, inside, columns, own, width, i):
    """Add a tile to rows `i` of columns `n` of the operand in view `k`."""
    r = n // columns
    offsets = row_offsets(words, at, k, r, inside)
    mask = (i < width)[:, None] & (inside & takes_gradient(words, at, k, offsets))[None, :]
    target = base(bases, words, at, k) + offsets + ((n - r * columns) % own) * width
    add(target[None, :] + i[:, None], total, mask, words, at, k)


@triton.jit
def affine_weight(
    words,
    at,
    tile,
    bases,
    tables,
    PRECISION: tl.constexpr,
    M: tl.constexpr,
    N: tl.constexpr,
    K: tl.constexpr,
    ALIGNED: tl.constexpr,
):
    """dW += dgates x^T for one product, over all columns; views: gradient of the gates, operand, its own.

    Constants as of `affine_operand`.
    """
    height = size(words, at, tables, 0, ALIGNED)
    columns = constant(words, at, tables, 1)
    row = size(words, at, tables, 4, ALIGNED)
    weight_rows = size(words, at, tables, 5, ALIGNED)
    width = size(words, at, tables, 7, ALIGNED)
    own = constant(words, at, tables, 8)
    total_columns = rows(words, at) * columns
    down = (weight_rows + M - 1) // M
    across = (width + N - 1) // N
    begin_column = (tile // (down * across)) * _SPLIT
    o = (tile % down) * M + tl.arange(0, M)
    i = ((tile // down) % across) * N + tl.arange(0, N)
    gates_base = memory(bases, words, at, 0, ALIGNED) + row
    x_base = memory(bases, words, at, 1, ALIGNED)
    total = tl.zeros([M, N], tl.float32)
    for begin in range(begin_column, tl.minimum(begin_column + _SPLIT, total_columns), K):
        n = begin + tl.arange(0, K)
        inside = n < total_columns
        gates = gates_base + column_starts(words, at, 0, n, inside, columns, columns, height, ALIGNED)
        gate = tl.load(gates[None, :] + o[:, None], mask=(o < weight_rows)[:, None] & inside[None, :], other=0.0)
        x = x_base + column_starts(words, at, 1, n, inside, columns, own, width, ALIGNED)
        operand = tl.load(x[:, None] + i[None, :], mask=inside[:, None] & (i < width)[None, :], other=0.0)
        total = dot(gate, operand, total, PRECISION)
    target = (
        memory(bases, words, at, 2, ALIGNED)
        + size(words, at, tables, 6, ALIGNED)
        + o[:, None]
        + i[None, :] * weight_rows
    )
    mask = (o < weight_rows)[:, None] & (i < width)[None, :]
    if total_columns > _SPLIT:
        tl.atomic_add(target, total, mask=mask, sem="relaxed")
    else:
        add(target, total, mask, words, at, 2)


@opcode
def affine_bias(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """db += sum of dgates over all columns; views: gradient of the gates, of the bias.

    Constants: height, columns, first gate row, rows.
    """
    columns = constant(words, at, tables, 1)
    total_columns = rows(words, at) * columns
    size = constant(words, at, tables, 3)
    o = tile * 32 + tl.arange(0, 32)
    gates = base(bases, words, at, 0) + constant(words, at, tables, 2)
    total = tl.zeros([32, 64], tl.float32)
    for begin in range(0, total_columns, 64):
        n = begin + tl.arange(0, 64)
        inside = n < total_columns
        starts = gates + column_starts(words, at, 0, n, inside, columns, columns, constant(words, at, tables, 0), False)
        numbers = tl.load(starts[None, :] + o[:, None], mask=(o < size)[:, None] & inside[None, :], other=0.0)
        total += numbers
    add(base(bases, words, at, 1) + o, tl.sum(total, 1), o < size, words, at, 1)
