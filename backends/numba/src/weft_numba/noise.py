"""Kernels of random operations: a mask is a function of seed, graph and node, drawn anew for the gradient."""

from __future__ import annotations

import math

from numba import float32

from weft_core.plan import T_TABLE
from weft_core.shape import shape_of
from weft_core.signature import Signature

from .cache import cached_njit
from .kernels import kernel
from .moves import FIRST_PIECE, FROM_STEP, LENGTH, OFFSETS, RUNS, TO_STEP, add_pieces, piece, places
from .philox import fill_normal, fill_uniform
from .pointers import floats, integers, zero_floats
from .registers import R_SEED, R_STREAM
from .structure import same_order
from .views import gradient, layout, payload, register, scratch, setting, total, value, view, wants_gradient

# In the table of a mask: how many decisions; then a piece that takes each element to its decision.
DECISIONS = 0


def mask_layout(signature: Signature) -> list[int]:
    """Decisions, and which of them every element of the result follows."""
    result, mask = signature.results[0], signature.results[0]
    if len(signature.attributes) > 1:
        _, dims, batch = signature.attributes
        assert isinstance(dims, tuple) and isinstance(batch, int)
        mask = shape_of(dims, batch)
    return [mask.total, *piece(0, places(result), places(mask))]


@cached_njit
def draw_uniform(record: int, row: int, n: int, target: int) -> None:
    """The first `n` uniform numbers of this instruction."""
    fill_uniform(register(record, R_SEED), register(record, R_STREAM), payload(record, 0, row), n, target)


@cached_njit
def draw_normal(record: int, row: int, n: int, target: int) -> None:
    """The first `n` normal numbers of this instruction."""
    fill_normal(register(record, R_SEED), register(record, R_STREAM), payload(record, 0, row), n, target)


@cached_njit
def add_masked(record: int, row: int, target: int, source: int) -> None:
    """`target += source m / (1 - p)` with the mask of this instruction."""
    draw_uniform(record, row, layout(record, DECISIONS), scratch(record))
    rate, kept = float32(setting(record, 0)), float32(1.0 / (1.0 - setting(record, 0)))
    p = integers(integers(record)[T_TABLE] + 8 * FIRST_PIECE)
    length, step, mask_step = p[LENGTH], p[TO_STEP], p[FROM_STEP]
    for k in range(OFFSETS, OFFSETS + 2 * p[RUNS], 2):
        y, x = floats(target + 4 * p[k]), floats(source + 4 * p[k])
        drawn = floats(scratch(record) + 4 * p[k + 1])
        for i in range(length):
            y[i * step] += x[i * step] * (kept if drawn[i * mask_step] >= rate else float32(0.0))


def dropout_forward(record: int, start: int, count: int) -> None:
    """`y = x m / (1 - p)`."""
    y, x = view(record, 0), view(record, 1)
    for row in range(start, start + count):
        zero_floats(value(y, row), total(y))
        add_masked(record, row, value(y, row), value(x, row))


def dropout_backward(record: int, start: int, count: int) -> None:
    """`dx += dy m / (1 - p)`."""
    y, x = view(record, 0), view(record, 1)
    if wants_gradient(x):
        for row in range(start, start + count):
            add_masked(record, row, gradient(x, row), gradient(y, row))


def noise_forward(record: int, start: int, count: int) -> None:
    """`y = x + e`."""
    y, x = view(record, 0), view(record, 1)
    stddev = float32(setting(record, 0))
    for row in range(start, start + count):
        draw_normal(record, row, total(y), value(y, row))
        x_row, y_row = floats(value(x, row)), floats(value(y, row))
        for i in range(total(y)):
            y_row[i] = x_row[i] + stddev * y_row[i]


def random_normal(record: int, start: int, count: int) -> None:
    """`y = mean + stddev z`."""
    y = view(record, 0)
    mean, stddev = setting(record, 1), setting(record, 2)
    for row in range(start, start + count):
        draw_normal(record, row, total(y), value(y, row))
        numbers = floats(value(y, row))
        for i in range(total(y)):
            numbers[i] = mean + stddev * numbers[i]


def random_uniform(record: int, start: int, count: int) -> None:
    """`y = left + (right - left) u`."""
    y = view(record, 0)
    left, width = setting(record, 1), setting(record, 2) - setting(record, 1)
    for row in range(start, start + count):
        draw_uniform(record, row, total(y), value(y, row))
        numbers = floats(value(y, row))
        for i in range(total(y)):
            numbers[i] = left + width * numbers[i]


def random_bernoulli(record: int, start: int, count: int) -> None:
    """`y = scale` with probability p, else 0."""
    y = view(record, 0)
    p, scale = setting(record, 1), setting(record, 2)
    for row in range(start, start + count):
        draw_uniform(record, row, total(y), value(y, row))
        numbers = floats(value(y, row))
        for i in range(total(y)):
            numbers[i] = scale if numbers[i] < p else 0.0


def random_gumbel(record: int, start: int, count: int) -> None:
    """`y = mean - scale ln(-ln u)`; both logarithms of at least 1e-20."""
    y = view(record, 0)
    mean, scale = setting(record, 1), setting(record, 2)
    for row in range(start, start + count):
        draw_uniform(record, row, total(y), value(y, row))
        numbers = floats(value(y, row))
        for i in range(total(y)):
            numbers[i] = mean - scale * math.log(max(-math.log(max(numbers[i], 1e-20)), 1e-20))


kernel("dropout", forward=dropout_forward, backward=dropout_backward, table=mask_layout)
kernel("shared_dropout", forward=dropout_forward, backward=dropout_backward, table=mask_layout)
kernel("noise", forward=noise_forward, backward=add_pieces, table=same_order)
kernel("random_normal", forward=random_normal)
kernel("random_uniform", forward=random_uniform)
kernel("random_bernoulli", forward=random_bernoulli)
kernel("random_gumbel", forward=random_gumbel)
