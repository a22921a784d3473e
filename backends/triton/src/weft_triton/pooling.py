"""Kernels of pooling: the largest numbers of windows and of lines, and sums of neighbouring rows and columns."""

from __future__ import annotations

import triton
import triton.language as tl

from weft_core.ops.attributes import integer
from weft_core.ops.axes import stride
from weft_core.ops.pooling import MaxPooling
from weft_core.signature import Signature

from .access import add, base, constant, row_offsets, takes_gradient
from .lines import MORE, Lines, elements, line_length, line_numbers, line_starts, lines_of, of_line, place, radices
from .lowering import Gradient, Lowering, Tiles, Value, lowering
from .mathematics import INFINITY
from .moves import Axis, examples, give_back
from .ordered import LEAST, first_largest, ordered
from .reductions import BLOCK, reduce_lines, sum_lines, sum_lines_backward
from .softmax import line_in, receiving
from .specialised import specialised

# --- windows --------------------------------------------------------------------------------------

# Constants: elements of a result; rows and columns of the operand; of a channel of the result, of the window; strides;
# how far the first window begins ahead of the operand.
_HEIGHT, _WIDTH, _DOWN, _ACROSS, _ROWS, _COLUMNS, _ROW_STRIDE, _COLUMN_STRIDE, _ABOVE, _LEFT = (
    tl.constexpr(k) for k in range(1, 11)
)
# Results and positions of the window in a tile, for windows up to a size and for larger ones.
MOST_NARROW, NARROW, WIDE = 16, (64, 8), (16, 32)


@triton.jit
def _met(words, at, tables, q, k):
    """Where position `k` of the window of element `q` is in the operand, and whether it is inside; row by row."""
    height = constant(words, at, tables, _HEIGHT)
    width = constant(words, at, tables, _WIDTH)
    down = constant(words, at, tables, _DOWN)
    columns = constant(words, at, tables, _COLUMNS)
    line = q // down
    channel = line // constant(words, at, tables, _ACROSS)
    across = line - channel * constant(words, at, tables, _ACROSS)
    a = k // columns
    i = (q - line * down) * constant(words, at, tables, _ROW_STRIDE) + a - constant(words, at, tables, _ABOVE)
    j = across * constant(words, at, tables, _COLUMN_STRIDE) + k - a * columns - constant(words, at, tables, _LEFT)
    inside = (i >= 0) & (i < height) & (j >= 0) & (j < width)
    return (channel * width + j) * height + i, inside


@triton.jit
def _winner(words, at, tables, x, q, mask, RESULTS: tl.constexpr, CHUNK: tl.constexpr):
    """Where the first largest number of the window of element `q` is; the border never wins, NaN does."""
    positions = constant(words, at, tables, _ROWS) * constant(words, at, tables, _COLUMNS)
    largest = tl.full([RESULTS], LEAST, tl.int32)
    position = tl.zeros([RESULTS], tl.int32)
    for first in range(0, positions, CHUNK):
        k = first + tl.expand_dims(tl.arange(0, CHUNK), 0)
        met, inside = _met(words, at, tables, tl.expand_dims(q, 1), k)
        there = inside & tl.expand_dims(mask, 1) & (k < positions)
        numbers = ordered(tl.load(tl.expand_dims(x, 1) + met, mask=there, other=0.0))
        largest, position = first_largest(tl.where(there, numbers, LEAST), k, largest, position, 1)
    met, _ = _met(words, at, tables, q, position)
    return met


@triton.jit
def maxpooling_forward(
    words, at, tile, bases, tables, PRECISION: tl.constexpr, RESULTS: tl.constexpr, CHUNK: tl.constexpr
):
    """y = largest number of a window."""
    r, q, mask = line_numbers(words, at, tile, tables, RESULTS)
    x = base(bases, words, at, 1) + row_offsets(words, at, 1, r, mask)
    y = tl.load(x + _winner(words, at, tables, x, q, mask, RESULTS, CHUNK), mask=mask, other=0.0)
    tl.store(base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + q, y, mask=mask)


@triton.jit
def maxpooling_backward(
    words, at, tile, bases, tables, PRECISION: tl.constexpr, RESULTS: tl.constexpr, CHUNK: tl.constexpr
):
    """dx += dy at the first largest number of a window; views dy, x, dx."""
    r, q, mask = line_numbers(words, at, tile, tables, RESULTS)
    x = base(bases, words, at, 1) + row_offsets(words, at, 1, r, mask)
    dy = tl.load(base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + q, mask=mask, other=0.0)
    own = row_offsets(words, at, 2, r, mask)
    target = base(bases, words, at, 2) + own + _winner(words, at, tables, x, q, mask, RESULTS, CHUNK)
    add(target, dy, mask & takes_gradient(words, at, 2, own), words, at, 2)


@lowering("maxpooling2d")
def lower_maxpooling(signature: Signature, plan: Lowering) -> None:
    """A tile of results, and chunks of their windows."""
    assert isinstance(signature.operation, MaxPooling)
    total = signature.results[0].total
    windows = signature.operation.windows(signature)
    fields = ("size", "places", "width", "stride", "before")
    constants = [total, *(getattr(window, field) for field in fields for window in windows)]
    tile = NARROW if windows[0].width * windows[1].width <= MOST_NARROW else WIDE
    tiles = Tiles(total, tile[0])
    plan.forward(specialised(maxpooling_forward, *tile), tiles, [Value(0), Value(1)], constants=constants)
    if plan.needs[1]:
        overlap = any(window.width > window.stride for window in windows)
        views = [Gradient(0), Value(1), Gradient(1, shared=overlap)]
        plan.backward(specialised(maxpooling_backward, *tile), tiles, views, constants=constants)


# --- the largest of a line ------------------------------------------------------------------------

# Constants of lines: how many numbers are kept, radices of where a line starts in the result, step along it there.
_KEPT, _TO, _STEP = tl.constexpr(MORE), tl.constexpr(MORE + 1), tl.constexpr(MORE + 2)
# Lines, elements of each and their axis in a tile: of short lines, of long ones, and of those across memory.
SHORT, SHORT_TILE, LONG_TILE, STRIDED_TILE = 64, (16, 16, 1), (1, 512, 1), (32, 16, 0)


@triton.jit
def _ranks(words, at, tables, x, first, mask, CHUNK: tl.constexpr, AXIS: tl.constexpr):
    """A chunk as whole numbers, NaN counting as infinity; where its elements are and which of them there are."""
    offset, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
    numbers = tl.load(x + offset, mask=there, other=0.0)
    numbers = tl.where(numbers == numbers, numbers, INFINITY)
    return tl.where(there, ordered(numbers), LEAST), offset, there


@triton.jit
def _count(
    words, at, tables, x, bound, mask, LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr
):  # fmt: skip
    """How many elements of each line are at least `bound`."""
    count = tl.zeros([LINES], tl.int32)
    for first in range(0, line_length(words, at, tables), CHUNK):
        numbers, _, _ = _ranks(words, at, tables, x, first, mask, CHUNK, AXIS)
        count += tl.sum((numbers >= of_line(bound, AXIS)).to(tl.int32), AXIS)
    return count


@triton.jit
def _smallest_kept(words, at, tables, x, mask, LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr):
    """The smallest of the k largest elements of each line as a whole number, and how many of them are equal to it.

    It is found bit by bit, as the largest number that k elements reach.
    """
    kept = constant(words, at, tables, _KEPT)
    bound = tl.full([LINES], LEAST, tl.int32)
    larger = tl.zeros([LINES], tl.int32)
    for bit in range(0, 32):
        # The highest bit is the sign: numbers that have it are the smaller ones.
        tried = bound ^ (tl.full([LINES], 1, tl.int32) << (31 - bit))
        count = _count(words, at, tables, x, tried, mask, LINES, CHUNK, AXIS)
        larger = tl.where(count >= kept, larger, count)
        bound = tl.where(count >= kept, tried, bound)
    return bound, kept - larger


@triton.jit
def _keep(
    words, at, tables, x, first, mask, smallest, left, equal, before, CHUNK: tl.constexpr, AXIS: tl.constexpr
):  # fmt: skip
    """Which elements of a chunk are kept, where they are in the operand and in the line of the result.

    `left` of those that are equal to the smallest one are, `equal` of them and `before` in all were in chunks before.
    """
    numbers, offset, there = _ranks(words, at, tables, x, first, mask, CHUNK, AXIS)
    equals = (numbers == of_line(smallest, AXIS)).to(tl.int32)
    early = of_line(equal, AXIS) + tl.cumsum(equals, AXIS) <= of_line(left, AXIS)
    kept = there & ((numbers > of_line(smallest, AXIS)) | ((equals != 0) & early))
    ones = kept.to(tl.int32)
    position = of_line(before, AXIS) + tl.cumsum(ones, AXIS) - 1
    place = position * constant(words, at, tables, _STEP)
    return kept, offset, place, equal + tl.sum(equals, AXIS), before + tl.sum(ones, AXIS)


@triton.jit
def kmax_forward(
    words, at, tile, bases, tables, PRECISION: tl.constexpr,
    LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr,
):  # fmt: skip
    """y = the k largest numbers of each line in their order."""
    r, j, mask = line_numbers(words, at, tile, tables, LINES)
    x = line_in(bases, words, at, 1, r, line_starts(words, at, tables, j), mask, AXIS)
    smallest, left = _smallest_kept(words, at, tables, x, mask, LINES, CHUNK, AXIS)
    start = place(words, at, tables, constant(words, at, tables, _TO), j)
    y = line_in(bases, words, at, 0, r, start, mask, AXIS)
    equal = tl.zeros([LINES], tl.int32)
    before = tl.zeros([LINES], tl.int32)
    for first in range(0, line_length(words, at, tables), CHUNK):
        kept, of, to, equal, before = _keep(
            words, at, tables, x, first, mask, smallest, left, equal, before, CHUNK, AXIS
        )
        tl.store(y + to, tl.load(x + of, mask=kept, other=0.0), mask=kept)


@triton.jit
def kmax_backward(
    words, at, tile, bases, tables, PRECISION: tl.constexpr,
    LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr,
):  # fmt: skip
    """dx += dy where a number was kept; views dy, x, dx."""
    r, j, mask = line_numbers(words, at, tile, tables, LINES)
    x = line_in(bases, words, at, 1, r, line_starts(words, at, tables, j), mask, AXIS)
    smallest, left = _smallest_kept(words, at, tables, x, mask, LINES, CHUNK, AXIS)
    dx = line_in(bases, words, at, 2, r, line_starts(words, at, tables, j), mask, AXIS)
    start = place(words, at, tables, constant(words, at, tables, _TO), j)
    dy = line_in(bases, words, at, 0, r, start, mask, AXIS)
    takes = of_line(receiving(words, at, 2, r, mask), AXIS)
    equal = tl.zeros([LINES], tl.int32)
    before = tl.zeros([LINES], tl.int32)
    for first in range(0, line_length(words, at, tables), CHUNK):
        kept, of, to, equal, before = _keep(
            words, at, tables, x, first, mask, smallest, left, equal, before, CHUNK, AXIS
        )
        add(dx + of, tl.load(dy + to, mask=kept, other=0.0), kept & takes, words, at, 2)


@lowering("kmax_pooling")
def lower_kmax(signature: Signature, plan: Lowering) -> None:
    """Lines along the axis, in operand and result."""
    (y,), (x,), (axis, k) = signature.results, signature.operands, map(integer, signature.attributes)
    lines = lines_of(x, [axis])
    to = radices(lines_of(y, [axis]).kept)
    constants = [*lines.constants(k, len(lines.constants(0, 0, 0)), stride(x, axis)), *to]
    tile = STRIDED_TILE if lines.stride > 1 else SHORT_TILE if x.dims[axis] <= SHORT else LONG_TILE
    tiles = Tiles(lines.count, tile[0])
    forward, backward = (specialised(f, *tile) for f in (kmax_forward, kmax_backward))
    plan.forward(forward, tiles, [Value(0), Value(1)], constants=constants)
    if plan.needs[1]:
        plan.backward(backward, tiles, [Gradient(0), Value(1), Gradient(1)], constants=constants)


# --- sums of neighbours ---------------------------------------------------------------------------


@lowering("fold_rows")
def lower_fold_rows(signature: Signature, plan: Lowering) -> None:
    """Groups of rows lie one after another, each is a line."""
    (y,), (x,), (group,) = signature.results, signature.operands, map(integer, signature.attributes)
    reduce_lines(plan, Lines(((y.total, group),), ((group, 1),)), sum_lines)
    if plan.needs[1]:
        constants = [x.total, *radices([(group, 0), (y.total, 1)])]
        plan.backward(sum_lines_backward, Tiles(x.total, BLOCK), [Gradient(0), Gradient(1)], constants=constants)


@lowering("kmh_ngram")
def lower_neighbour_sum(signature: Signature, plan: Lowering) -> None:
    """Columns lie one after another: a line goes from column to column, and shares them with others."""
    (y,), (x,), (n,) = signature.results, signature.operands, map(integer, signature.attributes)
    reduce_lines(plan, Lines(((y.size, 1), (y.batch, x.size)), ((n, x.rows),)), sum_lines)
    if plan.needs[1]:
        give_back(plan, [Axis(y.size, 1, 1), Axis(n, 0, x.rows), examples(y, x)], overlap=True)
