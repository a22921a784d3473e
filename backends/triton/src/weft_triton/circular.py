"""Kernels of circular convolution and correlation: tiles of elements of the result and of what is summed for each."""

from __future__ import annotations

import triton
import triton.language as tl

from weft_core.shape import Shape
from weft_core.signature import Signature

from .access import add, base, constant, row_offsets, rows, takes_gradient
from .lowering import Gradient, Lowering, Ref, Tiles, Value, lowering
from .opcodes import opcode

BLOCK = 16
_BLOCK = tl.constexpr(BLOCK)
_CHUNK = tl.constexpr(32)
# Constants: the size of the vectors, examples, 1 or -1 for the way around, floats from an example to the next in the
# factors and in what is computed.
_SIZE, _BATCH, _WAY, _LEFT, _RIGHT, _OWN = (tl.constexpr(k) for k in range(6))


@triton.jit
def _element(words, at, tile, tables):
    """Row, example and position of the elements of a tile, and which of them there are."""
    e = tile * _BLOCK + tl.arange(0, _BLOCK)
    n = constant(words, at, tables, _SIZE)
    batch = constant(words, at, tables, _BATCH)
    vector = e // n
    r = vector // batch
    return r, vector - r * batch, e - vector * n, r < rows(words, at)


@triton.jit
def _product(words, at, bases, tables, r, b, k, mask):
    """sum_i a_i c_(k + way i), indices modulo n; views 1 and 2 are a and c."""
    n = constant(words, at, tables, _SIZE)
    way = constant(words, at, tables, _WAY)
    left = row_offsets(words, at, 1, r, mask) + b * constant(words, at, tables, _LEFT)
    right = row_offsets(words, at, 2, r, mask) + b * constant(words, at, tables, _RIGHT)
    a = base(bases, words, at, 1) + tl.expand_dims(left, 1)
    c = base(bases, words, at, 2) + tl.expand_dims(right, 1)
    total = tl.zeros([_BLOCK, _CHUNK], tl.float32)
    for first in range(0, n, _CHUNK):
        i = first + tl.expand_dims(tl.arange(0, _CHUNK), 0)
        there = tl.expand_dims(mask, 1) & (i < n)
        met = tl.expand_dims(k, 1) + way * i
        met = tl.where(met < 0, met + n, tl.where(met < n, met, met - n))
        total += tl.load(a + i, mask=there, other=0.0) * tl.load(c + met, mask=there, other=0.0)
    return tl.sum(total, 1)


@opcode
def circular_forward(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """y_k = sum_i u_i v_(k + way i)."""
    r, b, k, mask = _element(words, at, tile, tables)
    target = row_offsets(words, at, 0, r, mask) + b * constant(words, at, tables, _OWN) + k
    y = _product(words, at, bases, tables, r, b, k, mask)
    tl.store(base(bases, words, at, 0) + target, y, mask=mask)


@opcode
def circular_backward(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """Adds sum_i a_i c_(k + way i) to the gradient in view 0."""
    r, b, k, mask = _element(words, at, tile, tables)
    own = row_offsets(words, at, 0, r, mask)
    target = base(bases, words, at, 0) + own + b * constant(words, at, tables, _OWN) + k
    d = _product(words, at, bases, tables, r, b, k, mask)
    add(target, d, mask & takes_gradient(words, at, 0, own), words, at, 0)


# Which way around, and what the gradients of both operands are products of: views, 0 is dy, and ways.
CONVOLUTION, CORRELATION = -1, 1
_GRADIENTS = {
    CONVOLUTION: ((2, 0, CORRELATION), (1, 0, CORRELATION)),
    CORRELATION: ((0, 2, CORRELATION), (0, 1, CONVOLUTION)),
}


def _constants(y: Shape, own: Shape, left: Shape, right: Shape, way: int) -> list[int]:
    """Those of a product of `left` and `right` for each example of y that becomes, or is added to, `own`."""
    return [y.size, y.batch, way, *(x.size if x.batch > 1 else 0 for x in (left, right, own))]


def _lower(signature: Signature, plan: Lowering, way: int) -> None:
    y, u, v = shapes = [signature.results[0], *signature.operands]
    tiles = Tiles(y.total, BLOCK)
    plan.forward(circular_forward, tiles, [Value(0), Value(1), Value(2)], constants=_constants(y, y, u, v, way))
    for k, (left, right, around) in enumerate(_GRADIENTS[way], 1):
        if plan.needs[k]:
            # Without a batch, all examples add to one gradient.
            target = Gradient(k, shared=shapes[k].batch < y.batch)
            factors: list[Ref] = [Value(n) if n else Gradient(0) for n in (left, right)]
            constants = _constants(y, shapes[k], shapes[left], shapes[right], around)
            plan.backward(circular_backward, tiles, [target, *factors], constants=constants)


@lowering("circ_conv")
def lower_convolution(signature: Signature, plan: Lowering) -> None:
    """`y_k = sum_i u_i v_(k-i)`; du is the correlation of v and dy, dv that of u and dy."""
    _lower(signature, plan, CONVOLUTION)


@lowering("circ_corr")
def lower_correlation(signature: Signature, plan: Lowering) -> None:
    """`y_k = sum_i u_i v_(i+k)`; du is the correlation of dy and v, dv the convolution of dy and u."""
    _lower(signature, plan, CORRELATION)
