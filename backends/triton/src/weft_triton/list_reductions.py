"""Reductions of a list, element by element: tiles of operands by elements, so that long lists are read side by side.

Lanes own elements of the result; gradients of operands that are the same for all examples are added atomically.
"""

from __future__ import annotations

import triton
import triton.language as tl

from weft_core.shape import Shape
from weft_core.signature import Signature

from .access import base, constant, constants, present, row_offsets, takes_gradient
from .lines import line_numbers
from .lowering import Gradient, Lowering, Ref, Tiles, Value, lowering
from .mathematics import INFINITY
from .reductions import pivot
from .specialised import specialised

# Operands and elements of a tile: of short lists, of long ones, and of long ones of numbers, as losses are summed.
FEW, MANY, NUMBERS, LOSSES = (4, 256), (32, 16), (256, 1), (1024, 1)
MOST_OF_FEW = 16
_NONE = tl.constexpr((1 << 31) - 1)


@triton.jit
def list_length(words, at, tables):
    """Constant 2: how many operands there are."""
    return constant(words, at, tables, 2)


@triton.jit
def elements_of(words, at, bases, tables, k, view, r, q, mask):
    """Where operands `k`, which stand in views `view`, have elements q of rows r; offsets of these rows.

    Constants: elements of a row and of an example, operands, the stride of each over examples.
    """
    size = constant(words, at, tables, 1)
    b = q // size
    row = row_offsets(words, at, view, r, mask)
    return base(bases, words, at, view) + row + b * constants(words, at, tables, 3 + k, k >= 0) + (q - b * size), row


@triton.jit
def load_operands(words, at, bases, tables, first, view, r, q, mask, other, OPERANDS: tl.constexpr):
    """Elements q of rows r of operands `first` and on, which stand in views from `view` on."""
    k = (first + tl.arange(0, OPERANDS))[:, None]
    there = (k < list_length(words, at, tables)) & mask[None, :]
    k = tl.minimum(k, list_length(words, at, tables) - 1)
    pointers, _ = elements_of(words, at, bases, tables, k, view + k, r[None, :], q[None, :], there)
    return tl.load(pointers, mask=there, other=other)


@triton.jit
def add_to(pointers, numbers, mask, words, at, view):
    """Add to a block of views, some of which are shared."""
    shared = tl.load(words + at + 8 + 4 * view + 3) & 1 != 0
    tl.atomic_add(pointers, numbers, mask=mask & shared, sem="relaxed")
    alone = mask & (shared == 0)
    tl.store(pointers, tl.load(pointers, mask=alone, other=0.0) + numbers, mask=alone)


@triton.jit
def own_tile(words, at, tile, tables, OPERANDS: tl.constexpr, ELEMENTS: tl.constexpr):
    """Of a gradient: the tile's operands, kept inside the list; rows, elements and mask."""
    length = list_length(words, at, tables)
    parts = tl.cdiv(length, OPERANDS)
    r, q, mask = line_numbers(words, at, tile // parts, tables, ELEMENTS)
    k = (tile % parts * OPERANDS + tl.arange(0, OPERANDS))[:, None]
    return tl.minimum(k, length - 1), r, q, mask, (k < length) & mask[None, :]


@triton.jit
def esum_forward(
    words, at, tile, bases, tables, PRECISION: tl.constexpr, OPERANDS: tl.constexpr, ELEMENTS: tl.constexpr
):
    """y = x_0 + x_1 + ..."""
    r, q, mask = line_numbers(words, at, tile, tables, ELEMENTS)
    total = tl.zeros([OPERANDS, ELEMENTS], tl.float32)
    for first in range(0, list_length(words, at, tables), OPERANDS):
        total += load_operands(words, at, bases, tables, first, 1, r, q, mask, 0.0, OPERANDS)
    tl.store(base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + q, tl.sum(total, 0), mask=mask)


@triton.jit
def esum_backward(
    words, at, tile, bases, tables, PRECISION: tl.constexpr, OPERANDS: tl.constexpr, ELEMENTS: tl.constexpr
):
    """dx_k += dy. Views: dy, dx_0, ..."""
    k, r, q, mask, there = own_tile(words, at, tile, tables, OPERANDS, ELEMENTS)
    dy = tl.load(base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + q, mask=mask, other=0.0)
    pointers, row = elements_of(words, at, bases, tables, k, 1 + k, r[None, :], q[None, :], there)
    there &= takes_gradient(words, at, 1 + k, row)
    add_to(pointers, dy[None, :] + tl.zeros([OPERANDS, ELEMENTS], tl.float32), there, words, at, 1 + k)


@triton.jit
def emax_forward(
    words, at, tile, bases, tables, PRECISION: tl.constexpr, OPERANDS: tl.constexpr, ELEMENTS: tl.constexpr
):
    """y = max(x_0, x_1, ...), NaN where there is one."""
    r, q, mask = line_numbers(words, at, tile, tables, ELEMENTS)
    best = tl.full([OPERANDS, ELEMENTS], -INFINITY, tl.float32)
    for first in range(0, list_length(words, at, tables), OPERANDS):
        x = load_operands(words, at, bases, tables, first, 1, r, q, mask, -INFINITY, OPERANDS)
        best = tl.maximum(best, x, propagate_nan=tl.PropagateNan.ALL)
    # Reduced along an axis, NaN would be dropped.
    broken = tl.sum(tl.where(best == best, 0.0, best), 0)
    y = tl.where(broken == broken, tl.max(tl.where(best == best, best, -INFINITY), 0), broken)
    tl.store(base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + q, y, mask=mask)


@triton.jit
def emax_backward(
    words, at, tile, bases, tables, PRECISION: tl.constexpr, OPERANDS: tl.constexpr, ELEMENTS: tl.constexpr
):
    """dx_k += dy for the first operand that has the maximum. Views: y, x_0, ..., dy, dx_0, ..."""
    r, q, mask = line_numbers(words, at, tile, tables, ELEMENTS)
    length = list_length(words, at, tables)
    y = tl.load(base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + q, mask=mask, other=0.0)
    winner = tl.full([OPERANDS, ELEMENTS], _NONE, tl.int32)
    for first in range(0, length, OPERANDS):
        # Beyond the list nothing equals a number, nor is it NaN.
        x = load_operands(words, at, bases, tables, first, 1, r, q, mask, -INFINITY, OPERANDS)
        k = (first + tl.arange(0, OPERANDS))[:, None]
        winner = tl.minimum(winner, tl.where((x == y[None, :]) | (x != x), k, _NONE))
    k = tl.minimum(tl.min(winner, 0), length - 1)
    source = 1 + length
    dy = tl.load(base(bases, words, at, source) + row_offsets(words, at, source, r, mask) + q, mask=mask, other=0.0)
    view = source + 1 + k
    mask &= present(words, at, view)
    pointers, row = elements_of(words, at, bases, tables, k, view, r, q, mask)
    add_to(pointers, dy, mask & takes_gradient(words, at, view, row), words, at, view)


@triton.jit
def logsumexp_forward(
    words, at, tile, bases, tables, PRECISION: tl.constexpr, OPERANDS: tl.constexpr, ELEMENTS: tl.constexpr
):
    """y = pivot + ln(exp(x_0 - pivot) + exp(x_1 - pivot) + ...), each lane with a pivot of its own up to the end."""
    r, q, mask = line_numbers(words, at, tile, tables, ELEMENTS)
    best = tl.full([OPERANDS, ELEMENTS], -INFINITY, tl.float32)
    total = tl.zeros([OPERANDS, ELEMENTS], tl.float32)
    for first in range(0, list_length(words, at, tables), OPERANDS):
        x = load_operands(words, at, bases, tables, first, 1, r, q, mask, -INFINITY, OPERANDS)
        higher = tl.maximum(best, x)
        total = total * tl.exp(best - pivot(higher)) + tl.exp(x - pivot(higher))
        best = higher
    shift = pivot(tl.max(best, 0))
    y = shift + tl.log(tl.sum(total * tl.exp(best - shift[None, :]), 0))
    tl.store(base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + q, y, mask=mask)


@triton.jit
def logsumexp_backward(
    words, at, tile, bases, tables, PRECISION: tl.constexpr, OPERANDS: tl.constexpr, ELEMENTS: tl.constexpr
):
    """dx_k += dy exp(x_k - y). Views: y, dy, x_0, ..., dx_0, ..."""
    k, r, q, mask, there = own_tile(words, at, tile, tables, OPERANDS, ELEMENTS)
    y = tl.load(base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + q, mask=mask, other=0.0)
    dy = tl.load(base(bases, words, at, 1) + row_offsets(words, at, 1, r, mask) + q, mask=mask, other=0.0)
    pointers, _ = elements_of(words, at, bases, tables, k, 2 + k, r[None, :], q[None, :], there)
    dx = dy[None, :] * tl.exp(tl.load(pointers, mask=there, other=0.0) - y[None, :])
    view = 2 + list_length(words, at, tables) + k
    pointers, row = elements_of(words, at, bases, tables, k, view, r[None, :], q[None, :], there)
    add_to(pointers, dx, there & takes_gradient(words, at, view, row), words, at, view)


def tile_of(signature: Signature, operands: int) -> tuple[int, int]:
    """Operands and elements of a tile."""
    if operands <= MOST_OF_FEW:
        return FEW
    if signature.results[0].total > 1:
        return MANY
    return LOSSES if signature.operation.name == "esum" else NUMBERS


def list_constants(result: Shape, operands: list[Shape]) -> list[int]:
    """What the bodies read of these operands."""
    return [result.total, result.size, len(operands), *(x.size if x.batch > 1 else 0 for x in operands)]


def _gradient(signature: Signature, k: int) -> Ref:
    """The gradient of an operand; lanes of several examples add to one that is the same for all."""
    return Gradient(1 + k, shared=signature.operands[k].batch < signature.batch)


@lowering("esum", "logsumexp")
def lower_sum(signature: Signature, plan: Lowering) -> None:
    """Sums, or logarithms of sums of exponentials: every operand has a gradient of its own."""
    y, operands = signature.results[0], list(signature.operands)
    sums = signature.operation.name == "esum"
    tile = tile_of(signature, len(operands))
    plan.forward(
        specialised(esum_forward if sums else logsumexp_forward, *tile),
        Tiles(y.total, tile[1]),
        [Value(0), *(Value(1 + k) for k in range(len(operands)))],
        constants=list_constants(y, operands),
    )
    needed = [k for k in range(len(operands)) if plan.needs[1 + k]]
    if needed:
        tile = tile_of(signature, len(needed))
        read = [Gradient(0)] if sums else [Value(0), Gradient(0), *(Value(1 + k) for k in needed)]
        plan.backward(
            specialised(esum_backward if sums else logsumexp_backward, *tile),
            Tiles(y.total, tile[1], times=-(-len(needed) // tile[0])),
            [*read, *(_gradient(signature, k) for k in needed)],
            constants=list_constants(y, [operands[k] for k in needed]),
        )


@lowering("emax")
def lower_maximum(signature: Signature, plan: Lowering) -> None:
    """Maxima: one operand receives the gradient of an element."""
    y, operands = signature.results[0], list(signature.operands)
    tile, numbers = tile_of(signature, len(operands)), range(len(operands))
    views = [Value(0), *(Value(1 + k) for k in numbers)]
    constants = list_constants(y, operands)
    plan.forward(specialised(emax_forward, *tile), Tiles(y.total, tile[1]), views, constants=constants)
    if any(plan.needs[1:]):
        views += [Gradient(0), *(_gradient(signature, k) for k in numbers)]
        plan.backward(specialised(emax_backward, *tile), Tiles(y.total, tile[1]), views, constants=constants)
