"""Kernels of convolutions: products of filters with patches of the image, which are gathered tile by tile.

Y^T = F^T X: a filter is a column of F, what it meets at a place a column of X; places of several examples stand side by
side where all have the same filters, such examples are a *group*. Position k of a filter is (row a, column b, channel
c), with k = a + height (b + width c).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass

import triton
import triton.language as tl

from weft_core.ops.convolution import Convolution
from weft_core.shape import Shape
from weft_core.signature import Signature

from .access import add, base, constant, present, row_offsets, rows, takes_gradient
from .dots import dot
from .lines import MORE, line_numbers, line_starts, line_sums, lines_of
from .lowering import NONE, Gradient, Lowering, Tiles, Value, lowering
from .softmax import line_work
from .specialised import specialised
from .tiles import tiles_of

# Tiles of the result, of the gradients of image and filters: filters or channels; places, elements of an image or
# positions of a filter; terms of a sum that are read at once.
FORWARD, IMAGE, FILTERS = (32, 32, 32), (32, 32, 16), (32, 64, 16)
# Places that one tile of the gradient of filters sums over.
SUMMED = 1024
_SUMMED = tl.constexpr(SUMMED)


def _numbered(n: int) -> Iterator[tl.constexpr]:
    return (tl.constexpr(k) for k in range(n))


@dataclass(frozen=True)
class Geometry:
    """Where the filters of a signature go, and how image, filters and result lie in memory.

    Sizes of image, filters and places; how far places are apart, and how far the first one is outside of the image;
    then steps: image columns and channels; columns and channels of a filter; places and filters of the result.
    """

    height: int
    width: int
    filter_height: int
    filter_width: int
    channels: int
    filters: int
    places_down: int
    places: int
    down: int
    right: int
    above: int
    left: int
    column_step: int
    channel_step: int
    filter_column_step: int
    filter_channel_step: int
    place_step: int
    filter_step: int


(
    _HEIGHT, _WIDTH, _FILTER_HEIGHT, _FILTER_WIDTH, _CHANNELS, _FILTERS, _PLACES_DOWN, _PLACES, _DOWN, _RIGHT, _ABOVE,
    _LEFT, _COLUMN_STEP, _CHANNEL_STEP, _FILTER_COLUMN_STEP, _FILTER_CHANNEL_STEP, _PLACE_STEP, _FILTER_STEP,
    # Examples of an instruction and of a group, 0 for all; steps from example to example of result and operands.
    _BATCH, _GROUP, _NEXT_RESULT, _NEXT_IMAGE, _NEXT_FILTERS, _NEXT_BIAS,
) = _numbered(24)  # fmt: skip

# Constants of the gradient of a bias.
_BIAS_FILTERS, _BIAS_STEP = tl.constexpr(MORE), tl.constexpr(MORE + 1)


# --- tiles ----------------------------------------------------------------------------------------


@triton.jit
def _count(words, at, tables, k, block):
    """Blocks of constant `k`."""
    return (constant(words, at, tables, k) + block - 1) // block


@triton.jit
def _group(words, at, tables):
    """Examples of a group."""
    group, batch = constant(words, at, tables, _GROUP), constant(words, at, tables, _BATCH)
    return tl.where(group == 0, rows(words, at) * batch, group)


@triton.jit
def _examples(words, at, tables, group, m, each):
    """Row, example and number of `m`, counted through a group whose examples have `each`; and which there are."""
    many = _group(words, at, tables)
    e = m // each
    example = group * many + e
    batch = constant(words, at, tables, _BATCH)
    r = example // batch
    return r, example - r * batch, m - e * each, e < many


@triton.jit
def _starts(words, at, tables, k, r, b, mask, next):
    """Where examples of view `k` start; constant `next` is the step from one to the next."""
    return row_offsets(words, at, k, r, mask) + b * constant(words, at, tables, next)


@triton.jit
def _filters(words, at, tables, k, group):
    """Where the filters of a group start in view `k`, and their row."""
    example = group * constant(words, at, tables, _GROUP)
    batch = constant(words, at, tables, _BATCH)
    r = example // batch
    return _starts(words, at, tables, k, r, example - r * batch, r >= 0, _NEXT_FILTERS), r


@triton.jit
def _position(words, at, tables, k):
    """Row, column and channel of position k of a filter."""
    height, width = constant(words, at, tables, _FILTER_HEIGHT), constant(words, at, tables, _FILTER_WIDTH)
    column = k // height
    c = column // width
    return k - column * height, column - c * width, c


@triton.jit
def _in_filter(words, at, tables, a, b, c):
    """Where a position stands in memory."""
    to_column = b * constant(words, at, tables, _FILTER_COLUMN_STEP)
    return a + to_column + c * constant(words, at, tables, _FILTER_CHANNEL_STEP)


@triton.jit
def _depth(words, at, tables):
    """Positions of a filter."""
    size = constant(words, at, tables, _FILTER_HEIGHT) * constant(words, at, tables, _FILTER_WIDTH)
    return size * constant(words, at, tables, _CHANNELS)


@triton.jit
def _corner(words, at, tables, p):
    """Row and column of the image where place p starts."""
    places_down = constant(words, at, tables, _PLACES_DOWN)
    j = p // places_down
    i = p - j * places_down
    u = i * constant(words, at, tables, _DOWN) - constant(words, at, tables, _ABOVE)
    return u, j * constant(words, at, tables, _RIGHT) - constant(words, at, tables, _LEFT)


@triton.jit
def _inside(row, column, height, width):
    """Whether (row, column) is in a plane; below zero, an unsigned number is large."""
    down = row.to(tl.uint32, bitcast=True) < height.to(tl.uint32, bitcast=True)
    return down & (column.to(tl.uint32, bitcast=True) < width.to(tl.uint32, bitcast=True))


@triton.jit
def _patches(bases, words, at, tables, group, m, k):
    """What positions k of a filter meet at places m of a group; views y, x."""
    r, e, p, there = _examples(words, at, tables, group, m, constant(words, at, tables, _PLACES))
    u, v = _corner(words, at, tables, p)
    a, b, c = _position(words, at, tables, k)
    inside = _inside(
        a[:, None] + u[None, :], b[:, None] + v[None, :],
        constant(words, at, tables, _HEIGHT), constant(words, at, tables, _WIDTH),
    )  # fmt: skip
    column_step = constant(words, at, tables, _COLUMN_STEP)
    place = _starts(words, at, tables, 1, r, e, there, _NEXT_IMAGE) + u + v * column_step
    position = a + b * column_step + c * constant(words, at, tables, _CHANNEL_STEP)
    inside &= there[None, :] & (c < constant(words, at, tables, _CHANNELS))[:, None]
    return tl.load(base(bases, words, at, 1) + (position[:, None] + place[None, :]), mask=inside, other=0.0)


@triton.jit
def _results(words, at, tables, group, m, o):
    """Where results of filters o at places m of a group stand in view 0, and which of them there are."""
    r, e, p, there = _examples(words, at, tables, group, m, constant(words, at, tables, _PLACES))
    start = _starts(words, at, tables, 0, r, e, there, _NEXT_RESULT) + p * constant(words, at, tables, _PLACE_STEP)
    to_filter = o * constant(words, at, tables, _FILTER_STEP)
    return to_filter[:, None] + start[None, :], (o < constant(words, at, tables, _FILTERS))[:, None] & there[None, :]


# --- products -------------------------------------------------------------------------------------


@triton.jit
def _bias(bases, words, at, tables, group, m, o):
    """The bias of filters o at places m of a group; view 3."""
    r, e, _p, there = _examples(words, at, tables, group, m, constant(words, at, tables, _PLACES))
    some = (o < constant(words, at, tables, _FILTERS))[:, None] & there[None, :]
    start = _starts(words, at, tables, 3, r, e, there, _NEXT_BIAS)
    return tl.load(base(bases, words, at, 3) + (o[:, None] + start[None, :]), mask=some, other=0.0)


@triton.jit
def convolution_forward(
    words, at, tile, bases, tables, PRECISION: tl.constexpr, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr
):
    """Y^T = b + F^T X; views y, x, f, b. A tile is some filters at some places."""
    blocks = _count(words, at, tables, _FILTERS, M)
    across = (_group(words, at, tables) * constant(words, at, tables, _PLACES) + N - 1) // N
    block = tile // blocks
    group = block // across
    o = (tile - block * blocks) * M + tl.arange(0, M)
    m = (block - group * across) * N + tl.arange(0, N)
    start, _ = _filters(words, at, tables, 2, group)
    f = base(bases, words, at, 2) + start
    depth = _depth(words, at, tables)
    total = tl.zeros([M, N], tl.float32)
    # Loads of the next turn would take registers that the products need.
    for first in tl.range(0, depth, K, num_stages=1):
        k = first + tl.arange(0, K)
        a, b, c = _position(words, at, tables, k)
        some = (o < constant(words, at, tables, _FILTERS))[:, None] & (k < depth)[None, :]
        position = _in_filter(words, at, tables, a, b, c)
        weights = tl.load(f + ((o * depth)[:, None] + position[None, :]), mask=some, other=0.0)
        total = dot(weights, _patches(bases, words, at, tables, group, m, k), total, PRECISION)
    offset, some = _results(words, at, tables, group, m, o)
    if present(words, at, 3):
        total += _bias(bases, words, at, tables, group, m, o)
    tl.store(base(bases, words, at, 0) + offset, total, mask=some)


@triton.jit
def _meeting(bases, words, at, tables, starts, u, v, there, a, b, o):
    """The gradients of places whose window meets row u and column v of its image with position (a, b) of filter o.

    Such a place is at (u + above - a) / down, if this has no remainder: if those of both terms are equal.
    """
    down, right = constant(words, at, tables, _DOWN), constant(words, at, tables, _RIGHT)
    places_down = constant(words, at, tables, _PLACES_DOWN)
    u, v = u + constant(words, at, tables, _ABOVE), v + constant(words, at, tables, _LEFT)
    i, j, back_i, back_j = u // down, v // right, a // down, b // right
    inside = _inside(
        i[None, :] - back_i[:, None], j[None, :] - back_j[:, None],
        places_down, constant(words, at, tables, _PLACES) // places_down,
    )  # fmt: skip
    remainder = (u - i * down) * right + v - j * right
    inside &= remainder[None, :] == ((a - back_i * down) * right + b - back_j * right)[:, None]
    inside &= there[None, :] & (o < constant(words, at, tables, _FILTERS))[:, None]
    step = constant(words, at, tables, _PLACE_STEP)
    place = starts + (i + j * places_down) * step
    position = o * constant(words, at, tables, _FILTER_STEP) - (back_i + back_j * places_down) * step
    return tl.load(base(bases, words, at, 0) + (position[:, None] + place[None, :]), mask=inside, other=0.0)


@triton.jit
def convolution_backward_image(
    words, at, tile, bases, tables, PRECISION: tl.constexpr, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr
):
    """dX^T += F dY^T over places that meet an element; views dy, f, dx. A tile is some channels of some elements."""
    height, channels = constant(words, at, tables, _HEIGHT), constant(words, at, tables, _CHANNELS)
    plane = height * constant(words, at, tables, _WIDTH)
    blocks = _count(words, at, tables, _CHANNELS, M)
    across = (_group(words, at, tables) * plane + N - 1) // N
    block = tile // blocks
    group = block // across
    c = (tile - block * blocks) * M + tl.arange(0, M)
    m = (block - group * across) * N + tl.arange(0, N)
    r, e, p, there = _examples(words, at, tables, group, m, plane)
    v = p // height
    u = p - v * height
    starts = _starts(words, at, tables, 0, r, e, there, _NEXT_RESULT)
    start, _ = _filters(words, at, tables, 1, group)
    f = base(bases, words, at, 1) + start
    channel = _in_filter(words, at, tables, 0, 0, c)
    depth, filters = _depth(words, at, tables), constant(words, at, tables, _FILTERS)
    total = tl.zeros([M, N], tl.float32)
    for first in tl.range(0, depth // channels * filters, K, num_stages=1):
        # Position and filter are counted as position and channel elsewhere.
        a, b, o = _position(words, at, tables, first + tl.arange(0, K))
        position = _in_filter(words, at, tables, a, b, 0) + o * depth
        some = (c < channels)[:, None] & (o < filters)[None, :]
        weights = tl.load(f + (channel[:, None] + position[None, :]), mask=some, other=0.0)
        total = dot(weights, _meeting(bases, words, at, tables, starts, u, v, there, a, b, o), total, PRECISION)
    there &= takes_gradient(words, at, 2, row_offsets(words, at, 2, r, there))
    place = _starts(words, at, tables, 2, r, e, there, _NEXT_IMAGE) + u + v * constant(words, at, tables, _COLUMN_STEP)
    offset = (c * constant(words, at, tables, _CHANNEL_STEP))[:, None] + place[None, :]
    add(base(bases, words, at, 2) + offset, total, (c < channels)[:, None] & there[None, :], words, at, 2)


@triton.jit
def convolution_backward_filters(
    words, at, tile, bases, tables, PRECISION: tl.constexpr, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr
):
    """dF^T += dY^T X^T; views dy, x, df. A tile is some positions of some filters, summed over some places."""
    depth = _depth(words, at, tables)
    blocks, down = _count(words, at, tables, _FILTERS, M), (depth + N - 1) // N
    every = _group(words, at, tables) * constant(words, at, tables, _PLACES)
    parts = (every + _SUMMED - 1) // _SUMMED
    product = tile // (blocks * down)
    block = tile - product * blocks * down
    group = product // parts
    begin = (product - group * parts) * _SUMMED
    o = block // down * M + tl.arange(0, M)
    k = block % down * N + tl.arange(0, N)
    total = tl.zeros([M, N], tl.float32)
    for first in tl.range(begin, tl.minimum(begin + _SUMMED, every), K, num_stages=1):
        m = first + tl.arange(0, K)
        offset, some = _results(words, at, tables, group, m, o)
        dy = tl.load(base(bases, words, at, 0) + offset, mask=some, other=0.0)
        total = dot(dy, tl.trans(_patches(bases, words, at, tables, group, m, k)), total, PRECISION)
    start, r = _filters(words, at, tables, 2, group)
    a, b, c = _position(words, at, tables, k)
    some = (o < constant(words, at, tables, _FILTERS))[:, None] & (k < depth)[None, :]
    some &= takes_gradient(words, at, 2, row_offsets(words, at, 2, r, r >= 0))
    offset = (o * depth)[:, None] + _in_filter(words, at, tables, a, b, c)[None, :]
    add(base(bases, words, at, 2) + start + offset, total, some, words, at, 2)


@triton.jit
def bias_backward(
    words, at, tile, bases, tables, PRECISION: tl.constexpr,
    LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr,
):  # fmt: skip
    """db[o] += sum of channel o of dy; more constants: filters, step from example to example of b; views dy, db."""
    r, j, mask = line_numbers(words, at, tile, tables, LINES)
    start = row_offsets(words, at, 0, r, mask) + line_starts(words, at, tables, j)
    total = line_sums(words, at, tables, base(bases, words, at, 0), start, mask, LINES, CHUNK, AXIS)
    filters = constant(words, at, tables, _BIAS_FILTERS)
    b = j // filters
    own = row_offsets(words, at, 1, r, mask)
    place = own + b * constant(words, at, tables, _BIAS_STEP) + j - b * filters
    add(base(bases, words, at, 1) + place, total, mask & takes_gradient(words, at, 1, own), words, at, 1)


# --- lowering -------------------------------------------------------------------------------------


def _step(x: Shape) -> int:
    """From example to example."""
    return x.size if x.batch > 1 else 0


def lower_filters(signature: Signature, plan: Lowering, geometry: Geometry) -> None:
    """Operands are image, filters and maybe a bias.

    Examples form a group that have the same filters: all examples of all rows for a parameter.
    """
    y, (x, f, *biases) = signature.results[0], signature.operands
    g = geometry
    group = 0 if f.parameter >= 0 else y.batch if f.batch == 1 else 1
    constants = [*astuple(g), y.batch, group, y.size, *map(_step, signature.operands)]

    def tiles(each: int, block: int, times: int) -> Tiles:
        """Blocks of what the examples of a group have together, so many `times`."""
        if group == 0:
            return Tiles(y.batch * each, block, times)
        return Tiles(y.batch // group * tiles_of(group * each, block) * times, 1)

    m, n, _ = FORWARD
    plan.forward(
        specialised(convolution_forward, *FORWARD),
        tiles(g.places, n, tiles_of(g.filters, m)),
        [Value(0), Value(1), Value(2), Value(3) if biases else NONE],
        constants=constants,
    )
    if plan.needs[1]:
        m, n, _ = IMAGE
        plan.backward(
            specialised(convolution_backward_image, *IMAGE),
            tiles(g.height * g.width, n, tiles_of(g.channels, m)),
            [Gradient(0), Value(2), Gradient(1, shared=x.batch < y.batch)],
            constants=constants,
        )
    if plan.needs[2]:
        m, n, _ = FILTERS
        plan.backward(
            specialised(convolution_backward_filters, *FILTERS),
            tiles(g.places, SUMMED, tiles_of(g.filters, m) * tiles_of(f.size // g.filters, n)),
            [Gradient(0), Value(1), Gradient(2, shared=(group or y.batch) * g.places > SUMMED)],
            constants=constants,
        )
    for bias in biases:
        if plan.needs[3]:
            work = line_work(lines_of(y, [0, 1]), bias_backward, g.filters, _step(bias))
            plan.backward(**work, views=[Gradient(0), Gradient(3, shared=bias.batch < y.batch)])


@lowering("conv2d", "conv2d_bias")
def lower_convolution(signature: Signature, plan: Lowering) -> None:
    """Images in planes of columns, a plane for each channel."""
    assert isinstance(signature.operation, Convolution)
    down, right = signature.operation.windows(signature)
    channels, filters = signature.operands[1].dims[2:]
    places = down.places * right.places
    geometry = Geometry(
        down.size, right.size, down.width, right.width, channels, filters, down.places, places,
        down.stride, right.stride, down.before, right.before,
        column_step=down.size, channel_step=down.size * right.size,
        filter_column_step=down.width, filter_channel_step=down.width * right.width,
        place_step=1, filter_step=places,
    )  # fmt: skip
    lower_filters(signature, plan, geometry)
