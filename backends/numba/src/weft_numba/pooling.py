"""Kernels of pooling: position by position of a window, a heap for each line, sums of neighbours."""

from __future__ import annotations

from typing import Any

from weft_core.ops.attributes import integer
from weft_core.ops.pooling import MaxPooling
from weft_core.ops.windows import positions
from weft_core.plan import T_BATCH
from weft_core.signature import Signature

from .cache import cached_njit
from .kernels import kernel
from .mathematics import INFINITY, ZERO
from .pointers import copy_floats, floats, integers, zero_floats
from .reductions import add_floats, axis_layout, larger, loop
from .views import gradient, layout, scratch, size, total, value, view, wants_gradient
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

# --- windows --------------------------------------------------------------------------------------


def maxpooling_table(signature: Signature) -> list[int]:
    """Positions row by row: the first one that has the maximum gets the gradient."""
    assert isinstance(signature.operation, MaxPooling)
    windows = signature.operation.windows(signature)
    return window_table(windows, ((a, b) for a, b, _ in positions(windows)))


@cached_njit
def met(record: int, position: int, j: int) -> int:
    """Bytes from the start of a channel to what a position meets at the first place of run j where it is inside."""
    first = position_field(record, position, FIRST) * layout(record, RUN_STEP)
    return 4 * (position_field(record, position, CORNER) + first + j * layout(record, LINE_STEP))


@loop
def raise_run(target_address: int, source_address: int, step: int, n: int) -> None:
    """`y[i] = max(y[i], x[i])` along one run."""
    target, source = floats(target_address), floats(source_address)
    if step == 1:
        for i in range(n):
            target[i] = larger(target[i], source[i])
    else:
        for i in range(n):
            target[i] = larger(target[i], source[i * step])


@cached_njit
def give_run(left_address: int, found_address: int, source: int, dsource: int, step: int, n: int) -> None:
    """Where x is the maximum, it takes the gradient that is left; nothing is left for later positions."""
    left, found, x, dx = floats(left_address), floats(found_address), floats(source), floats(dsource)
    for i in range(n):
        here = x[i * step]
        wins = (here == found[i]) | (here != here)
        dx[i * step] += left[i] if wins else ZERO
        left[i] = ZERO if wins else left[i]


def maxpooling_forward(record: int, start: int, count: int) -> None:
    """Raise the result to what each position of the window meets."""
    y, x = view(record, 0), view(record, 1)
    places, plane, run, step = (
        layout(record, PLACES), layout(record, PLANE), layout(record, RUN), layout(record, RUN_STEP)
    )  # fmt: skip
    for row in range(start, start + count):
        result = floats(value(y, row))
        for i in range(total(y)):
            result[i] = -INFINITY
        for c in range(total(y) // places):
            target, source = value(y, row) + 4 * c * places, value(x, row) + 4 * c * plane
            for k in range(layout(record, POSITIONS)):
                first = position_field(record, k, FIRST)
                n = position_field(record, k, LAST) - first
                for j in range(position_field(record, k, FIRST_RUN), position_field(record, k, LAST_RUN)):
                    raise_run(target + 4 * (j * run + first), source + met(record, k, j), step, n)


def maxpooling_backward(record: int, start: int, count: int) -> None:
    """A channel at a time, from a copy of its gradient."""
    y, x = view(record, 0), view(record, 1)
    if not wants_gradient(x):
        return
    places, plane, run, step = (
        layout(record, PLACES), layout(record, PLANE), layout(record, RUN), layout(record, RUN_STEP)
    )  # fmt: skip
    left = scratch(record)
    for row in range(start, start + count):
        for c in range(total(y) // places):
            found, at = value(y, row) + 4 * c * places, 4 * c * plane
            copy_floats(left, gradient(y, row) + 4 * c * places, places)
            for k in range(layout(record, POSITIONS)):
                first = position_field(record, k, FIRST)
                n = position_field(record, k, LAST) - first
                for j in range(position_field(record, k, FIRST_RUN), position_field(record, k, LAST_RUN)):
                    place, source = 4 * (j * run + first), at + met(record, k, j)
                    give_run(left + place, found + place, value(x, row) + source, gradient(x, row) + source, step, n)


kernel("maxpooling2d", forward=maxpooling_forward, backward=maxpooling_backward, table=maxpooling_table)

# --- the largest of a line ------------------------------------------------------------------------

STRIDE, LENGTH, KEPT = range(3)


def kmax_table(signature: Signature) -> list[int]:
    """Lines along the axis, and how many numbers are kept of each."""
    axis, k = map(integer, signature.attributes)
    return [*axis_layout(signature.operands[0], axis), k]


@cached_njit
def line_of(j: int, stride: int, length: int) -> int:
    """Bytes from the start of an instruction to line j of so many elements."""
    return 4 * (j // stride * stride * length + j % stride)


@cached_njit
def rank(x: Any) -> Any:
    """The number itself; NaN counts as infinity."""
    return INFINITY if x != x else x


@cached_njit
def replace_smallest(address: int, stride: int, k: int, number: Any) -> None:
    """Put a number in the place of the first of a heap, in which none is larger than the two below it."""
    heap = floats(address)
    i = 0
    while 2 * i + 1 < k:
        below = 2 * i + 1
        if below + 1 < k and heap[(below + 1) * stride] < heap[below * stride]:
            below += 1
        if number <= heap[below * stride]:
            break
        heap[i * stride] = heap[below * stride]
        i = below
    heap[i * stride] = number


@cached_njit
def ties(address: int, stride: int, k: int, smallest: Any) -> int:
    """How many of the numbers that are kept are equal to the smallest of them."""
    kept = floats(address)
    found = 0
    for i in range(k):
        found += rank(kept[i * stride]) == smallest
    return found


@cached_njit
def keep_largest(target: int, source: int, stride: int, n: int, k: int) -> None:
    """The k largest numbers of a line in their order; first they are gathered in a heap."""
    x, y = floats(source), floats(target)
    for i in range(k):
        y[i * stride] = -INFINITY
    for i in range(n):
        number = rank(x[i * stride])
        if number > y[0]:
            replace_smallest(target, stride, k, number)
    smallest = y[0]
    left = ties(target, stride, k, smallest)
    at = 0
    for i in range(n):
        number = rank(x[i * stride])
        if number > smallest or (number == smallest and left > 0):
            left -= number == smallest
            y[at * stride] = x[i * stride]
            at += 1


@cached_njit
def give_largest(target: int, dtarget: int, source: int, dsource: int, stride: int, n: int, k: int) -> None:
    """`dx[i] += dy[j]` where number i was kept as number j."""
    x, dx, y, dy = floats(source), floats(dsource), floats(target), floats(dtarget)
    smallest = INFINITY
    for j in range(k):
        smallest = min(smallest, rank(y[j * stride]))
    left = ties(target, stride, k, smallest)
    at = 0
    for i in range(n):
        number = rank(x[i * stride])
        if number > smallest or (number == smallest and left > 0):
            left -= number == smallest
            dx[i * stride] += dy[at * stride]
            at += 1


def kmax_forward(record: int, start: int, count: int) -> None:
    y, x = view(record, 0), view(record, 1)
    stride, n, k = layout(record, STRIDE), layout(record, LENGTH), layout(record, KEPT)
    for row in range(start, start + count):
        for j in range(total(x) // n):
            target, source = value(y, row) + line_of(j, stride, k), value(x, row) + line_of(j, stride, n)
            keep_largest(target, source, stride, n, k)


def kmax_backward(record: int, start: int, count: int) -> None:
    y, x = view(record, 0), view(record, 1)
    if not wants_gradient(x):
        return
    stride, n, k = layout(record, STRIDE), layout(record, LENGTH), layout(record, KEPT)
    for row in range(start, start + count):
        for j in range(total(x) // n):
            to, source = line_of(j, stride, k), line_of(j, stride, n)
            give_largest(
                value(y, row) + to,
                gradient(y, row) + to,
                value(x, row) + source,
                gradient(x, row) + source,
                stride,
                n,
                k,
            )


kernel("kmax_pooling", forward=kmax_forward, backward=kmax_backward, table=kmax_table)

# --- sums of neighbours ---------------------------------------------------------------------------

GROUP, HEIGHT = range(2)


def neighbours_table(signature: Signature) -> list[int]:
    """How many rows or columns are added up, and the rows of the operand."""
    return [integer(signature.attributes[0]), signature.operands[0].rows]


def fold_forward(record: int, start: int, count: int) -> None:
    """Groups of rows lie one after another: the result is the sums of runs."""
    y, x = view(record, 0), view(record, 1)
    group = layout(record, GROUP)
    for row in range(start, start + count):
        target, source = floats(value(y, row)), floats(value(x, row))
        for i in range(total(y)):
            s = ZERO
            for k in range(group):
                s += source[i * group + k]
            target[i] = s


def fold_backward(record: int, start: int, count: int) -> None:
    y, x = view(record, 0), view(record, 1)
    if not wants_gradient(x):
        return
    group = layout(record, GROUP)
    for row in range(start, start + count):
        dy, dx = floats(gradient(y, row)), floats(gradient(x, row))
        for i in range(total(y)):
            for k in range(group):
                dx[i * group + k] += dy[i]


def neighbours_forward(record: int, start: int, count: int) -> None:
    """Columns lie one after another: the result is the sum of parts of x, each a column further."""
    y, x = view(record, 0), view(record, 1)
    zero_floats(value(y, start), count * total(y))
    for row in range(start, start + count):
        for b in range(integers(record)[T_BATCH]):
            for k in range(layout(record, GROUP)):
                source = value(x, row) + 4 * (b * size(x) + k * layout(record, HEIGHT))
                add_floats(value(y, row) + 4 * b * size(y), source, size(y))


def neighbours_backward(record: int, start: int, count: int) -> None:
    y, x = view(record, 0), view(record, 1)
    if not wants_gradient(x):
        return
    for row in range(start, start + count):
        for b in range(integers(record)[T_BATCH]):
            for k in range(layout(record, GROUP)):
                target = gradient(x, row) + 4 * (b * size(x) + k * layout(record, HEIGHT))
                add_floats(target, gradient(y, row) + 4 * b * size(y), size(y))


kernel("fold_rows", forward=fold_forward, backward=fold_backward, table=neighbours_table)
kernel("kmh_ngram", forward=neighbours_forward, backward=neighbours_backward, table=neighbours_table)
