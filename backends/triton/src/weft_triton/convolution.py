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
from .lines import MORE, elements, line_length, line_numbers, line_starts, lines_of, of_line
from .lowering import NONE, Gradient, Lowering, Tiles, Value, lowering
from .opcodes import opcode
from .softmax import line_in, line_work

# Of a tile: filters or channels; places, or positions of a filter; numbers of one product; and in the gradient of
# filters, places that one tile sums over.
NARROW, BROAD, DEPTH, SUMMED = 32, 64, 32, 1024
_NARROW, _BROAD, _DEPTH, _SUMMED = tl.constexpr(NARROW), tl.constexpr(BROAD), tl.constexpr(DEPTH), tl.constexpr(SUMMED)


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
def _pointers(bases, words, at, tables, k, r, b, mask, next):
    """Where examples of view `k` start; constant `next` is the step from one to the next."""
    return base(bases, words, at, k) + row_offsets(words, at, k, r, mask) + b * constant(words, at, tables, next)


@triton.jit
def _filters(bases, words, at, tables, k, group):
    """Where the filters of a group start, and their row."""
    example = group * constant(words, at, tables, _GROUP)
    batch = constant(words, at, tables, _BATCH)
    r = example // batch
    return _pointers(bases, words, at, tables, k, r, example - r * batch, r >= 0, _NEXT_FILTERS), r


@triton.jit
def _position(words, at, tables, k):
    """Row, column and channel of position k of a filter, and where it stands in memory."""
    height, width = constant(words, at, tables, _FILTER_HEIGHT), constant(words, at, tables, _FILTER_WIDTH)
    column = k // height
    a, c = k - column * height, column // width
    b = column - c * width
    to_column = b * constant(words, at, tables, _FILTER_COLUMN_STEP)
    return a, b, c, a + to_column + c * constant(words, at, tables, _FILTER_CHANNEL_STEP)


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
def _patches(words, at, tables, image, u, v, there, a, b, c):
    """What positions (a, b, c) of a filter meet at places that start at (u, v) of their images."""
    row, column = a[:, None] + u[None, :], b[:, None] + v[None, :]
    inside = (row >= 0) & (row < constant(words, at, tables, _HEIGHT))
    inside &= (column >= 0) & (column < constant(words, at, tables, _WIDTH))
    inside &= there[None, :] & (c < constant(words, at, tables, _CHANNELS))[:, None]
    offset = row + column * constant(words, at, tables, _COLUMN_STEP)
    offset += (c * constant(words, at, tables, _CHANNEL_STEP))[:, None]
    return tl.load(image[None, :] + offset, mask=inside, other=0.0)


# --- products -------------------------------------------------------------------------------------


@opcode
def convolution_forward(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """Y^T = b + F^T X; views y, x, f, b. A tile is some filters at some places."""
    places, filters = constant(words, at, tables, _PLACES), constant(words, at, tables, _FILTERS)
    blocks = _count(words, at, tables, _FILTERS, _NARROW)
    across = (_group(words, at, tables) * places + _BROAD - 1) // _BROAD
    block = tile // blocks
    group = block // across
    o = (tile - block * blocks) * _NARROW + tl.arange(0, _NARROW)
    m = (block - group * across) * _BROAD + tl.arange(0, _BROAD)
    r, e, p, there = _examples(words, at, tables, group, m, places)
    u, v = _corner(words, at, tables, p)
    image = _pointers(bases, words, at, tables, 1, r, e, there, _NEXT_IMAGE)
    f, _ = _filters(bases, words, at, tables, 2, group)
    depth = _depth(words, at, tables)
    total = tl.zeros([_NARROW, _BROAD], tl.float32)
    for first in range(0, depth, _DEPTH):
        k = first + tl.arange(0, _DEPTH)
        a, b, c, position = _position(words, at, tables, k)
        weights = tl.load(
            f + position[None, :] + (o * depth)[:, None], mask=(o < filters)[:, None] & (k < depth)[None, :], other=0.0
        )
        total = dot(weights, _patches(words, at, tables, image, u, v, there, a, b, c), total, PRECISION)
    some = (o < filters)[:, None] & there[None, :]
    if present(words, at, 3):
        bias = _pointers(bases, words, at, tables, 3, r, e, there, _NEXT_BIAS)
        total += tl.load(bias[None, :] + o[:, None], mask=some, other=0.0)
    y = _pointers(bases, words, at, tables, 0, r, e, there, _NEXT_RESULT)
    offset = (p * constant(words, at, tables, _PLACE_STEP))[None, :]
    offset += (o * constant(words, at, tables, _FILTER_STEP))[:, None]
    tl.store(y[None, :] + offset, total, mask=some)


@opcode
def convolution_backward_image(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """dX^T += F dY^T over the places that meet an element; views dy, f, dx. A tile is some channels of some elements."""
    height, channels = constant(words, at, tables, _HEIGHT), constant(words, at, tables, _CHANNELS)
    plane = height * constant(words, at, tables, _WIDTH)
    blocks = _count(words, at, tables, _CHANNELS, _NARROW)
    across = (_group(words, at, tables) * plane + _BROAD - 1) // _BROAD
    block = tile // blocks
    group = block // across
    c = (tile - block * blocks) * _NARROW + tl.arange(0, _NARROW)
    m = (block - group * across) * _BROAD + tl.arange(0, _BROAD)
    r, e, p, there = _examples(words, at, tables, group, m, plane)
    v = p // height
    u = p - v * height
    dy = _pointers(bases, words, at, tables, 0, r, e, there, _NEXT_RESULT)
    f, _ = _filters(bases, words, at, tables, 1, group)
    filter_height, filter_width = constant(words, at, tables, _FILTER_HEIGHT), constant(words, at, tables, _FILTER_WIDTH)
    down, right = constant(words, at, tables, _DOWN), constant(words, at, tables, _RIGHT)
    places_down = constant(words, at, tables, _PLACES_DOWN)
    places_right = constant(words, at, tables, _PLACES) // places_down
    depth = _depth(words, at, tables)
    total = tl.zeros([_NARROW, _BROAD], tl.float32)
    for first in range(0, filter_height * filter_width * constant(words, at, tables, _FILTERS), _DEPTH):
        q = first + tl.arange(0, _DEPTH)
        column = q // filter_height
        a, o = q - column * filter_height, column // filter_width
        b = column - o * filter_width
        known = o < constant(words, at, tables, _FILTERS)
        position = a + b * constant(words, at, tables, _FILTER_COLUMN_STEP) + o * depth
        channel = c * constant(words, at, tables, _FILTER_CHANNEL_STEP)
        weights = tl.load(
            f + position[None, :] + channel[:, None], mask=(c < channels)[:, None] & known[None, :], other=0.0
        )
        # Where the window stands that meets row u and column v with this position.
        row = (u + constant(words, at, tables, _ABOVE))[None, :] - a[:, None]
        column = (v + constant(words, at, tables, _LEFT))[None, :] - b[:, None]
        i, j = row // down, column // right
        met = (row >= 0) & (i * down == row) & (i < places_down)
        met &= (column >= 0) & (j * right == column) & (j < places_right)
        offset = (i + j * places_down) * constant(words, at, tables, _PLACE_STEP)
        offset += (o * constant(words, at, tables, _FILTER_STEP))[:, None]
        d = tl.load(dy[None, :] + offset, mask=met & there[None, :] & known[:, None], other=0.0)
        total = dot(weights, d, total, PRECISION)
    there &= takes_gradient(words, at, 2, row_offsets(words, at, 2, r, there))
    dx = _pointers(bases, words, at, tables, 2, r, e, there, _NEXT_IMAGE)
    offset = u + v * constant(words, at, tables, _COLUMN_STEP)
    offset = offset[None, :] + (c * constant(words, at, tables, _CHANNEL_STEP))[:, None]
    add(dx[None, :] + offset, total, (c < channels)[:, None] & there[None, :], words, at, 2)


@opcode
def convolution_backward_filters(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """dF^T += dY^T X^T; views dy, x, df. A tile is some positions of some filters, summed over some places."""
    places, filters = constant(words, at, tables, _PLACES), constant(words, at, tables, _FILTERS)
    depth = _depth(words, at, tables)
    blocks, down = _count(words, at, tables, _FILTERS, _NARROW), (depth + _BROAD - 1) // _BROAD
    every = _group(words, at, tables) * places
    parts = (every + _SUMMED - 1) // _SUMMED
    product = tile // (blocks * down)
    block = tile - product * blocks * down
    group = product // parts
    begin = (product - group * parts) * _SUMMED
    o = block // down * _NARROW + tl.arange(0, _NARROW)
    k = block % down * _BROAD + tl.arange(0, _BROAD)
    a, b, c, position = _position(words, at, tables, k)
    total = tl.zeros([_NARROW, _BROAD], tl.float32)
    for first in range(begin, tl.minimum(begin + _SUMMED, every), _DEPTH):
        r, e, p, there = _examples(words, at, tables, group, first + tl.arange(0, _DEPTH), places)
        u, v = _corner(words, at, tables, p)
        image = _pointers(bases, words, at, tables, 1, r, e, there, _NEXT_IMAGE)
        dy = _pointers(bases, words, at, tables, 0, r, e, there, _NEXT_RESULT)
        offset = (p * constant(words, at, tables, _PLACE_STEP))[None, :]
        offset += (o * constant(words, at, tables, _FILTER_STEP))[:, None]
        d = tl.load(dy[None, :] + offset, mask=(o < filters)[:, None] & there[None, :], other=0.0)
        patches = _patches(words, at, tables, image, u, v, there, a, b, c)
        total = dot(d, tl.trans(patches), total, PRECISION)
    df, row = _filters(bases, words, at, tables, 2, group)
    some = (o < filters)[:, None] & (k < depth)[None, :]
    some &= takes_gradient(words, at, 2, row_offsets(words, at, 2, row, row >= 0))
    add(df + position[None, :] + (o * depth)[:, None], total, some, words, at, 2)


@triton.jit
def bias_backward(
    words, at, tile, bases, tables, PRECISION: tl.constexpr,
    LINES: tl.constexpr, CHUNK: tl.constexpr, AXIS: tl.constexpr,
):  # fmt: skip
    """db[o] += sum of channel o of dy; more constants: filters, step from example to example of b; views dy, db."""
    r, j, mask = line_numbers(words, at, tile, tables, LINES)
    dy = line_in(bases, words, at, 0, r, line_starts(words, at, tables, j), mask, AXIS)
    total = tl.zeros([LINES], tl.float32)
    for first in range(0, line_length(words, at, tables), CHUNK):
        k, there = elements(words, at, tables, first, mask, CHUNK, AXIS)
        total += tl.sum(tl.load(dy + k, mask=there, other=0.0), AXIS)
    filters = constant(words, at, tables, _BIAS_FILTERS)
    b = j // filters
    own = row_offsets(words, at, 1, r, mask)
    place = own + b * constant(words, at, tables, _BIAS_STEP) + j - b * filters
    add(base(bases, words, at, 1) + place, total, mask & takes_gradient(words, at, 1, own), words, at, 1)


# --- lowering -------------------------------------------------------------------------------------


def _step(x: Shape) -> int:
    """From example to example."""
    return x.size if x.batch > 1 else 0


def _blocks(n: int, block: int) -> int:
    return -(-n // block)


def lower_filters(signature: Signature, plan: Lowering, geometry: Geometry) -> None:
    """Operands are image, filters and maybe a bias.

    Examples form a group that have the same filters: all examples of all rows for a parameter.
    """
    y, (x, f, *biases) = signature.results[0], signature.operands
    g = geometry
    group = 0 if f.parameter >= 0 else y.batch if f.batch == 1 else 1
    constants = [*astuple(g), y.batch, group, y.size, *map(_step, signature.operands)]
    plane, depth = g.height * g.width, f.size // g.filters

    def tiles(each: int, block: int, times: int) -> Tiles:
        """Blocks of what the examples of a group have together, so many `times`."""
        if group == 0:
            return Tiles(y.batch * each, block, times)
        return Tiles(y.batch // group * _blocks(group * each, block) * times, 1)

    plan.forward(
        convolution_forward,
        tiles(g.places, BROAD, _blocks(g.filters, NARROW)),
        [Value(0), Value(1), Value(2), Value(3) if biases else NONE],
        constants=constants,
    )
    if plan.needs[1]:
        plan.backward(
            convolution_backward_image,
            tiles(plane, BROAD, _blocks(g.channels, NARROW)),
            [Gradient(0), Value(2), Gradient(1, shared=x.batch < y.batch)],
            constants=constants,
        )
    if plan.needs[2]:
        plan.backward(
            convolution_backward_filters,
            tiles(g.places, SUMMED, _blocks(g.filters, NARROW) * _blocks(depth, BROAD)),
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
