"""Inverse and determinant by Gauss-Jordan elimination with partial pivoting: one program a matrix.

A matrix stays in registers where it fits. A larger one is worked on in the memory of the result, which all threads of a
program read and write: hence the barriers.
"""

from __future__ import annotations

import triton
import triton.language as tl

from weft_core.errors import BackendError
from weft_core.signature import Signature

from .access import add, base, constant, row_offsets, takes_gradient
from .dots import dot
from .lines import line_numbers
from .lowering import Gradient, Lowering, Tiles, Value, lowering
from .mathematics import INFINITY
from .opcodes import opcode
from .specialised import specialised

# Rows of matrices that fit into registers.
IN_REGISTERS = (16, 32)
# The most rows of a larger one: for each of them a number is kept in registers.
MOST_ROWS = 2048
# Floats of a line, rows and columns of a tile that a program works on at a time.
BLOCK, ROWS, COLUMNS = 256, 32, 32
_MOST_ROWS, _BLOCK, _ROWS, _COLUMNS = (tl.constexpr(n) for n in (MOST_ROWS, BLOCK, ROWS, COLUMNS))
# Rows and columns of tiles of a gradient, and the precision of its products: float32, whatever others have.
SIDE = 16
_SIDE, _FLOAT32 = tl.constexpr(SIDE), tl.constexpr(0)


@triton.jit
def matrix(words, at, tile, bases, tables, view, PER_EXAMPLE: tl.constexpr):
    """The tile's matrix, or number, in a view; constants: rows of a matrix, examples."""
    batch = constant(words, at, tables, 1)
    n = constant(words, at, tables, 0)
    row = tile // batch
    size = n * n if PER_EXAMPLE else 1
    return base(bases, words, at, view) + row_offsets(words, at, view, row, row >= 0) + (tile - row * batch) * size


@triton.jit
def at_place(x, k, place):
    """Element `place` of a block whose elements are numbered `k`."""
    return tl.sum(tl.where(k == place, x, 0), 0)


@triton.jit
def first_largest(sizes, k):
    """The largest of a block of numbers, NaN counting as infinite, and the first place that has it."""
    sizes = tl.where(sizes == sizes, sizes, INFINITY)
    largest = tl.max(sizes, 0)
    return largest, tl.min(tl.where(sizes == largest, k, _MOST_ROWS), 0)


@triton.jit
def determinant_of(logarithm, positive, singular):
    """`ln det` from the sum of logarithms, whether the sign is positive, and whether a pivot was 0."""
    return tl.where(singular != 0, -INFINITY, tl.where(positive != 0, logarithm, float("nan")))


# --- in registers ---------------------------------------------------------------------------------


@triton.jit
def invert_block(source, target, n, N: tl.constexpr):
    """Write the inverse of a matrix of n <= N rows, NaN where it is singular.

    Returns the logarithm of the determinant: NaN where it is negative, -infinity where it is 0. Rows stay where they
    are: the pivot of column k is in row p(k), so that element (k, p(j)) of the inverse is found in row p(k), column j.
    """
    k = tl.arange(0, N)
    i, j = k[:, None], k[None, :]
    a = tl.load(source + i + j * n, mask=(i < n) & (j < n), other=0.0)
    # Of each row the column that it is the pivot's row of, and of each column this row; -1: none so far.
    column_of, row_of = tl.full([N], -1, tl.int32), tl.zeros([N], tl.int32)
    logarithm, positive, singular = 0.0, 1, 0
    for step in range(0, n):
        column = tl.sum(tl.where(j == step, a, 0.0), 1)
        free = (k < n) & (column_of < 0)
        _, p = first_largest(tl.where(free, tl.abs(column), -1.0), k)
        pivot = at_place(column, k, p)
        row = tl.sum(tl.where(i == p, a, 0.0), 0)
        # To bring the row to its place it passes all free ones before it.
        negative = (tl.sum((free & (k < p)).to(tl.int32), 0) + (pivot < 0.0).to(tl.int32)) & 1
        positive = tl.where(negative != 0, 1 - positive, positive)
        singular = tl.where(pivot == 0.0, 1, singular)
        logarithm += tl.log(tl.abs(pivot))
        column_of, row_of = tl.where(k == p, step, column_of), tl.where(k == step, p, row_of)
        column = tl.where(k == p, 1.0, -column) / pivot
        row = tl.where(k == step, 1.0, row)
        a = tl.where((i == p) | (j == step), 0.0, a) + column[:, None] * row[None, :]
    a = tl.where(singular != 0, float("nan"), a)
    i, j = column_of[:, None], row_of[None, :]
    tl.store(target + i + j * n, a, mask=(i >= 0) & (k[None, :] < n))
    return determinant_of(logarithm, positive, singular)


@triton.jit
def inverse_block(words, at, tile, bases, tables, PRECISION: tl.constexpr, N: tl.constexpr):
    """Y = X^-1."""
    source = matrix(words, at, tile, bases, tables, 1, True)
    invert_block(source, matrix(words, at, tile, bases, tables, 0, True), constant(words, at, tables, 0), N)


@triton.jit
def logdet_block(words, at, tile, bases, tables, PRECISION: tl.constexpr, N: tl.constexpr):
    """y = ln det X; saves the inverse. Views: y, inverse, x."""
    source = matrix(words, at, tile, bases, tables, 2, True)
    target = matrix(words, at, tile, bases, tables, 1, True)
    found = invert_block(source, target, constant(words, at, tables, 0), N)
    tl.store(matrix(words, at, tile, bases, tables, 0, False), found)


# --- in memory ------------------------------------------------------------------------------------


@triton.jit
def copy_floats(source, target, count):
    """Copy consecutive floats; others read them after a barrier."""
    for first in range(0, count, _BLOCK):
        e = first + tl.arange(0, _BLOCK)
        tl.store(target + e, tl.load(source + e, mask=e < count, other=0.0), mask=e < count)
    tl.debug_barrier()


@triton.jit
def swap(a, first, second, stride, n):
    """Exchange n floats that begin at two places."""
    for begin in range(0, n, _BLOCK):
        k = begin + tl.arange(0, _BLOCK)
        x = tl.load(a + first + k * stride, mask=k < n, other=0.0)
        y = tl.load(a + second + k * stride, mask=k < n, other=0.0)
        tl.store(a + first + k * stride, y, mask=k < n)
        tl.store(a + second + k * stride, x, mask=k < n)
    tl.debug_barrier()


@triton.jit
def pivot_row(column, step, n):
    """The first row from `step` on that has the largest number of a column."""
    best, position = -1.0, step
    for begin in range(step, n, _BLOCK):
        k = begin + tl.arange(0, _BLOCK)
        x = tl.abs(tl.load(column + k, mask=k < n, other=0.0))
        largest, place = first_largest(tl.where(k < n, x, -1.0), k)
        position = tl.where(largest > best, place, position)
        best = tl.maximum(best, largest)
    tl.debug_barrier()
    return position


@triton.jit
def eliminate(a, step, n, factor):
    """Clear a column with its pivot's row, and put the column of the inverse in its place; `factor`: 1 / pivot."""
    for right in range(0, n, _COLUMNS):
        j = (right + tl.arange(0, _COLUMNS))[None, :]
        top = factor * tl.load(a + step + j * n, mask=j < n, other=0.0)
        for down in range(0, n, _ROWS):
            i = (down + tl.arange(0, _ROWS))[:, None]
            others = (i < n) & (i != step) & (j < n) & (j != step)
            column = tl.load(a + i + step * n, mask=i < n, other=0.0)
            x = tl.load(a + i + j * n, mask=others, other=0.0)
            tl.store(a + i + j * n, x - column * top, mask=others)
    tl.debug_barrier()
    for begin in range(0, n, _BLOCK):
        k = begin + tl.arange(0, _BLOCK)
        others = (k < n) & (k != step)
        row = tl.load(a + step + k * n, mask=others, other=0.0)
        tl.store(a + step + k * n, row * factor, mask=others)
        column = tl.load(a + k + step * n, mask=others, other=0.0)
        tl.store(a + k + step * n, tl.where(k == step, factor, -column * factor), mask=k < n)
    tl.debug_barrier()


@triton.jit
def invert_memory(source, a, n):
    """Write the inverse of a matrix of any number of rows to `a`; otherwise as `invert_block`."""
    copy_floats(source, a, n * n)
    k = tl.arange(0, _MOST_ROWS)
    pivots = tl.zeros([_MOST_ROWS], tl.int32)
    logarithm, positive, singular = 0.0, 1, 0
    for step in range(0, n):
        p = pivot_row(a + step * n, step, n)
        pivots = tl.where(k == step, p, pivots)
        swap(a, step, p, n, n)
        pivot = tl.load(a + step + step * n)
        positive = tl.where((p != step) ^ (pivot < 0.0), 1 - positive, positive)
        singular = tl.where(pivot == 0.0, 1, singular)
        logarithm += tl.log(tl.abs(pivot))
        eliminate(a, step, n, 1.0 / pivot)
    for back in range(0, n):
        step = n - 1 - back
        swap(a, step * n, at_place(pivots, k, step) * n, 1, n)
    if singular != 0:
        for first in range(0, n * n, _BLOCK):
            e = first + tl.arange(0, _BLOCK)
            tl.store(a + e, tl.full([_BLOCK], float("nan"), tl.float32), mask=e < n * n)
    return determinant_of(logarithm, positive, singular)


@opcode
def inverse_memory(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """Y = X^-1."""
    source = matrix(words, at, tile, bases, tables, 1, True)
    invert_memory(source, matrix(words, at, tile, bases, tables, 0, True), constant(words, at, tables, 0))


@opcode
def logdet_memory(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """y = ln det X; saves the inverse. Views: y, inverse, x."""
    source = matrix(words, at, tile, bases, tables, 2, True)
    target = matrix(words, at, tile, bases, tables, 1, True)
    found = invert_memory(source, target, constant(words, at, tables, 0))
    tl.store(matrix(words, at, tile, bases, tables, 0, False), found)


# --- gradients ------------------------------------------------------------------------------------


@opcode
def inverse_backward(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """dX -= (Y^T dY) Y^T, some rows of a matrix; constants: rows of a matrix, examples. Views: y, dy, dx."""
    n = constant(words, at, tables, 0)
    strips = tl.cdiv(n, _SIDE)
    which = tile // strips
    y = matrix(words, at, which, bases, tables, 0, True)
    dy = matrix(words, at, which, bases, tables, 1, True)
    dx = matrix(words, at, which, bases, tables, 2, True)
    row = which // constant(words, at, tables, 1)
    takes = takes_gradient(words, at, 2, row_offsets(words, at, 2, row, row >= 0))
    i = ((tile - which * strips) * _SIDE + tl.arange(0, _SIDE))[:, None]
    side = tl.arange(0, _SIDE)
    for middle in range(0, n, _SIDE):
        b = middle + side
        left = tl.zeros([_SIDE, _SIDE], tl.float32)
        for first in range(0, n, _SIDE):
            a = first + side
            turned = tl.load(y + a[None, :] + i * n, mask=(i < n) & (a[None, :] < n), other=0.0)
            inside = (a[:, None] < n) & (b[None, :] < n)
            left = dot(turned, tl.load(dy + a[:, None] + b[None, :] * n, mask=inside, other=0.0), left, _FLOAT32)
        for first in range(0, n, _SIDE):
            j = (first + side)[None, :]
            turned = tl.load(y + j + b[:, None] * n, mask=(j < n) & (b[:, None] < n), other=0.0)
            product = dot(left, turned, tl.zeros([_SIDE, _SIDE], tl.float32), _FLOAT32)
            add(dx + i + j * n, -product, (i < n) & (j < n) & takes, words, at, 2)
        # Added to again for the next columns.
        tl.debug_barrier()


@opcode
def logdet_backward(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """dX += dy X^-T; constants: elements of all examples, rows of a matrix. Views: inverse, dy, dx."""
    r, e, mask = line_numbers(words, at, tile, tables, _BLOCK)
    n = constant(words, at, tables, 1)
    b = e // (n * n)
    j = e // n - b * n
    i = e - (b * n + j) * n
    dy = tl.load(base(bases, words, at, 1) + row_offsets(words, at, 1, r, mask) + b, mask=mask, other=0.0)
    turned = row_offsets(words, at, 0, r, mask) + (b * n + i) * n + j
    inverse = tl.load(base(bases, words, at, 0) + turned, mask=mask, other=0.0)
    own = row_offsets(words, at, 2, r, mask)
    mask &= takes_gradient(words, at, 2, own)
    add(base(bases, words, at, 2) + own + e, dy * inverse, mask, words, at, 2)


# --- lowering -------------------------------------------------------------------------------------


def check_rows(name: str, n: int) -> None:
    """Raise `BackendError` for a matrix with more rows than the elimination keeps count of."""
    if n > MOST_ROWS:
        raise BackendError(f"{name}: the Triton backend takes matrices of at most {MOST_ROWS} rows, got {n}")


@lowering("inverse")
def lower_inverse(signature: Signature, plan: Lowering) -> None:
    """A program a matrix; in the gradient, one for some of its rows."""
    (x,) = signature.operands
    check_rows("inverse", x.rows)
    size = next((size for size in IN_REGISTERS if x.rows <= size), None)
    body = specialised(inverse_block, size) if size else inverse_memory
    constants = [x.rows, x.batch]
    plan.forward(body, Tiles(x.batch, 1), [Value(0), Value(1)], constants=constants)
    if plan.needs[1]:
        tiles = Tiles(x.batch * -(-x.rows // SIDE), 1)
        plan.backward(inverse_backward, tiles, [Value(0), Gradient(0), Gradient(1)], constants=constants)


@lowering("logdet")
def lower_log_determinant(signature: Signature, plan: Lowering) -> None:
    """A program a matrix."""
    (x,) = signature.operands
    check_rows("logdet", x.rows)
    size = next((size for size in IN_REGISTERS if x.rows <= size), None)
    body = specialised(logdet_block, size) if size else logdet_memory
    plan.forward(body, Tiles(x.batch, 1), [Value(0), Value(1), Value(2)], constants=[x.rows, x.batch])
    if plan.needs[2]:
        views = [Value(1), Gradient(0), Gradient(2)]
        plan.backward(logdet_backward, Tiles(x.total, BLOCK), views, constants=[x.total, x.rows])
