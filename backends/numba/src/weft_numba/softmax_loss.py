"""Kernel of the softmax loss with its weights: a block of logits at a time, small enough to stay in the second cache.

Forward leaves exponentials in the place of the logits, the gradient of the logits but for a factor per example, which
backward gives to x instead. Columns are those of all examples of all instructions, one after another. Views: loss,
exponentials, factors, x, W, and perhaps b.
"""

from __future__ import annotations

from typing import Any

from weft_core.plan import T_BATCH, T_PARAMETERS, V_EXTERNAL, V_ROWS

from .blas import outer_add, product_add, product_transposed_add
from .cache import cached_njit
from .kernels import kernel
from .losses import negative_log
from .mathematics import ONE, ZERO, exp, log
from .pointers import copy_floats, floats, integers, zero_floats
from .reductions import largest, loop
from .views import (
    adjacent,
    gradient,
    is_zero,
    payload,
    row_distance,
    scratch,
    sgemm_address,
    size,
    total,
    value,
    view,
    wants_gradient,
)

LOSS, LOGITS, FACTOR, X, WEIGHT, BIAS = range(6)

# Floats of a block of logits, and the fewest columns that pay for reading the weights; columns of a block backward.
BLOCK, FEWEST, GRADIENT_COLUMNS = 1 << 18, 16, 256


@cached_njit
def block_columns(classes: int, columns: int) -> int:
    """Columns of a block: whole tiles, as many in each block."""
    most = max(FEWEST, BLOCK // classes)
    blocks = (columns + most - 1) // most
    return ((columns + blocks - 1) // blocks + 7) // 8 * 8


@loop
def exponentiate(address: int, n: int, shift: Any) -> Any:
    """`x = exp(x - shift)` in place; returns the sum."""
    x = floats(address)
    s = ZERO
    for i in range(n):
        e = exp(x[i] - shift)
        x[i] = e
        s += e
    return s


@loop
def scale(target: int, source: int, n: int, factor: Any) -> None:
    """`y = factor x`."""
    y, x = floats(target), floats(source)
    for i in range(n):
        y[i] = factor * x[i]


@loop
def add_scaled(target: int, source: int, n: int, factor: Any) -> None:
    """`y += factor x`."""
    y, x = floats(target), floats(source)
    for i in range(n):
        y[i] += factor * x[i]


@cached_njit
def example(record: int, v: int, start: int, column: int) -> int:
    """Address of the value of one example: that of a column."""
    batch = integers(record)[T_BATCH]
    return value(v, start + column // batch) + 4 * size(v) * (column % batch)


@cached_njit
def operand_columns(record: int, start: int, count: int, first: int, columns: int) -> tuple[int, int]:
    """Address and leading dimension of these columns of x; scattered ones are packed into scratch memory."""
    x, batch = view(record, X), integers(record)[T_BATCH]
    n = size(x)
    if adjacent(x, start, count):
        return value(x, start) + 4 * first * n, n
    lead = row_distance(integers(x)[V_ROWS], start, count)
    if batch == 1 and lead >= n:
        return value(x, start) + 4 * first * lead, lead
    packed = scratch(record)
    for c in range(columns):
        copy_floats(packed + 4 * c * n, example(record, x, start, first + c), n)
    return packed, n


def forward(record: int, start: int, count: int) -> None:
    """Logits, their exponentials in place, and the losses; block by block."""
    loss, saved, factor = view(record, LOSS), view(record, LOGITS), view(record, FACTOR)
    classes, width, batch = size(saved), size(view(record, X)), integers(record)[T_BATCH]
    weight, columns = value(view(record, WEIGHT), 0), count * batch
    block = block_columns(classes, columns)
    for first in range(0, columns, block):
        n = min(block, columns - first)
        logits = value(saved, start) + 4 * classes * first
        if integers(record)[T_PARAMETERS] > 1:
            for c in range(n):
                copy_floats(logits + 4 * classes * c, value(view(record, BIAS), 0), classes)
        else:
            zero_floats(logits, n * classes)
        x, lead = operand_columns(record, start, count, first, n)
        product_add(sgemm_address(record), classes, n, width, weight, classes, x, lead, logits, classes)
        for c in range(n):
            row, b = start + (first + c) // batch, (first + c) % batch
            column, wanted = logits + 4 * classes * c, payload(record, b, row)
            shift, chosen = largest(column, classes, 1), floats(column)[wanted]
            normalizer = exponentiate(column, classes, shift)
            floats(column)[wanted] -= normalizer
            floats(value(factor, row))[b] = ONE / normalizer
            floats(value(loss, row))[b] = negative_log(log(normalizer), chosen, shift)


@cached_njit
def write_factors(record: int, start: int, count: int) -> int:
    """Address of the numbers that make the columns gradients: those of the loss, over the sum of exponentials.

    They stand where the gradient of the saved factors would stand.
    """
    loss, factor = view(record, LOSS), view(record, FACTOR)
    for row in range(start, start + count):
        target, inverse, dloss = floats(gradient(factor, row)), floats(value(factor, row)), floats(gradient(loss, row))
        for b in range(integers(record)[T_BATCH]):
            target[b] = inverse[b] * dloss[b]
    return gradient(factor, start)


@cached_njit
def add_weight_gradients(record: int, start: int, first: int, columns: int, matrix: int, factors: int) -> None:
    """dW += E (factors X)^T, db += E factors, for a block of columns."""
    weight, x = view(record, WEIGHT), view(record, X)
    classes, width = size(view(record, LOGITS)), size(x)
    if wants_gradient(weight):
        scaled, dweight = scratch(record), gradient(weight, 0)
        for c in range(columns):
            scale(scaled + 4 * c * width, example(record, x, start, first + c), width, floats(factors)[c])
        outer_add(
            sgemm_address(record), classes, columns, width, matrix, classes, scaled, width, dweight, classes
        )  # fmt: skip
    if integers(record)[T_PARAMETERS] > 1 and wants_gradient(view(record, BIAS)):
        dbias = gradient(view(record, BIAS), 0)
        product_add(sgemm_address(record), classes, 1, columns, matrix, classes, factors, columns, dbias, classes)


@cached_njit
def add_operand_gradients(record: int, start: int, first: int, columns: int, matrix: int, factors: int) -> None:
    """dX += factors W^T E, for a block of columns."""
    x, weight, batch = view(record, X), value(view(record, WEIGHT), 0), integers(record)[T_BATCH]
    classes, width, packed = size(view(record, LOGITS)), size(x), scratch(record)
    zero_floats(packed, width * columns)
    product_transposed_add(
        sgemm_address(record), classes, columns, width, weight, classes, matrix, classes, packed, width
    )  # fmt: skip
    for c in range(columns):
        row, b = start + (first + c) // batch, (first + c) % batch
        if not is_zero(x, row):
            add_scaled(gradient(x, row) + 4 * width * b, packed + 4 * width * c, width, floats(factors)[c])


@cached_njit
def add_gradients(record: int, start: int, count: int, weights: bool, operands: bool) -> None:
    """Gradients of the weights and of x; each forward call has left one run of adjacent exponentials."""
    saved, batch = view(record, LOGITS), integers(record)[T_BATCH]
    factors = write_factors(record, start, count)
    row = start
    while row < start + count:
        run = 1
        while row + run < start + count and value(saved, row + run) == value(saved, row) + 4 * run * total(saved):
            run += 1
        for first in range(0, run * batch, GRADIENT_COLUMNS):
            n = min(GRADIENT_COLUMNS, run * batch - first)
            matrix = value(saved, row) + 4 * size(saved) * first
            part = factors + 4 * ((row - start) * batch + first)
            if weights:
                add_weight_gradients(record, row, first, n, matrix, part)
            if operands:
                add_operand_gradients(record, row, first, n, matrix, part)
        row += run


@cached_njit
def outside(record: int) -> bool:
    """Whether x comes from outside of the recurrence, so that its gradient can wait for the epilogue."""
    return integers(view(record, X))[V_EXTERNAL] != 0


def backward(record: int, start: int, count: int) -> None:
    """The gradient of an x from inside the recurrence."""
    if wants_gradient(view(record, X)) and not outside(record):
        add_gradients(record, start, count, False, True)


def epilogue(record: int, start: int, count: int) -> None:
    """For all rows of the type: gradients of the weights, and of an x from outside of the recurrence."""
    add_gradients(record, start, count, True, wants_gradient(view(record, X)) and outside(record))


kernel("softmax_loss", forward=forward, backward=backward, epilogue=epilogue)
