"""Gated cells of the kit: one gate or four, one or two results, states and settings; and the LSTM primitives."""

from __future__ import annotations

import weft_core as w
from weft_core import Expression, gated
from weft_core.graph import current
from weft_core.shape import shape_of

from .case import Case, Instance

elman = gated("conformance_elman", gates="a", results="h", forward="h = tanh(a)", backward="da = dh * (1 - h * h)")

leaky = gated(
    "conformance_leaky",
    gates="a",
    states="s",
    results="h",
    forward="a = tanh(a)\nh = keep * s + (1 - keep) * a",
    backward="da = dh * (1 - keep) * (1 - a * a)\nds = dh * keep",
    keep=0.5,
)

lstm = gated(
    "conformance_lstm",
    gates="i f o g",
    states="c0",
    results="h c",
    forward="""
        i = logistic(i)
        f = logistic(f + forget)
        o = logistic(o)
        g = tanh(g)
        c = f * c0 + i * g
        h = o * tanh(c)
    """,
    backward="""
        t = tanh(c)
        dc_all = dc + dh * o * (1 - t * t)
        di = dc_all * g * i * (1 - i)
        df = dc_all * c0 * f * (1 - f)
        do = dh * t * o * (1 - o)
        dg = dc_all * i * (1 - g * g)
        dc0 = dc_all * f
    """,
    forget=1.0,
)


def zero_state(rows: int, batch: int = 1) -> Expression:
    """The zero value of the tape as the state before the first step."""
    return Expression(current(), 0, shape_of((rows,), batch))


def lstm_step(i: Instance, x: Expression, h: Expression, c: Expression, forget: float = 1.0) -> tuple[Expression, ...]:
    """One step of an LSTM with three hidden units."""
    products = [(i.parameter("W", 12, x.shape.rows), x), (i.parameter("U", 12, 3), h)]
    return lstm(products, i.parameter("b", 12), [c], forget=forget)


def _unrolled(i: Instance, x: Expression, y: Expression) -> tuple[Expression, ...]:
    """Two or three steps from the zero state: instances of different lengths."""
    h, c = zero_state(3, x.shape.batch), zero_state(3, x.shape.batch)
    for step in range(2 + i.number % 2):
        h, c = lstm_step(i, (x, y)[step % 2], h, c)
    return h, c


def _first_step(i: Instance, x: Expression) -> tuple[Expression, ...]:
    return lstm_step(i, x, zero_state(3, x.shape.batch), zero_state(3, x.shape.batch))


def _gate_parameters(i: Instance, inputs: int = 2, hidden: int = 3) -> tuple[Expression, Expression, Expression]:
    return i.parameter("W", 4 * hidden, inputs), i.parameter("U", 4 * hidden, hidden), i.parameter("b", 4 * hidden)


def _compound(i: Instance, x: Expression, y: Expression) -> tuple[Expression, ...]:
    """A cell with several inner instructions, of which some are parts of others' memory."""
    W, b, V = i.parameter("W", 4, 4), i.parameter("b", 4), i.parameter("V", 2, 4)

    def function(x: Expression, y: Expression, class_: int) -> tuple[Expression, ...]:
        h = w.tanh(w.affine_transform([b, W, x]) + w.cmult(W * y, w.logistic(W * x)))
        scores = w.softmax(V * h)
        # A result that something inside reads has a gradient of its own only as a whole: none is returned here.
        return w.log(scores)[0:1] * (i.turn(1, 4) / 2), w.sum_elems(w.square(h[1:3])), w.pick(scores, class_), w.abs(h)

    # The second call reads a result of the first: a recurrence.
    cell = w.cell(function)
    first = cell(x, y, i.number % 2)
    return (*first[:3], *cell(first[3], y, 1))


PRIMITIVES: list[Case] = [
    Case("vanilla_lstm_gates", lambda i, x, h: w.vanilla_lstm_gates(x, h, *_gate_parameters(i)), ((2,), (3,))),
    Case(
        "vanilla_lstm_gates-wide",
        lambda i, a: w.vanilla_lstm_gates(a, a, *_gate_parameters(i, 37, 37)),
        ((37,),),
        tolerance=2e-5,
    ),
    Case(
        "vanilla_lstm_gates-noisy",
        lambda i, x, h: w.vanilla_lstm_gates(x, h, *_gate_parameters(i), weightnoise_std=i.turn(1, 2) / 4),
        ((2,), (3,)),
    ),
    Case(
        "vanilla_lstm_gates_concat",
        lambda i, x, y, h: w.vanilla_lstm_gates_concat([x, y], h, *_gate_parameters(i)),
        ((1,), (1,), (3,)),
    ),
    Case(
        "vanilla_lstm_gates_dropout",
        lambda i, x, h, p, q: w.vanilla_lstm_gates_dropout(x, h, *_gate_parameters(i), p, q),
        ((2,), (3,), (2,), (3,)),
    ),
    Case(
        "vanilla_lstm_gates_dropout_concat",
        lambda i, x, y, h, p, q: w.vanilla_lstm_gates_dropout_concat([x, y], h, *_gate_parameters(i), p, q),
        ((1,), (1,), (3,), (2,), (3,)),
    ),
    Case("vanilla_lstm_c", lambda i, c, g: w.vanilla_lstm_c(c, g), ((3,), (12,)), shapes={"wide": ((37,), (148,))}),
    Case("vanilla_lstm_h", lambda i, c, g: w.vanilla_lstm_h(c, g), ((3,), (12,)), shapes={"wide": ((37,), (148,))}),
]


CELLS: list[Case] = [
    *PRIMITIVES,
    Case(
        "elman",
        lambda i, x: elman([(i.parameter("W", 4, 3), x)], i.parameter("b", 4)),
        ((3,),),
        shapes={"one": ((3, 1),), "cube": ((3, 2),)},
    ),
    Case(
        "elman-no_bias",
        lambda i, x, h: elman([(i.parameter("W", 4, 3), x), (i.parameter("U", 4, 4), h)]),
        ((3,), (4,)),
    ),
    # Sums of 37 products in float32.
    Case(
        "elman-wide",
        lambda i, x: elman([(i.parameter("W", 41, 37), x)], i.parameter("b", 41)),
        ((37,),),
        tolerance=2e-5,
    ),
    Case(
        "leaky",
        lambda i, x, s: leaky([(i.parameter("W", 4, 3), x)], i.parameter("b", 4), [s], keep=i.turn(1, 3) / 4),
        ((3,), (4,)),
    ),
    Case("leaky-matrix", lambda i, x, s: leaky([(i.parameter("W", 4, 3), x)], None, [s]), ((3, 2), (4, 2))),
    Case("lstm", lambda i, x, h, c: lstm_step(i, x, h, c, i.turn(0, 1)), ((2,), (3,), (3,))),
    Case("lstm-first_result", lambda i, x, h, c: lstm_step(i, x, h, c)[0], ((2,), (3,), (3,))),
    Case("lstm-second_result", lambda i, x, h, c: lstm_step(i, x, h, c)[1], ((2,), (3,), (3,))),
    Case("lstm-zero_state", _first_step, ((2,),)),
    Case("lstm-unrolled", _unrolled, ((2,), (2,))),
    Case("cell", _compound, ((4,), (4,))),
]
