"""Products of computed matrices, Z = X Y, and their gradients; those with parameters on the left are `affine.py`.

Each example of each instruction has a product of its own, of any size. Where one left matrix is that of all examples,
or of several instructions, the columns that it meets are those of one product. Small matrices do not fill tiles: their
products are sums (`sums.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import triton
import triton.language as tl

from weft_core.signature import Signature

from .access import add, constant, row_offsets, rows, takes_gradient
from .dots import dot
from .lowering import Gradient, Lowering, Tiles, Value, lowering
from .sums import Strides, lower_sums
from .tiles import LARGE_TILE, MEDIUM, NARROW, WIDE, Tile, memory, multiply, size, starts_of

# Rows and inner size from which a product is made of tiles.
LEAST = 8
# Multiplications from which a launch of their own pays.
MANY = 1 << 22
# Columns that the gradient of a left matrix sums for several instructions together, where these share it.
JOINED = 256
_JOINED = tl.constexpr(JOINED)

# Constants of all bodies: rows of X, its columns, columns of Y; columns of an instruction, those that Y has itself;
# examples of X, columns that one X meets, and instructions that may share it.


@triton.jit
def is_one(words, at, k, first, end):
    """Whether rows `first` to `end`, at most `JOINED`, of view `k` are one and the same."""
    place = tl.load(words + at + 8 + 4 * k + 1)
    differ = 0
    if place >= 0:
        r = first + tl.arange(0, _JOINED)
        start = tl.load(words + place + first)
        differ = tl.max((tl.load(words + place + r, mask=r < end, other=start) != start).to(tl.int32), 0)
    return differ == 0


@triton.jit
def shared_columns(words, at, tables, left, matrix, first, end):
    """The columns that a tile takes, which alone has `first` to `end` of those that left matrix `matrix` meets.

    Where instructions share the left matrix, in view `left`, the tile of the first of them takes the columns of all.
    """
    joined = constant(words, at, tables, 7)
    if joined > 1:
        own = constant(words, at, tables, 6)
        leader = matrix // joined * joined
        last = tl.minimum(leader + joined, rows(words, at))
        if is_one(words, at, left, leader, last):
            first = leader * own
            end = tl.where(matrix == leader, last * own, first)
    return first, end


@triton.jit
def columns_of_tile(words, at, tables, left, number, N: tl.constexpr):
    """First and end of the columns of tile `number`, of all that have one range of rows."""
    own = constant(words, at, tables, 6)
    across = (own + N - 1) // N
    matrix = number // across
    first = matrix * own + (number - matrix * across) * N
    return shared_columns(words, at, tables, left, matrix, first, (matrix + 1) * own)


@triton.jit
def row_start(words, at, k, row):
    """Where one row of view `k` begins; 0 for a parameter."""
    place = tl.load(words + at + 8 + 4 * k + 1)
    return tl.load(words + place + row, mask=place >= 0, other=0)


@triton.jit
def left_start(words, at, tables, k, column, ALIGNED: tl.constexpr):
    """Where the left matrix begins, in view `k`, that a column meets."""
    columns = constant(words, at, tables, 3)
    row = column // columns
    example = (column - row * columns) // constant(words, at, tables, 2) % constant(words, at, tables, 5)
    start = row_start(words, at, k, row) + example * constant(words, at, tables, 0) * constant(words, at, tables, 1)
    if ALIGNED:
        start = tl.multiple_of(start, 4)
    return start


@triton.jit
def product(
    words, at, tile, bases, tables, PRECISION: tl.constexpr,
    M: tl.constexpr, N: tl.constexpr, K: tl.constexpr, ALIGNED: tl.constexpr,
):  # fmt: skip
    """Z = X Y; views: Z, X, Y."""
    height = size(words, at, tables, 0, ALIGNED)
    inner = size(words, at, tables, 1, ALIGNED)
    columns = constant(words, at, tables, 3)
    down = (height + M - 1) // M
    first, end = columns_of_tile(words, at, tables, 1, tile // down, N)
    if first < end:
        i = tile % down * M + tl.arange(0, M)
        q = first + tl.arange(0, N)
        inside = q < end
        row = q // columns
        column = q - row * columns
        x = memory(bases, words, at, 1, ALIGNED) + left_start(words, at, tables, 1, first, ALIGNED)
        y = memory(bases, words, at, 2, ALIGNED)
        starts = starts_of(words, at, 2, row, column % constant(words, at, tables, 4) * inner, inside, ALIGNED)
        total = tl.zeros([M, N], tl.float32)
        total = multiply(total, x, i, 1, height, i < height, y, starts, inside, 0, inner, inner, K, PRECISION)
        z = starts_of(words, at, 0, row, column * height, inside, ALIGNED)
        pointers = memory(bases, words, at, 0, ALIGNED) + (z[None, :] + i[:, None])
        tl.store(pointers, total, mask=(i < height)[:, None] & inside[None, :])


@triton.jit
def product_right(
    words, at, tile, bases, tables, PRECISION: tl.constexpr,
    M: tl.constexpr, N: tl.constexpr, K: tl.constexpr, ALIGNED: tl.constexpr,
):  # fmt: skip
    """dY += X^T dZ; views: dZ, X, dY."""
    height = size(words, at, tables, 0, ALIGNED)
    inner = size(words, at, tables, 1, ALIGNED)
    columns = constant(words, at, tables, 3)
    down = (inner + M - 1) // M
    first, end = columns_of_tile(words, at, tables, 1, tile // down, N)
    if first < end:
        i = tile % down * M + tl.arange(0, M)
        q = first + tl.arange(0, N)
        inside = q < end
        row = q // columns
        column = q - row * columns
        x = memory(bases, words, at, 1, ALIGNED) + left_start(words, at, tables, 1, first, ALIGNED)
        dz = memory(bases, words, at, 0, ALIGNED)
        starts = starts_of(words, at, 0, row, column * height, inside, ALIGNED)
        total = tl.zeros([M, N], tl.float32)
        total = multiply(total, x, i, height, 1, i < inner, dz, starts, inside, 0, height, height, K, PRECISION)
        dy = starts_of(words, at, 2, row, column % constant(words, at, tables, 4) * inner, inside, ALIGNED)
        inside &= takes_gradient(words, at, 2, row_offsets(words, at, 2, row, inside))
        pointers = memory(bases, words, at, 2, ALIGNED) + (dy[None, :] + i[:, None])
        add(pointers, total, (i < inner)[:, None] & inside[None, :], words, at, 2)


@triton.jit
def product_left(
    words, at, tile, bases, tables, PRECISION: tl.constexpr,
    M: tl.constexpr, N: tl.constexpr, K: tl.constexpr, ALIGNED: tl.constexpr,
):  # fmt: skip
    """dX += dZ Y^T; views: dZ, Y, dX."""
    height = size(words, at, tables, 0, ALIGNED)
    inner = size(words, at, tables, 1, ALIGNED)
    columns = constant(words, at, tables, 3)
    met, own = constant(words, at, tables, 6), constant(words, at, tables, 4)
    down, across = (height + M - 1) // M, (inner + N - 1) // N
    matrix = tile // (down * across)
    i = tile % down * M + tl.arange(0, M)
    j = tile // down % across * N + tl.arange(0, N)
    dz = memory(bases, words, at, 0, ALIGNED)
    y = memory(bases, words, at, 1, ALIGNED)
    first, end = shared_columns(words, at, tables, 2, matrix, matrix * met, (matrix + 1) * met)
    total = tl.zeros([M, N], tl.float32)
    # To load columns in advance would take the registers of other programs, which hide the latency as well.
    for begin in tl.range(first, end, K, num_stages=1):
        q = begin + tl.arange(0, K)
        there = q < end
        row = q // columns
        column = q - row * columns
        above = starts_of(words, at, 0, row, column * height, there, ALIGNED)
        beside = starts_of(words, at, 1, row, column % own * inner, there, ALIGNED)
        a = tl.load(dz + (i[:, None] + above[None, :]), mask=(i < height)[:, None] & there[None, :], other=0.0)
        b = tl.load(y + (beside[:, None] + j[None, :]), mask=there[:, None] & (j < inner)[None, :], other=0.0)
        total = dot(a, b, total, PRECISION)
    if first < end:
        dx = memory(bases, words, at, 2, ALIGNED) + left_start(words, at, tables, 2, first, ALIGNED)
        taken = takes_gradient(words, at, 2, row_start(words, at, 2, first // columns))
        there = (i < height)[:, None] & (j < inner)[None, :] & taken
        add(dx + (i[:, None] + j[None, :] * height), total, there, words, at, 2)


@dataclass(frozen=True)
class Product:
    """Sizes of the products of an instruction: X is `rows` x `inner`, Y is `inner` x `columns`; their examples."""

    rows: int
    inner: int
    columns: int
    left_batch: int
    right_batch: int

    @property
    def batch(self) -> int:
        """Examples of the result."""
        return max(self.left_batch, self.right_batch)

    @property
    def met(self) -> int:
        """Columns that one left matrix meets."""
        return self.columns * self.batch // self.left_batch

    def joined(self, most: int) -> int:
        """Instructions that share their left matrix and are taken together, for so many columns."""
        return max(1, most // self.met) if self.left_batch == 1 else 1


@lowering("matrix_product")
def lower_matrix_product(signature: Signature, plan: Lowering) -> None:
    """X is a matrix, or a vector as one column; so is Y."""
    x, y = signature.operands
    lower_product(Product(x.rows, x.dim(1), y.dim(1), x.batch, y.batch), plan)


def lower_product(p: Product, plan: Lowering) -> None:
    """Tiles of the stream, or of the kernel for large products; sums where matrices are small."""
    if min(p.rows, p.inner) < LEAST:
        _lower_sums(p, plan)
        return
    _lower_forward(p, plan)
    if plan.needs[1]:
        _lower_left_gradient(p, plan)
    if plan.needs[2]:
        _lower_right_gradient(p, plan)


def _constants(p: Product, joined: int) -> list[int]:
    counted, own = p.columns * p.batch, p.columns * p.right_batch
    return [p.rows, p.inner, p.columns, counted, own, p.left_batch, p.met, p.joined(joined)]


def _tile(p: Product, plan: Lowering) -> Tile:
    """The tile for products of these sizes, of which there is one for each left matrix."""
    aligned = _is_aligned(p, plan)
    if _is_large(p):
        return LARGE_TILE[aligned]
    few = p.met <= NARROW[aligned].columns and plan.signature.operands[0].parameter < 0
    return NARROW[aligned] if few else MEDIUM[aligned]


def _is_aligned(p: Product, plan: Lowering) -> bool:
    return p.rows % WIDE == 0 and p.inner % WIDE == 0 and all(plan.aligned[:3])


def _is_large(p: Product) -> bool:
    return p.rows * p.inner * p.met >= MANY and min(p.rows, p.inner, p.met) >= 64


def _lower_forward(p: Product, plan: Lowering) -> None:
    tile = _tile(p, plan)
    plan.forward(
        tile.opcode(product, _is_aligned(p, plan)),
        Tiles(p.left_batch * tile.count(p.rows, p.met), 1),
        [Value(0), Value(1), Value(2)],
        constants=_constants(p, tile.columns),
        kernel=tile.kernel,
    )


def _lower_right_gradient(p: Product, plan: Lowering) -> None:
    """Tiles of all examples of X add to Y where this has one."""
    tile, shared = _tile(p, plan), p.right_batch < p.left_batch
    plan.backward(
        tile.opcode(product_right, _is_aligned(p, plan)),
        Tiles(p.left_batch * tile.count(p.inner, p.met), 1),
        [Gradient(0), Value(1), Gradient(2, shared=shared)],
        constants=_constants(p, tile.columns),
        kernel=tile.kernel,
    )


def _lower_left_gradient(p: Product, plan: Lowering) -> None:
    aligned = _is_aligned(p, plan)
    tile = (LARGE_TILE if _is_large(p) else MEDIUM)[aligned]
    plan.backward(
        tile.opcode(product_left, aligned),
        Tiles(p.left_batch * tile.count(p.rows, p.inner), 1),
        [Gradient(0), Value(2), Gradient(1)],
        constants=_constants(p, JOINED),
        kernel=tile.kernel,
    )


def _lower_sums(p: Product, plan: Lowering) -> None:
    """Every number of a result is a sum of products; strides are those of matrices column by column."""
    left = p.rows * p.inner if p.left_batch > 1 else 0
    right = p.inner * p.columns if p.right_batch > 1 else 0
    z = p.rows * p.columns
    lower_sums(
        plan.forward, [Value(0), Value(1), Value(2)], (p.rows, p.columns, p.batch), (p.inner, 1),
        Strides(left, 1, 0, p.rows, 0), Strides(right, 0, p.inner, 1, 0),
    )  # fmt: skip
    if plan.needs[1]:
        lower_sums(
            plan.backward, [Gradient(1), Gradient(0), Value(2)], (p.rows, p.inner, p.left_batch),
            (p.columns, p.batch // p.left_batch), Strides(z, 1, 0, p.rows, z), Strides(right, 0, 1, p.inner, right),
        )  # fmt: skip
    if plan.needs[2]:
        lower_sums(
            plan.backward, [Gradient(2), Value(1), Gradient(0)], (p.inner, p.columns, p.right_batch),
            (p.rows, p.batch // p.right_batch), Strides(left, p.rows, 0, 1, left), Strides(z, 0, p.rows, 1, z),
        )  # fmt: skip
