"""Kernels of convolutions: products of filters with patches, which are written side by side a block at a time.

Row p of the patch matrix A is what the filters meet at place p of the result, its columns are the positions of a
filter, channel by channel. The filters are a matrix F in memory, so the result is `Y = A F`. Columns of A are copies of
runs of the image, and a block of A stays in the second cache until it is used.
"""

from __future__ import annotations

from weft_core.ops.convolution import Convolution
from weft_core.plan import T_BATCH, T_OPERANDS
from weft_core.signature import Signature

from .blas import outer_add, product_add, product_transposed_add
from .cache import cached_njit
from .kernels import kernel
from .mathematics import ZERO
from .moves import add_run, copy_run
from .pointers import copy_floats, floats, integers, zero_floats
from .products import repeats
from .reductions import add_floats, loop
from .registers import R_SCRATCH_SIZE
from .tiles import LANES, same_cache_lines
from .views import (
    batch_stride,
    gradient,
    layout,
    register,
    scratch,
    sgemm_address,
    size,
    total,
    value,
    view,
    wants_gradient,
)
from .windows import (
    CORNER,
    FIRST,
    FIRST_RUN,
    LAST,
    LAST_RUN,
    LINE_STEP,
    PLACES,
    PLANE,
    POSITIONS,
    RUN,
    RUN_STEP,
    position_field,
    window_table,
)

RESULT, IMAGE, FILTERS, BIAS = range(4)
# Floats of a block, with what is packed beside it; rows below which sgemm, which packs F for each block, is slow; an
# example of fewer places shares a block with others.
BLOCK, ROWS, FEW_PLACES = 1 << 16, 256, 64


def convolution_table(signature: Signature) -> list[int]:
    """Positions in the order in which a filter lies in memory."""
    assert isinstance(signature.operation, Convolution)
    rows, columns = windows = signature.operation.windows(signature)
    return window_table(windows, ((a, b) for b in range(columns.width) for a in range(rows.width)))


@cached_njit
def example(record: int, v: int, start: int, e: int) -> int:
    """Address of the value of example e, counted from the first one of row `start`."""
    batch = integers(record)[T_BATCH]
    return value(v, start + e // batch) + 4 * (e % batch) * batch_stride(v)


@cached_njit
def example_gradient(record: int, v: int, start: int, e: int) -> int:
    batch = integers(record)[T_BATCH]
    return gradient(v, start + e // batch) + 4 * (e % batch) * batch_stride(v)


@cached_njit
def filters(record: int) -> int:
    """Columns of F and Y."""
    return size(view(record, RESULT)) // layout(record, PLACES)


@cached_njit
def depth(record: int) -> int:
    """Columns of A, rows of F."""
    return size(view(record, FILTERS)) // filters(record)


@cached_njit
def in_place(record: int) -> bool:
    """Whether A is the image itself: filters of one position that skip nothing."""
    return layout(record, POSITIONS) == 1 and layout(record, PLACES) == layout(record, PLANE)


@cached_njit
def room(record: int) -> int:
    """Floats of scratch memory that a block may take."""
    return min(BLOCK, register(record, R_SCRATCH_SIZE))


@cached_njit
def examples_at_once(record: int, start: int, count: int) -> int:
    """How many examples share a block: several where each has few places and all have the same filters."""
    f, places = view(record, FILTERS), layout(record, PLACES)
    if places >= FEW_PLACES or batch_stride(f) != 0 or (count > 1 and not repeats(f, start, count)):
        return 1
    fitting = min(ROWS // 2 // places, room(record) // 2 // size(view(record, RESULT)))
    return max(1, min(fitting, count * integers(record)[T_BATCH]))


@cached_njit
def rows_at_once(record: int, examples: int) -> int:
    """How many places of an example make a block."""
    places = layout(record, PLACES)
    if examples > 1 or in_place(record):
        return places
    most = min(max(ROWS, room(record) // depth(record)), room(record) // 16)
    blocks = (places + most - 1) // most
    rows = (places + blocks - 1) // blocks
    return min(places, (rows + LANES - 1) // LANES * LANES)


@cached_njit
def move_patches(
    record: int, image: int, places: tuple[int, int], columns: tuple[int, int], matrix: int, lead: int, back: bool
) -> None:
    """Rows and columns of A from the image, zeros from outside of it; `back`: add them to the image instead."""
    positions, plane = layout(record, POSITIONS), layout(record, PLANE)
    run, step, line_step = layout(record, RUN), layout(record, RUN_STEP), layout(record, LINE_STEP)
    for k in range(columns[0], columns[1]):
        channel, position = k // positions, k % positions
        corner = image + 4 * (channel * plane + position_field(record, position, CORNER))
        first, last = position_field(record, position, FIRST), position_field(record, position, LAST)
        first_run, last_run = position_field(record, position, FIRST_RUN), position_field(record, position, LAST_RUN)
        target = matrix + 4 * lead * (k - columns[0])
        p = places[0]
        while p < places[1]:
            j = p // run
            begin, end = j * run, min(places[1], (j + 1) * run)
            low = high = end
            if first_run <= j < last_run:
                low = min(max(p, begin + first), end)
                high = min(max(low, begin + last), end)
            source = corner + 4 * (j * line_step + (low - begin) * step)
            if back:
                add_run(source, step, target + 4 * (low - p), 1, high - low)
            else:
                if low > p:
                    zero_floats(target, low - p)
                copy_run(target + 4 * (low - p), 1, source, step, high - low)
                if end > high:
                    zero_floats(target + 4 * (high - p), end - high)
            target += 4 * (end - p)
            p = end


@cached_njit
def move_block(
    record: int, images: tuple[int, int, int], places: tuple[int, int], columns: tuple[int, int], matrix: int,
    lead: int, back: bool,
) -> None:  # fmt: skip
    """`move_patches` for several examples, one below another; `images`: row `start`, the first example, how many."""
    start, e, many = images
    x = view(record, IMAGE)
    for i in range(many):
        image = example_gradient(record, x, start, e + i) if back else example(record, x, start, e + i)
        at = matrix + 4 * i * (places[1] - places[0])
        move_patches(record, image, places, columns, at, lead, back)


@cached_njit
def lead_of(rows: int) -> int:
    """Distance of the columns of A."""
    return rows + LANES if same_cache_lines(rows) else rows


@cached_njit
def columns_at_once(record: int, lead: int, packed: int) -> int:
    """How many columns of A make a block, beside so many packed floats."""
    wide = depth(record)
    most = (room(record) - packed) // lead
    blocks = (wide + most - 1) // most
    return (wide + blocks - 1) // blocks


@cached_njit
def forward_block(record: int, start: int, e: int, many: int, first: int, last: int) -> None:
    """Y += A F for these places of `many` examples from e on."""
    y, x = view(record, RESULT), view(record, IMAGE)
    places, n, wide, blas = layout(record, PLACES), filters(record), depth(record), sgemm_address(record)
    f = example(record, view(record, FILTERS), start, e)
    target, distance = example(record, y, start, e) + 4 * first, places
    if many == 1 and in_place(record):
        image = example(record, x, start, e)
        product_add(blas, last - first, n, wide, image + 4 * first, places, f, wide, target, distance)
        return
    rows, packed = many * (last - first), 0
    if many > 1:
        target, distance, packed = scratch(record), rows, rows * n
        zero_floats(target, packed)
    matrix, lead = scratch(record) + 4 * packed, lead_of(rows)
    step = columns_at_once(record, lead, packed)
    for k in range(0, wide, step):
        width = min(step, wide - k)
        move_block(record, (start, e, many), (first, last), (k, k + width), matrix, lead, False)
        product_add(blas, rows, n, width, matrix, lead, f + 4 * k, wide, target, distance)
    if many > 1:
        for i in range(many):
            for o in range(n):
                source = target + 4 * (o * rows + i * places)
                add_floats(example(record, y, start, e + i) + 4 * o * places, source, places)


@cached_njit
def backward_block(record: int, start: int, e: int, many: int, first: int, last: int) -> None:
    """dF += A^T dY, dA = dY F^T for these places of `many` examples from e on; dA is added to the images."""
    y, x, f = view(record, RESULT), view(record, IMAGE), view(record, FILTERS)
    places, n, wide, blas = layout(record, PLACES), filters(record), depth(record), sgemm_address(record)
    weights = example(record, f, start, e)
    dweights = example_gradient(record, f, start, e) if wants_gradient(f) else 0
    dy, distance = example_gradient(record, y, start, e) + 4 * first, places
    if many == 1 and in_place(record):
        at, rows = 4 * first, last - first
        if wants_gradient(f):
            image = example(record, x, start, e) + at
            product_transposed_add(blas, rows, n, wide, image, places, dy, distance, dweights, wide)
        if wants_gradient(x):
            image = example_gradient(record, x, start, e) + at
            outer_add(blas, rows, n, wide, dy, distance, weights, wide, image, places)
        return
    rows, packed = many * (last - first), 0
    if many > 1:
        dy, distance, packed = scratch(record), rows, rows * n
        for i in range(many):
            source = example_gradient(record, y, start, e + i)
            for o in range(n):
                copy_floats(dy + 4 * (o * rows + i * places), source + 4 * o * places, places)
    matrix, lead = scratch(record) + 4 * packed, lead_of(rows)
    step = columns_at_once(record, lead, packed)
    for k in range(0, wide, step):
        width = min(step, wide - k)
        if wants_gradient(f):
            move_block(record, (start, e, many), (first, last), (k, k + width), matrix, lead, False)
            product_transposed_add(blas, rows, n, width, matrix, lead, dy, distance, dweights + 4 * k, wide)
        if wants_gradient(x):
            zero_floats(matrix, lead * width)
            outer_add(blas, rows, n, width, dy, distance, weights + 4 * k, wide, matrix, lead)
            move_block(record, (start, e, many), (first, last), (k, k + width), matrix, lead, True)


@cached_njit
def run_blocks(record: int, start: int, count: int, back: bool) -> None:
    """Every place of every example, block by block."""
    places, examples = layout(record, PLACES), count * integers(record)[T_BATCH]
    together = examples_at_once(record, start, count)
    rows = rows_at_once(record, together)
    for e in range(0, examples, together):
        many = min(together, examples - e)
        for first in range(0, places, rows):
            last = min(places, first + rows)
            if back:
                backward_block(record, start, e, many, first, last)
            else:
                forward_block(record, start, e, many, first, last)


@loop
def add_sum(target_address: int, source_address: int, n: int) -> None:
    """Add the sum of n floats to one."""
    source = floats(source_address)
    s = ZERO
    for i in range(n):
        s += source[i]
    floats(target_address)[0] += s


def convolution_forward(record: int, start: int, count: int) -> None:
    """Y = b + A F."""
    y, places, n = view(record, RESULT), layout(record, PLACES), filters(record)
    if integers(record)[T_OPERANDS] < BIAS:
        zero_floats(value(y, start), count * total(y))
    else:
        for e in range(count * integers(record)[T_BATCH]):
            bias = floats(example(record, view(record, BIAS), start, e))
            for o in range(n):
                channel = floats(example(record, y, start, e) + 4 * o * places)
                for p in range(places):
                    channel[p] = bias[o]
    run_blocks(record, start, count, False)


def convolution_backward(record: int, start: int, count: int) -> None:
    """Gradients of images, filters and bias."""
    y, places = view(record, RESULT), layout(record, PLACES)
    if integers(record)[T_OPERANDS] >= BIAS and wants_gradient(view(record, BIAS)):
        for e in range(count * integers(record)[T_BATCH]):
            for o in range(filters(record)):
                dbias = example_gradient(record, view(record, BIAS), start, e) + 4 * o
                add_sum(dbias, example_gradient(record, y, start, e) + 4 * o * places, places)
    if wants_gradient(view(record, IMAGE)) or wants_gradient(view(record, FILTERS)):
        run_blocks(record, start, count, True)


for name in ("conv2d", "conv2d_bias"):
    kernel(name, forward=convolution_forward, backward=convolution_backward, table=convolution_table)
