"""Kernels of the LSTM primitives: a lane for each hidden unit of each example.

A state or gates of one example may meet those of many; their gradient is then summed over all of them.
"""

from __future__ import annotations

import triton
import triton.language as tl

from weft_core.signature import Signature

from .access import add, base, constant, row_offsets, rows, takes_gradient
from .lowering import Gradient, Lowering, Tiles, Value, lowering
from .mathematics import logistic, tanh
from .opcodes import opcode

BLOCK = 1024
_BLOCK = tl.constexpr(BLOCK)


@triton.jit
def lanes(words, at, tile, size, examples):
    """Of each lane: row, example, number of the element, and whether it is there."""
    e = tile * _BLOCK + tl.arange(0, _BLOCK)
    column = e // size
    r = column // examples
    return r, column - r * examples, e - column * size, column < rows(words, at) * examples


@opcode
def lstm_gates_forward(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """Logistic of three quarters of a column, the second of them plus 1; tanh of the last. Constants: H, examples."""
    hidden, batch = constant(words, at, tables, 0), constant(words, at, tables, 1)
    r, b, j, mask = lanes(words, at, tile, 4 * hidden, batch)
    place = b * 4 * hidden + j
    x = tl.load(base(bases, words, at, 1) + row_offsets(words, at, 1, r, mask) + place, mask=mask, other=0.0)
    gate = j // hidden
    y = tl.where(gate == 3, tanh(x), logistic(tl.where(gate == 1, x + 1.0, x)))
    tl.store(base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + place, y, mask=mask)


@opcode
def lstm_gates_backward(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """dx += dy y (1 - y), or dy (1 - y^2); views: y, dy, dx."""
    hidden, batch = constant(words, at, tables, 0), constant(words, at, tables, 1)
    r, b, j, mask = lanes(words, at, tile, 4 * hidden, batch)
    place = b * 4 * hidden + j
    y = tl.load(base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + place, mask=mask, other=0.0)
    dy = tl.load(base(bases, words, at, 1) + row_offsets(words, at, 1, r, mask) + place, mask=mask, other=0.0)
    slope = tl.where(j >= 3 * hidden, 1.0 - y * y, y * (1.0 - y))
    start = row_offsets(words, at, 2, r, mask)
    mask &= takes_gradient(words, at, 2, start)
    add(base(bases, words, at, 2) + start + place, dy * slope, mask, words, at, 2)


@lowering("vanilla_lstm_gates")
def lower_gates(signature: Signature, plan: Lowering) -> None:
    """One work for each direction."""
    x = signature.operands[0]
    tiles, constants = Tiles(x.total, BLOCK), [x.rows // 4, x.batch]
    plan.forward(lstm_gates_forward, tiles, [Value(0), Value(1)], constants=constants)
    if plan.needs[1]:
        plan.backward(lstm_gates_backward, tiles, [Value(0), Gradient(0), Gradient(1)], constants=constants)


# Memory and output: the constants are hidden units, examples of the result, of the state, of the gates. The views of
# forward are result, state, gates; those of a gradient are of the result, state, gates, of what it is the gradient of.


@triton.jit
def state_of(bases, words, at, tables, r, b, j, mask):
    """The state of hidden units `j` of examples `b` of the result."""
    place = b % constant(words, at, tables, 2) * constant(words, at, tables, 0) + j
    return tl.load(base(bases, words, at, 1) + row_offsets(words, at, 1, r, mask) + place, mask=mask, other=0.0)


@triton.jit
def gate_of(bases, words, at, tables, gate, r, b, j, mask):
    """Gate number `gate` of hidden units `j` of examples `b` of the result."""
    place = (b % constant(words, at, tables, 3) * 4 + gate) * constant(words, at, tables, 0) + j
    return tl.load(base(bases, words, at, 2) + row_offsets(words, at, 2, r, mask) + place, mask=mask, other=0.0)


@triton.jit
def result_of(bases, words, at, tables, r, b, j, mask):
    """Where the result, or its gradient, has hidden units `j` of examples `b`."""
    return base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + b * constant(words, at, tables, 0) + j


@triton.jit
def add_gradient(bases, words, at, r, place, total, mask):
    """Add to place `place` of rows `r` of the last view."""
    start = row_offsets(words, at, 3, r, mask)
    add(base(bases, words, at, 3) + start + place, total, mask & takes_gradient(words, at, 3, start), words, at, 3)


@opcode
def lstm_memory_forward(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """i g + f c."""
    r, b, j, mask = lanes(words, at, tile, constant(words, at, tables, 0), constant(words, at, tables, 1))
    i = gate_of(bases, words, at, tables, 0, r, b, j, mask)
    f = gate_of(bases, words, at, tables, 1, r, b, j, mask)
    g = gate_of(bases, words, at, tables, 3, r, b, j, mask)
    c = state_of(bases, words, at, tables, r, b, j, mask)
    tl.store(result_of(bases, words, at, tables, r, b, j, mask), i * g + f * c, mask=mask)


@opcode
def lstm_memory_state(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """dc += f dc'."""
    hidden, own = constant(words, at, tables, 0), constant(words, at, tables, 2)
    r, b, j, mask = lanes(words, at, tile, hidden, own)
    total = tl.zeros([_BLOCK], tl.float32)
    for example in range(0, constant(words, at, tables, 1) // own):
        dy = tl.load(result_of(bases, words, at, tables, r, b + example, j, mask), mask=mask, other=0.0)
        total += gate_of(bases, words, at, tables, 1, r, b + example, j, mask) * dy
    add_gradient(bases, words, at, r, b * hidden + j, total, mask)


@opcode
def lstm_memory_gates(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """di += g dc', df += c dc', dg += i dc'."""
    hidden, own = constant(words, at, tables, 0), constant(words, at, tables, 3)
    r, b, j, mask = lanes(words, at, tile, hidden, own)
    sum = tl.zeros([_BLOCK], tl.float32)
    forgotten = tl.zeros([_BLOCK], tl.float32)
    for example in range(0, constant(words, at, tables, 1) // own):
        dy = tl.load(result_of(bases, words, at, tables, r, b + example, j, mask), mask=mask, other=0.0)
        sum += dy
        forgotten += state_of(bases, words, at, tables, r, b + example, j, mask) * dy
    i = gate_of(bases, words, at, tables, 0, r, b, j, mask)
    g = gate_of(bases, words, at, tables, 3, r, b, j, mask)
    place = b * 4 * hidden + j
    add_gradient(bases, words, at, r, place, g * sum, mask)
    add_gradient(bases, words, at, r, place + hidden, forgotten, mask)
    add_gradient(bases, words, at, r, place + 3 * hidden, i * sum, mask)


@opcode
def lstm_output_forward(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """o tanh(c)."""
    r, b, j, mask = lanes(words, at, tile, constant(words, at, tables, 0), constant(words, at, tables, 1))
    o = gate_of(bases, words, at, tables, 2, r, b, j, mask)
    c = state_of(bases, words, at, tables, r, b, j, mask)
    tl.store(result_of(bases, words, at, tables, r, b, j, mask), o * tanh(c), mask=mask)


@opcode
def lstm_output_state(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """dc += o (1 - tanh(c)^2) dh."""
    hidden, own = constant(words, at, tables, 0), constant(words, at, tables, 2)
    r, b, j, mask = lanes(words, at, tile, hidden, own)
    total = tl.zeros([_BLOCK], tl.float32)
    for example in range(0, constant(words, at, tables, 1) // own):
        dy = tl.load(result_of(bases, words, at, tables, r, b + example, j, mask), mask=mask, other=0.0)
        total += gate_of(bases, words, at, tables, 2, r, b + example, j, mask) * dy
    t = tanh(state_of(bases, words, at, tables, r, b, j, mask))
    add_gradient(bases, words, at, r, b * hidden + j, total * (1.0 - t * t), mask)


@opcode
def lstm_output_gates(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """do += tanh(c) dh."""
    hidden, own = constant(words, at, tables, 0), constant(words, at, tables, 3)
    r, b, j, mask = lanes(words, at, tile, hidden, own)
    total = tl.zeros([_BLOCK], tl.float32)
    for example in range(0, constant(words, at, tables, 1) // own):
        dy = tl.load(result_of(bases, words, at, tables, r, b + example, j, mask), mask=mask, other=0.0)
        total += tanh(state_of(bases, words, at, tables, r, b + example, j, mask)) * dy
    add_gradient(bases, words, at, r, (b * 4 + 2) * hidden + j, total, mask)


_BODIES = {
    "vanilla_lstm_c": (lstm_memory_forward, lstm_memory_state, lstm_memory_gates),
    "vanilla_lstm_h": (lstm_output_forward, lstm_output_state, lstm_output_gates),
}


@lowering("vanilla_lstm_c", "vanilla_lstm_h")
def lower_state(signature: Signature, plan: Lowering) -> None:
    """One work forward, one for each gradient."""
    y, operands = signature.results[0], signature.operands
    forward, *gradients = _BODIES[signature.operation.name]
    constants = [y.rows, y.batch, *[x.batch for x in operands]]
    plan.forward(forward, Tiles(y.total, BLOCK), [Value(0), Value(1), Value(2)], constants=constants)
    for k, (body, x) in enumerate(zip(gradients, operands, strict=True), 1):
        if plan.needs[k]:
            views = [Gradient(0), Value(1), Value(2), Gradient(k)]
            plan.backward(body, Tiles(y.rows * x.batch, BLOCK), views, constants=constants)
