"""Kernels of random operations: a number is a function of seed, graph, node and element, so masks are drawn anew for
the gradient.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import triton
import triton.language as tl

from weft_core.ops.attributes import number
from weft_core.shape import Shape, shape_of
from weft_core.signature import Signature

from .access import add, base, constant, payload, row_offsets, rows, setting, takes_gradient
from .lowering import Gradient, Lowering, Tiles, Value, lowering
from .opcodes import opcode
from .philox import normal, uniform

BLOCK = 1024
_BLOCK = tl.constexpr(BLOCK)


@triton.jit
def _elements(words, at, tile, tables):
    """Row and place in the row of each element of a tile, and which of them there are; constant 0: floats of a row."""
    e = tile * _BLOCK + tl.arange(0, _BLOCK)
    n = constant(words, at, tables, 0)
    r = e // n
    return r, e - r * n, e < rows(words, at) * n


@triton.jit
def _factor(words, at, tables, r, q, mask):
    """m / (1 - p); constants 1 to 4: p, 1 / (1 - p), and how elements share decisions.

    A decision holds along an axis of `length` elements that are `step` apart.
    """
    step = constant(words, at, tables, 3)
    decision = q // (step * constant(words, at, tables, 4)) * step + q % step
    kept = uniform(words, payload(words, at, 0, r, mask), decision) >= setting(words, at, tables, 1)
    return tl.where(kept, setting(words, at, tables, 2), 0.0)


@opcode
def dropout_forward(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """y = x m / (1 - p)."""
    r, q, mask = _elements(words, at, tile, tables)
    x = tl.load(base(bases, words, at, 1) + row_offsets(words, at, 1, r, mask) + q, mask=mask, other=0.0)
    y = x * _factor(words, at, tables, r, q, mask)
    tl.store(base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + q, y, mask=mask)


@opcode
def dropout_backward(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """dx += dy m / (1 - p)."""
    r, q, mask = _elements(words, at, tile, tables)
    dy = tl.load(base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + q, mask=mask, other=0.0)
    d = dy * _factor(words, at, tables, r, q, mask)
    row = row_offsets(words, at, 1, r, mask)
    add(base(bases, words, at, 1) + row + q, d, mask & takes_gradient(words, at, 1, row), words, at, 1)


@opcode
def noise_forward(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """y = x + s z, z standard normal; constant 1: s."""
    r, q, mask = _elements(words, at, tile, tables)
    x = tl.load(base(bases, words, at, 1) + row_offsets(words, at, 1, r, mask) + q, mask=mask, other=0.0)
    y = x + setting(words, at, tables, 1) * normal(words, payload(words, at, 0, r, mask), q)
    tl.store(base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + q, y, mask=mask)


@opcode
def noise_backward(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """dx += dy."""
    r, q, mask = _elements(words, at, tile, tables)
    dy = tl.load(base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + q, mask=mask, other=0.0)
    row = row_offsets(words, at, 1, r, mask)
    add(base(bases, words, at, 1) + row + q, dy, mask & takes_gradient(words, at, 1, row), words, at, 1)


@opcode
def random_normal_forward(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """y = mean + s z, z standard normal; constants 1 and 2: mean, s."""
    r, q, mask = _elements(words, at, tile, tables)
    z = normal(words, payload(words, at, 0, r, mask), q)
    y = setting(words, at, tables, 1) + setting(words, at, tables, 2) * z
    tl.store(base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + q, y, mask=mask)


@opcode
def random_uniform_forward(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """y = left + width u, u uniform in [0, 1); constants 1 and 2: left, width."""
    r, q, mask = _elements(words, at, tile, tables)
    u = uniform(words, payload(words, at, 0, r, mask), q)
    y = setting(words, at, tables, 1) + setting(words, at, tables, 2) * u
    tl.store(base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + q, y, mask=mask)


@opcode
def random_bernoulli_forward(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """y = s where u < p, else 0; constants 1 and 2: p, s."""
    r, q, mask = _elements(words, at, tile, tables)
    u = uniform(words, payload(words, at, 0, r, mask), q)
    y = tl.where(u < setting(words, at, tables, 1), setting(words, at, tables, 2), 0.0)
    tl.store(base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + q, y, mask=mask)


@opcode
def random_gumbel_forward(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """y = mean - scale log(-log u), u at least 1e-20; constants 1 and 2: mean, scale.

    Near 1, the logarithm needs more than float32; below, u = 1 - 2^-24 bounds the outer one.
    """
    r, q, mask = _elements(words, at, tile, tables)
    u = tl.maximum(uniform(words, payload(words, at, 0, r, mask), q), 1e-20)
    z = tl.log((-tl.log(u.to(tl.float64))).to(tl.float32))
    y = setting(words, at, tables, 1) - setting(words, at, tables, 2) * z
    tl.store(base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + q, y, mask=mask)


def shared_axis(result: Shape, mask: Shape) -> tuple[int, int]:
    """How far apart the elements of one decision are, and how many there are: `mask` is `result` less some axes.

    The axes that it lacks, the batch counted as the last one, are next to each other.
    """
    step = length = 1
    kept_behind = False
    sizes = [*result.dims, result.batch]
    decisions = [*(mask.dim(axis) for axis in range(len(result.dims))), mask.batch]
    for size, count in zip(sizes, decisions, strict=True):
        if size > 1 and count == 1:
            assert not kept_behind, "a mask lacks axes that are apart"
            length *= size
        elif length > 1:
            kept_behind |= size > 1
        else:
            step *= size
    return step, length


def _lower_dropout(signature: Signature, plan: Lowering, mask: Shape) -> None:
    y, p = signature.results[0], number(signature.attributes[0])
    constants = [y.total, p, 1 / (1 - p), *shared_axis(y, mask)]
    plan.forward(dropout_forward, Tiles(y.total, BLOCK), [Value(0), Value(1)], constants=constants)
    if plan.needs[1]:
        plan.backward(dropout_backward, Tiles(y.total, BLOCK), [Gradient(0), Gradient(1)], constants=constants)


@lowering("dropout")
def lower_dropout(signature: Signature, plan: Lowering) -> None:
    """A decision for each element."""
    _lower_dropout(signature, plan, signature.results[0])


@lowering("shared_dropout")
def lower_shared_dropout(signature: Signature, plan: Lowering) -> None:
    """A decision for each element of the mask."""
    _, dims, batch = signature.attributes
    assert isinstance(dims, tuple) and isinstance(batch, int)
    _lower_dropout(signature, plan, shape_of(dims, batch))


@lowering("noise")
def lower_noise(signature: Signature, plan: Lowering) -> None:
    """The gradient passes as it is."""
    y = signature.results[0]
    constants = [y.total, number(signature.attributes[0])]
    plan.forward(noise_forward, Tiles(y.total, BLOCK), [Value(0), Value(1)], constants=constants)
    if plan.needs[1]:
        plan.backward(noise_backward, Tiles(y.total, BLOCK), [Gradient(0), Gradient(1)], constants=constants)


def _lower_random(signature: Signature, plan: Lowering, body: Any, settings: Sequence[float]) -> None:
    total = signature.results[0].total
    plan.forward(body, Tiles(total, BLOCK), [Value(0)], constants=[total, *settings])


def _settings(signature: Signature) -> tuple[float, float]:
    """The parameters of the distribution."""
    first, second = signature.attributes[2:]
    return number(first), number(second)


@lowering("random_normal")
def lower_random_normal(signature: Signature, plan: Lowering) -> None:
    """Mean and standard deviation."""
    _lower_random(signature, plan, random_normal_forward, _settings(signature))


@lowering("random_uniform")
def lower_random_uniform(signature: Signature, plan: Lowering) -> None:
    """Left end and width."""
    left, right = _settings(signature)
    _lower_random(signature, plan, random_uniform_forward, [left, right - left])


@lowering("random_bernoulli")
def lower_random_bernoulli(signature: Signature, plan: Lowering) -> None:
    """u is a multiple of 2^-24 and compared with p rounded up to one, which float32 holds."""
    p, scale = _settings(signature)
    _lower_random(signature, plan, random_bernoulli_forward, [math.ceil(p * 2**24) / 2**24, scale])


@lowering("random_gumbel")
def lower_random_gumbel(signature: Signature, plan: Lowering) -> None:
    """Mean and scale."""
    _lower_random(signature, plan, random_gumbel_forward, _settings(signature))
