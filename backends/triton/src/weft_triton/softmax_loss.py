"""The output layer with its loss: logits of all columns as one product, then a vector of them for each loss.

Forward leaves `softmax - onehot(v)` in the place of the logits: their gradient, but for the gradient of the loss, which
is a factor of each column. The gradient of x sums over all classes, which few columns would leave to few tiles: these
sum a part of the classes each into the memory of the logits' gradients, and a second work adds the parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import triton
import triton.language as tl

from weft_core.signature import Signature

from .access import add, base, constant, present, row_offsets, rows, takes_gradient
from .dots import dot
from .lowering import NONE, Gradient, Lowering, Ref, Tiles, Value, lowering
from .opcodes import opcode
from .specialised import specialised
from .tiles import WIDE, memory, multiply, size, starts_of, tiles_by_columns, tiles_of, worth_a_launch

# Views of the signature.
LOSS, LOGITS, X, WEIGHT, BIAS = 0, 1, 3, 4, 5
# Classes up to which several losses share a tile, and tiles of losses: columns and classes at a time.
FEW_CLASSES = 256
NARROW_LOSS, WIDE_LOSS = (16, 64), (1, 2048)
# Classes that one part of the gradient of x sums at least, and the most parts.
PART, MOST_PARTS = 512, 8
# Columns that one tile of a weight gradient sums, where tiles are few: fewer than these.
SPLIT, FEW_TILES = 1024, 64
# Classes of a tile of the bias gradient; numbers of a tile of sums.
BIAS_TILE, BLOCK = 64, 1024
_BIAS_TILE, _BLOCK = tl.constexpr(BIAS_TILE), tl.constexpr(BLOCK)
_INFINITY = tl.constexpr(float("inf"))

# The constants of all bodies begin with: classes, width of x, examples of an instruction.


@triton.jit
def output_logits(
    words, at, tile, bases, tables, PRECISION: tl.constexpr,
    M: tl.constexpr, N: tl.constexpr, K: tl.constexpr, ALIGNED: tl.constexpr,
):  # fmt: skip
    """logits = W x + b; views: logits, x, W, b or nothing."""
    classes = size(words, at, tables, 0, ALIGNED)
    width = size(words, at, tables, 1, ALIGNED)
    batch = constant(words, at, tables, 2)
    down = (classes + M - 1) // M
    i = tile % down * M + tl.arange(0, M)
    q = tile // down * N + tl.arange(0, N)
    there, inside = i < classes, q < rows(words, at) * batch
    r = q // batch
    example = q - r * batch
    x = memory(bases, words, at, 1, ALIGNED)
    starts = starts_of(words, at, 1, r, example * width, inside, ALIGNED)
    weight = memory(bases, words, at, 2, ALIGNED)
    total = tl.zeros([M, N], tl.float32)
    total = multiply(total, weight, i, 1, classes, there, x, starts, inside, 0, width, width, K, PRECISION)
    total += tl.load(base(bases, words, at, 3) + i, mask=there & present(words, at, 3), other=0.0)[:, None]
    targets = starts_of(words, at, 0, r, example * classes, inside, ALIGNED)
    pointers = memory(bases, words, at, 0, ALIGNED) + (targets[None, :] + i[:, None])
    tl.store(pointers, total, mask=there[:, None] & inside[None, :])


@triton.jit
def output_losses(words, at, tile, bases, tables, PRECISION: tl.constexpr, C: tl.constexpr, V: tl.constexpr):
    """ln sum exp(z) - z_v for `C` columns, `V` classes at a time, then z := softmax(z) - onehot(v).

    Views: loss, logits; payload: v of every example.
    """
    classes, batch = constant(words, at, tables, 0), constant(words, at, tables, 2)
    q = tile * C + tl.arange(0, C)
    inside = q < rows(words, at) * batch
    r = q // batch
    example = q - r * batch
    place = tl.load(words + at + 5) + example * tl.load(words + at + 6) + r
    wanted = tl.load(words + place, mask=inside, other=-1)
    column = base(bases, words, at, 1) + row_offsets(words, at, 1, r, inside) + example * classes
    top = tl.full([C], -_INFINITY, tl.float32)
    normalizer = tl.zeros([C], tl.float32)
    chosen = tl.zeros([C], tl.float32)
    for begin in range(0, classes, V):
        v = begin + tl.arange(0, V)
        mask = inside[:, None] & (v < classes)[None, :]
        z = tl.load(column[:, None] + v[None, :], mask=mask, other=-_INFINITY)
        chosen += tl.sum(tl.where(v[None, :] == wanted[:, None], z, 0.0), 1)
        higher = tl.maximum(top, tl.max(z, 1))
        shift = tl.where(higher == -_INFINITY, 0.0, higher)
        normalizer = normalizer * tl.exp(top - shift) + tl.sum(tl.exp(z - shift[:, None]), 1)
        top = higher
    loss = tl.log(normalizer) - (chosen - top)
    tl.store(base(bases, words, at, 0) + row_offsets(words, at, 0, r, inside) + example, loss, mask=inside)
    scale = 1.0 / normalizer
    for begin in range(0, classes, V):
        v = begin + tl.arange(0, V)
        mask = inside[:, None] & (v < classes)[None, :]
        z = tl.load(column[:, None] + v[None, :], mask=mask, other=-_INFINITY)
        onehot = tl.where(v[None, :] == wanted[:, None], 1.0, 0.0)
        tl.store(column[:, None] + v[None, :], tl.exp(z - top[:, None]) * scale[:, None] - onehot, mask=mask)


@triton.jit
def output_operand(
    words, at, tile, bases, tables, PRECISION: tl.constexpr,
    M: tl.constexpr, N: tl.constexpr, K: tl.constexpr, ALIGNED: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """dx += dloss W^T g of the saved g; views: g, dx, W, dloss.

    `PARTS`: sums over a part of the classes instead, into memory behind view 1. More constants: parts, classes of one.
    """
    classes = size(words, at, tables, 0, ALIGNED)
    width = size(words, at, tables, 1, ALIGNED)
    batch = constant(words, at, tables, 2)
    down = (width + M - 1) // M
    i = tile % down * M + tl.arange(0, M)
    number = tile // down
    part, begin, end = 0, 0, classes
    if PARTS:
        parts, length = constant(words, at, tables, 3), size(words, at, tables, 4, True)
        part = number % parts
        number = number // parts
        begin = part * length
        end = tl.minimum(begin + length, classes)
    q = number * N + tl.arange(0, N)
    there, inside = i < width, q < rows(words, at) * batch
    r = q // batch
    example = q - r * batch
    gradient = memory(bases, words, at, 0, ALIGNED)
    starts = starts_of(words, at, 0, r, example * classes, inside, ALIGNED)
    weight = memory(bases, words, at, 2, ALIGNED)
    total = tl.zeros([M, N], tl.float32)
    total = multiply(
        total, weight, i, classes, 1, there, gradient, starts, inside, begin, end, classes, K, PRECISION
    )  # fmt: skip
    if PARTS:
        targets = starts_of(words, at, 1, r, example * classes + part * width, inside, ALIGNED)
        pointers = memory(bases, words, at, 1, ALIGNED) + (targets[None, :] + i[:, None])
        tl.store(pointers, total, mask=there[:, None] & inside[None, :])
    else:
        factor = base(bases, words, at, 3) + starts_of(words, at, 3, r, example, inside, False)
        dloss = tl.load(factor, mask=inside, other=0.0)
        targets = starts_of(words, at, 1, r, example * width, inside, ALIGNED)
        pointers = memory(bases, words, at, 1, ALIGNED) + (targets[None, :] + i[:, None])
        inside &= takes_gradient(words, at, 1, row_offsets(words, at, 1, r, inside))
        add(pointers, total * dloss[None, :], there[:, None] & inside[None, :], words, at, 1)


@opcode
def output_operand_sum(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """dx += dloss times the sum of the parts; views: the parts, dx, dloss; constants: parts behind the others."""
    classes, width = constant(words, at, tables, 0), constant(words, at, tables, 1)
    batch = constant(words, at, tables, 2)
    e = tile * _BLOCK + tl.arange(0, _BLOCK)
    q = e // width
    i = e - q * width
    mask = q < rows(words, at) * batch
    r = q // batch
    example = q - r * batch
    parts = base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + example * classes + i
    total = tl.zeros([_BLOCK], tl.float32)
    for part in range(0, constant(words, at, tables, 3)):
        total += tl.load(parts + part * width, mask=mask, other=0.0)
    dloss = tl.load(base(bases, words, at, 2) + row_offsets(words, at, 2, r, mask) + example, mask=mask, other=0.0)
    start = row_offsets(words, at, 1, r, mask)
    mask &= takes_gradient(words, at, 1, start)
    add(base(bases, words, at, 1) + start + example * width + i, total * dloss, mask, words, at, 1)


@triton.jit
def output_weight(
    words, at, tile, bases, tables, PRECISION: tl.constexpr,
    M: tl.constexpr, N: tl.constexpr, K: tl.constexpr, ALIGNED: tl.constexpr,
):  # fmt: skip
    """dW += g (dloss x)^T; views: g, x, dW, dloss; one more constant: columns that a tile sums."""
    classes = size(words, at, tables, 0, ALIGNED)
    width = size(words, at, tables, 1, ALIGNED)
    batch = constant(words, at, tables, 2)
    columns = constant(words, at, tables, 3)
    down, across = (classes + M - 1) // M, (width + N - 1) // N
    i = tile % down * M + tl.arange(0, M)
    j = tile // down % across * N + tl.arange(0, N)
    first = tile // (down * across) * columns
    end = tl.minimum(first + columns, rows(words, at) * batch)
    gradient = memory(bases, words, at, 0, ALIGNED)
    x = memory(bases, words, at, 1, ALIGNED)
    dloss = base(bases, words, at, 3)
    total = tl.zeros([M, N], tl.float32)
    # To load columns in advance would take the registers of other programs, which hide the latency as well.
    for begin in tl.range(first, end, K, num_stages=1):
        q = begin + tl.arange(0, K)
        inside = q < end
        r = q // batch
        example = q - r * batch
        above = starts_of(words, at, 0, r, example * classes, inside, ALIGNED)
        beside = starts_of(words, at, 1, r, example * width, inside, ALIGNED)
        factor = tl.load(dloss + starts_of(words, at, 3, r, example, inside, False), mask=inside, other=0.0)
        a = tl.load(gradient + (i[:, None] + above[None, :]), mask=(i < classes)[:, None] & inside[None, :], other=0.0)
        b = tl.load(x + (beside[:, None] + j[None, :]), mask=inside[:, None] & (j < width)[None, :], other=0.0)
        total = dot(a, b * factor[:, None], total, PRECISION)
    pointers = memory(bases, words, at, 2, ALIGNED) + (i[:, None] + j[None, :] * classes)
    add(pointers, total, (i < classes)[:, None] & (j < width)[None, :], words, at, 2)


@opcode
def output_bias(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """db += sum of dloss g over all columns; views: g, db, dloss."""
    classes, batch = constant(words, at, tables, 0), constant(words, at, tables, 2)
    i = tile * _BIAS_TILE + tl.arange(0, _BIAS_TILE)
    columns = rows(words, at) * batch
    gradient, dloss = base(bases, words, at, 0), base(bases, words, at, 2)
    total = tl.zeros([_BIAS_TILE], tl.float32)
    for begin in range(0, columns, 32):
        q = begin + tl.arange(0, 32)
        inside = q < columns
        r = q // batch
        example = q - r * batch
        starts = starts_of(words, at, 0, r, example * classes, inside, False)
        factor = tl.load(dloss + starts_of(words, at, 2, r, example, inside, False), mask=inside, other=0.0)
        mask = (i < classes)[:, None] & inside[None, :]
        g = tl.load(gradient + (i[:, None] + starts[None, :]), mask=mask, other=0.0)
        total += tl.sum(g * factor[None, :], 1)
    add(base(bases, words, at, 1) + i, total, i < classes, words, at, 1)


class _Layer:
    """The sizes of a signature, and works on them."""

    def __init__(self, signature: Signature, plan: Lowering) -> None:
        self.plan = plan
        self.classes, self.width = signature.parameters[0].rows, signature.operands[0].size
        self.batch = signature.results[0].batch
        self.has_bias = len(signature.parameters) > 1
        self.constants = [self.classes, self.width, self.batch]
        self.aligned = self.classes % WIDE == 0 and self.width % WIDE == 0 and all(plan.aligned[k] for k in (LOGITS, X))
        self.large = worth_a_launch(self.classes, self.width)
        # Parts of a column of the gradient of x lie one after the other where a column of logits would.
        self.parts = min(MOST_PARTS, self.classes // max(PART, self.width))

    def forward(self) -> None:
        bias = Value(BIAS) if self.has_bias else NONE
        self._columns(self.plan.forward, output_logits, self.classes, [Value(LOGITS), Value(X), Value(WEIGHT), bias])
        tile = NARROW_LOSS if self.classes <= FEW_CLASSES else WIDE_LOSS
        self.plan.forward(
            specialised(output_losses, *tile),
            Tiles(self.batch, tile[0]),
            [Value(LOSS), Value(LOGITS)],
            constants=self.constants,
            level=1,
        )

    def operand_gradient(self, phase: Callable[..., None]) -> None:
        """The gradient of x, in parts where there are many classes."""
        if self.parts < 2:
            views = [Value(LOGITS), Gradient(X), Value(WEIGHT), Gradient(LOSS)]
            self._columns(phase, output_operand, self.width, views, False)
            return
        # Whole steps of the loop over classes.
        length = 32 * tiles_of(self.classes, 32 * self.parts)
        parts = tiles_of(self.classes, length)
        views = [Value(LOGITS), Gradient(LOGITS), Value(WEIGHT)]
        self._columns(phase, output_operand, self.width, views, True, constants=[parts, length], times=parts)
        phase(
            output_operand_sum,
            Tiles(self.width * self.batch, BLOCK),
            [Gradient(LOGITS), Gradient(X), Gradient(LOSS)],
            constants=[*self.constants, parts],
            level=1,
        )

    def parameter_gradients(self) -> None:
        """One product for all rows; where its tiles are few, they share the columns."""
        plan = self.plan
        if plan.needs[WEIGHT]:
            for tile, when in tiles_by_columns(self.aligned, self.batch, self.large, narrow=False):
                tiles = tile.count(self.classes, self.width)
                columns = SPLIT if tiles < FEW_TILES else 1 << 30
                dweight = Gradient(WEIGHT, shared=tiles < FEW_TILES)
                plan.epilogue(
                    tile.opcode(output_weight, self.aligned),
                    Tiles(self.batch, columns, tiles),
                    [Value(LOGITS), Value(X), dweight, Gradient(LOSS)],
                    constants=[*self.constants, columns],
                    **when,
                )
        if self.has_bias and plan.needs[BIAS]:
            plan.epilogue(
                output_bias,
                Tiles(1, 1 << 30, tiles_of(self.classes, BIAS_TILE)),
                [Value(LOGITS), Gradient(BIAS), Gradient(LOSS)],
                constants=self.constants,
            )

    def _columns(
        self, phase: Callable[..., None], body: Any, height: int, views: Sequence[Ref], *more: int,
        constants: Sequence[int] = (), times: int = 1,
    ) -> None:  # fmt: skip
        """A product whose result has a column of this height for each loss; `more` constants of the body itself."""
        for tile, when in tiles_by_columns(self.aligned, self.batch, self.large):
            tiles = Tiles(self.batch, tile.columns, times * tiles_of(height, tile.rows))
            phase(tile.opcode(body, self.aligned, *more), tiles, views, constants=[*self.constants, *constants], **when)


@lowering("softmax_loss")
def lower_softmax_loss(signature: Signature, plan: Lowering) -> None:
    """An x from inside the recurrence gets its gradient step by step, one from outside at the end, for all rows."""
    layer = _Layer(signature, plan)
    layer.forward()
    if plan.needs[X]:
        layer.operand_gradient(plan.epilogue if plan.external[X] else plan.backward)
    layer.parameter_gradients()
