"""Tiles of a matrix product held in vector registers: what products of few columns are made of.

BLAS packs A before it multiplies, which costs more than the product where X has few columns. Here A is read once, in
place, and each vector of it meets several columns of X. A tile is written in LLVM's vector types, because LLVM does not
vectorise a loop over several columns whose memory might overlap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import extending, types
from numba.core import cgutils
from numba.core.registry import cpu_target

from .cache import cached_njit

_BIT, _INT, _LONG, _FLOAT = ir.IntType(1), ir.IntType(32), ir.IntType(64), ir.FloatType()
_FLAGS = ("contract", "nsz", "reassoc")

# An intrinsic that sees its constant arguments; for type checkers it is what compiled code makes of it.
tile: Callable[[Callable[..., Any]], Any] = extending.intrinsic(prefer_literal=True)


def _vector_unit() -> tuple[int, int]:
    """Floats of a vector register, and how many registers there are, of the processor that Numba compiles for."""
    triple, _, features = cpu_target.target_context.codegen().magic_tuple()
    if "+avx512f" in features:
        return 16, 32
    if "+avx" in features:
        return 8, 16
    return 4, 32 if triple.startswith(("aarch64", "arm64")) else 16


LANES, REGISTERS = _vector_unit()
# Registers of a tile that hold its sums; the others hold its operands.
TOTALS, MANY_REGISTERS = REGISTERS * 3 // 4, REGISTERS > 16
# Without AVX a masked load is a branch for each lane.
SLOW_MASKS = LANES == 4
_VECTOR = ir.VectorType(_FLOAT, LANES)
_MASK = ir.VectorType(_BIT, LANES)


def _place(builder: Any, address: Any, floats: Any) -> Any:
    """`address + 4 * floats`."""
    return builder.add(address, builder.shl(floats, _LONG(2)))


def _load(builder: Any, address: Any, kind: Any = _FLOAT) -> Any:
    return builder.load(builder.inttoptr(address, kind.as_pointer()), align=4)


def _broadcast(builder: Any, number: Any, kind: Any = _VECTOR) -> Any:
    """A vector of one number."""
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), number, _INT(0))
    lanes = ir.VectorType(_INT, kind.count)
    return builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), ir.Constant(lanes, [0] * kind.count))


def _first_lanes(builder: Any, count: Any) -> Any:
    """A mask of the first `count` lanes; none where it is negative."""
    longs = ir.VectorType(_LONG, LANES)
    numbers = ir.Constant(longs, list(range(LANES)))
    return builder.icmp_signed("<", numbers, _broadcast(builder, count, longs))


def _load_some(builder: Any, address: Any, mask: Any) -> Any:
    """A vector; lanes outside of the mask are not read, and 0. No mask: all lanes."""
    if mask is None:
        return _load(builder, address, _VECTOR)
    pointer = builder.inttoptr(address, _VECTOR.as_pointer())
    kind = ir.FunctionType(_VECTOR, [pointer.type, _INT, _MASK, _VECTOR])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.masked.load.v{LANES}f32.p0")
    return builder.call(function, [pointer, _INT(4), mask, ir.Constant(_VECTOR, [0.0] * LANES)])


def _store_some(builder: Any, value: Any, address: Any, mask: Any) -> None:
    pointer = builder.inttoptr(address, _VECTOR.as_pointer())
    if mask is None:
        builder.store(value, pointer, align=4)
        return
    kind = ir.FunctionType(ir.VoidType(), [_VECTOR, pointer.type, _INT, _MASK])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.masked.store.v{LANES}f32.p0")
    builder.call(function, [value, pointer, _INT(4), mask])


def _multiply_add(builder: Any, x: Any, y: Any, total: Any) -> None:
    """`total += x * y`, `total` a place on the stack that becomes a register."""
    product = builder.fmul(x, y, flags=_FLAGS)
    builder.store(builder.fadd(builder.load(total), product, flags=_FLAGS), total)


def _totals(builder: Any, count: int) -> list[Any]:
    """Places for so many vectors, all 0."""
    places = [cgutils.alloca_once(builder, _VECTOR) for _ in range(count)]
    for place in places:
        builder.store(ir.Constant(_VECTOR, [0.0] * LANES), place)
    return places


def _typed(emit: Callable[..., None], integers: int, literals: int) -> Callable[..., Any]:
    """Numba typing of a tile: `literals` constants that shape its code, then `integers` integers."""

    def typing(*arguments: Any) -> Any:
        constants = [getattr(a, "literal_value", None) for a in arguments[:literals]]
        if None in constants:
            return None

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            emit(builder, *constants, *values[literals:])
            return context.get_dummy_value()

        return types.void(*arguments[:literals], *[types.int64] * integers), generate

    return typing


def _emit_multiply(
    builder: Any, vectors: int, columns: int, masked: int, rows: Any, inner: Any, a: Any, lda: Any, x: Any, along: Any,
    across: Any, y: Any, ldy: Any,
) -> None:  # fmt: skip
    masks = [_first_lanes(builder, builder.sub(rows, _LONG(r * LANES))) if masked else None for r in range(vectors)]
    totals = _totals(builder, vectors * columns)
    x_columns = [_place(builder, x, builder.mul(across, _LONG(c))) for c in range(columns)]
    with cgutils.for_range(builder, inner) as loop:
        a_column = _place(builder, a, builder.mul(loop.index, lda))
        x_row = builder.mul(loop.index, along)
        parts = [_load_some(builder, _place(builder, a_column, _LONG(r * LANES)), masks[r]) for r in range(vectors)]
        for c in range(columns):
            number = _broadcast(builder, _load(builder, _place(builder, x_columns[c], x_row)))
            for r in range(vectors):
                _multiply_add(builder, parts[r], number, totals[c * vectors + r])
    for c in range(columns):
        for r in range(vectors):
            place = _place(builder, y, builder.add(builder.mul(ldy, _LONG(c)), _LONG(r * LANES)))
            updated = builder.fadd(_load_some(builder, place, masks[r]), builder.load(totals[c * vectors + r]))
            _store_some(builder, updated, place, masks[r])


@tile
def multiply_tile(
    typingctx: Any, vectors: Any, columns: Any, masked: Any, rows: Any, inner: Any, a: Any, lda: Any, x: Any,
    along: Any, across: Any, y: Any, ldy: Any,
) -> Any:  # fmt: skip
    """Y += A X for `vectors` vectors of rows and `columns` columns; with `masked`, only the first `rows` rows.

    Element (p, c) of X stands at `x + 4 * (p * along + c * across)`.
    """
    return _typed(_emit_multiply, 9, 3)(vectors, columns, masked, rows, inner, a, lda, x, along, across, y, ldy)


def _emit_dots(
    builder: Any, lines: int, columns: int, rows: Any, a: Any, lda: Any, x: Any, ldx: Any, y: Any, ldy: Any
) -> None:
    totals = _totals(builder, lines * columns)

    def add_products(first: Any, mask: Any) -> None:
        xs = [
            _load_some(builder, _place(builder, x, builder.add(first, builder.mul(ldx, _LONG(c)))), mask)
            for c in range(columns)
        ]
        for j in range(lines):
            part = _load_some(builder, _place(builder, a, builder.add(first, builder.mul(lda, _LONG(j)))), mask)
            for c in range(columns):
                _multiply_add(builder, part, xs[c], totals[c * lines + j])

    whole = builder.and_(rows, _LONG(-LANES))
    with cgutils.for_range(builder, builder.udiv(whole, _LONG(LANES))) as loop:
        add_products(builder.mul(loop.index, _LONG(LANES)), None)
    left = builder.sub(rows, whole)
    with builder.if_then(builder.icmp_signed(">", left, _LONG(0))):
        add_products(whole, _first_lanes(builder, left))
    for c in range(columns):
        sums = _sums(builder, [builder.load(total) for total in totals[c * lines : (c + 1) * lines]])
        place = builder.inttoptr(_place(builder, y, builder.mul(ldy, _LONG(c))), sums.type.as_pointer())
        builder.store(builder.fadd(builder.load(place, align=4), sums), place, align=4)


def _sums(builder: Any, vectors: list[Any]) -> Any:
    """The sums of the lanes of each of 1, 2, 4, ... vectors, at most `LANES`, as one vector."""
    period = 1
    while len(vectors) > 1:
        vectors = [_merge(builder, x, y, period) for x, y in zip(vectors[::2], vectors[1::2], strict=True)]
        period *= 2
    (merged,) = vectors
    width = LANES
    while width > period:
        width //= 2
        merged = _add_lanes(builder, merged, merged, [*range(width)], [*range(width, 2 * width)])
    return merged


def _merge(builder: Any, x: Any, y: Any, period: int) -> Any:
    """Two vectors as one: `period` lanes of x, as many of y, and so on, each the sum of two neighbours."""
    starts = range(0, LANES, 2 * period)
    even = [lane for s in starts for base in (s, LANES + s) for lane in range(base, base + period)]
    return _add_lanes(builder, x, y, even, [lane + period for lane in even])


def _add_lanes(builder: Any, x: Any, y: Any, first: list[int], second: list[int]) -> Any:
    kind = ir.VectorType(_INT, len(first))
    parts = [builder.shuffle_vector(x, y, ir.Constant(kind, lanes)) for lanes in (first, second)]
    return builder.fadd(*parts, flags=_FLAGS)


@tile
def dot_tile(
    typingctx: Any, lines: Any, columns: Any, rows: Any, a: Any, lda: Any, x: Any, ldx: Any, y: Any, ldy: Any
) -> Any:
    """Y += A^T X for `lines` columns of A, a power of two up to `LANES`, and `columns` columns of X."""
    return _typed(_emit_dots, 7, 2)(lines, columns, rows, a, lda, x, ldx, y, ldy)


def power_of_two(limit: int) -> int:
    """The largest power of two up to a limit: so are most numbers of rows, and the sums of so many vectors merge."""
    return 1 << limit.bit_length() - 1


def _tiles_of_columns(columns: int) -> Any:
    """Y += A X for a number of columns that is known: tall tiles, then what is left."""
    vectors = power_of_two(min(8, TOTALS // columns))
    tall, half = vectors * LANES, vectors // 2

    @cached_njit
    def tiles(m: int, k: int, a: int, lda: int, x: int, along: int, across: int, y: int, ldy: int) -> None:
        i = 0
        while i + tall <= m:
            multiply_tile(vectors, columns, 0, 0, k, a + 4 * i, lda, x, along, across, y + 4 * i, ldy)
            i += tall
        # A single vector of few columns waits for each sum: better an idle lane.
        while columns < 4 and not SLOW_MASKS and m - i > LANES:
            multiply_tile(half, columns, 1, m - i, k, a + 4 * i, lda, x, along, across, y + 4 * i, ldy)
            i += half * LANES
        while SLOW_MASKS and i + LANES <= m:
            multiply_tile(1, columns, 0, 0, k, a + 4 * i, lda, x, along, across, y + 4 * i, ldy)
            i += LANES
        while i < m:
            multiply_tile(1, columns, 1, m - i, k, a + 4 * i, lda, x, along, across, y + 4 * i, ldy)
            i += LANES

    return tiles


_one, _two, _three, _four, _six, _eight = (_tiles_of_columns(columns) for columns in (1, 2, 3, 4, 6, 8))

# A is taken in panels that stay in the second cache for all columns of X: 128 KB, of at most DEPTH columns.
PANEL, DEPTH = 1 << 15, 64


@cached_njit
def same_cache_lines(lda: int) -> bool:
    """Whether columns lie a multiple of 4096 bytes apart, so that all compete for one place in the caches."""
    return lda % 1024 == 0


@cached_njit
def widest(left: int) -> int:
    """Columns of the next tile, so that no narrow one is left over: 9 are 6 and 3, 7 are 4 and 3."""
    if MANY_REGISTERS and left >= 8 and left != 9 and left != 10:
        return 8
    if MANY_REGISTERS and (left == 6 or left > 8):
        return 6
    if left >= 4 and left != 5:
        return 4
    return min(left, 3)


@cached_njit
def multiply_add(m: int, n: int, k: int, a: int, lda: int, x: int, along: int, across: int, y: int, ldy: int) -> None:
    """Y (m x n) += A (m x k) X (k x n); element (p, c) of X stands at `x + 4 * (p * along + c * across)`."""
    depth = 8 if n <= 2 and same_cache_lines(lda) else DEPTH
    panel = max(8 * LANES, PANEL // min(k, depth)) if k else 0
    for p in range(0, k, depth):
        inner, row = min(depth, k - p), x + 4 * p * along
        for i in range(0, m, panel):
            rows, part, target = min(panel, m - i), a + 4 * (i + p * lda), y + 4 * i
            c = 0
            while c < n:
                columns = widest(n - c)
                right, below = row + 4 * c * across, target + 4 * c * ldy
                if columns == 8:
                    _eight(rows, inner, part, lda, right, along, across, below, ldy)
                elif columns == 6:
                    _six(rows, inner, part, lda, right, along, across, below, ldy)
                elif columns == 4:
                    _four(rows, inner, part, lda, right, along, across, below, ldy)
                elif columns == 3:
                    _three(rows, inner, part, lda, right, along, across, below, ldy)
                elif columns == 2:
                    _two(rows, inner, part, lda, right, along, across, below, ldy)
                else:
                    _one(rows, inner, part, lda, right, along, across, below, ldy)
                c += columns


def _dots_of_columns(columns: int) -> Any:
    """Y += A^T X for a number of columns that is known."""
    lines = power_of_two(min(8, LANES, TOTALS // columns))

    @cached_njit
    def dots(m: int, k: int, a: int, lda: int, x: int, ldx: int, y: int, ldy: int) -> None:
        j = 0
        while j + lines <= k:
            dot_tile(lines, columns, m, a + 4 * j * lda, lda, x, ldx, y + 4 * j, ldy)
            j += lines
        while j < k:
            dot_tile(1, columns, m, a + 4 * j * lda, lda, x, ldx, y + 4 * j, ldy)
            j += 1

    return dots


_one_dot, _two_dots, _three_dots, _four_dots, _six_dots = (_dots_of_columns(columns) for columns in (1, 2, 3, 4, 6))

# Rows of X that stay in the first cache for all columns of A.
DOT_ROWS = 512


@cached_njit
def widest_dots(left: int) -> int:
    """Columns of the next block of dot products."""
    if MANY_REGISTERS and left >= 6 and left != 7 and left != 8:
        return 6
    if left >= 4 and left != 5:
        return 4
    return min(left, 3)


@cached_njit
def dots_add(m: int, n: int, k: int, a: int, lda: int, x: int, ldx: int, y: int, ldy: int) -> None:
    """Y (k x n) += A^T X with A (m x k), X (m x n)."""
    for i in range(0, m, DOT_ROWS):
        rows, part, right = min(DOT_ROWS, m - i), a + 4 * i, x + 4 * i
        c = 0
        while c < n:
            columns = widest_dots(n - c)
            beside, below = right + 4 * c * ldx, y + 4 * c * ldy
            if columns == 6:
                _six_dots(rows, k, part, lda, beside, ldx, below, ldy)
            elif columns == 4:
                _four_dots(rows, k, part, lda, beside, ldx, below, ldy)
            elif columns == 3:
                _three_dots(rows, k, part, lda, beside, ldx, below, ldy)
            elif columns == 2:
                _two_dots(rows, k, part, lda, beside, ldx, below, ldy)
            else:
                _one_dot(rows, k, part, lda, beside, ldx, below, ldy)
            c += columns
