"""The LSTM primitives of DyNet: gates, memory and output as separate nodes. Rows of the gates: i, f, o, g."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import ShapeError
from ..expression import Expression
from ..formula import FUNCTIONS
from ..operation import Array, Attribute, Call, Operation, binary_function, unary_function
from ..shape import Shape, common_batch, shape_of
from ..signature import Signature
from .arithmetic import cmult
from .noise import noise
from .products import affine_transform
from .structure import concatenate

logistic = FUNCTIONS["logistic"]


class LSTMGates(Operation):
    """`[logistic(a_i), logistic(a_f + 1), logistic(a_o), tanh(a_g)]` of a vector `{4H}`."""

    name = "vanilla_lstm_gates"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        (a,) = operands
        if len(a.dims) != 1 or a.rows % 4:
            raise ShapeError(f"{self.name}: the gates need a vector of 4H rows, got {a}")
        return Signature(self, operands, attributes, (shape_of(a.dims, a.batch),))

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        i, f, o, g = np.split(operands[0], 4)
        return (np.concatenate([logistic(i), logistic(f + 1), logistic(o), np.tanh(g)]),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        sigmoids, g = np.split(results[0], [3 * len(results[0]) // 4])
        return (gradients[0] * np.concatenate([sigmoids * (1 - sigmoids), 1 - g * g]),)


class LSTMState(Operation):
    """What the memory and the output share: a state `{H}` beside gates `{4H}`."""

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        state, gates = operands
        if len(state.dims) != 1 or gates.dims != (4 * state.rows,):
            raise ShapeError(f"{self.name}: needs a state {{H}} and gates {{4H}}, got {state} and {gates}")
        return Signature(self, operands, attributes, (shape_of(state.dims, common_batch(self.name, operands)),))


class LSTMMemory(LSTMState):
    """`i g + f c`."""

    name = "vanilla_lstm_c"

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        i, f, _, g = np.split(operands[1], 4)
        return (i * g + f * operands[0],)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        c, dc = operands[0], gradients[0]
        i, f, o, g = np.split(operands[1], 4)
        return f * dc, np.concatenate([g * dc, c * dc, np.broadcast_to(0 * o, dc.shape), i * dc])


class LSTMOutput(LSTMState):
    """`o tanh(c)`."""

    name = "vanilla_lstm_h"

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        return (np.split(operands[1], 4)[2] * np.tanh(operands[0]),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        t, dh = np.tanh(operands[0]), gradients[0]
        o = np.split(operands[1], 4)[2]
        none = np.zeros_like(dh)
        return o * (1 - t * t) * dh, np.concatenate([none, none, t * dh, none])


_gates = unary_function(LSTMGates())
_memory = binary_function(LSTMMemory())
_output = binary_function(LSTMOutput())


def vanilla_lstm_gates(
    x_t: Expression, h_tm1: Expression, Wx: Expression, Wh: Expression, b: Expression, weightnoise_std: float = 0.0
) -> Expression:
    """The activated gates `{4H}` of `a = Wx x + Wh h + b`: logistic of i, f (plus 1) and o, tanh of g.

    With `weightnoise_std` above 0, normal numbers of this standard deviation are added to Wx, Wh and b, new ones in
    every call (Graves 2011). Raises `ShapeError` unless rows and columns fit, and a has 4H rows; ValueError for a
    negative deviation.
    """
    if weightnoise_std != 0:
        Wx, Wh, b = (noise(w, weightnoise_std) for w in (Wx, Wh, b))
    return _gates(affine_transform([b, Wx, x_t, Wh, h_tm1]))


def vanilla_lstm_gates_concat(
    x_t: Sequence[Expression],
    h_tm1: Expression,
    Wx: Expression,
    Wh: Expression,
    b: Expression,
    weightnoise_std: float = 0.0,
) -> Expression:
    """`vanilla_lstm_gates` of the concatenation of several inputs."""
    return vanilla_lstm_gates(concatenate(list(x_t)), h_tm1, Wx, Wh, b, weightnoise_std)


def vanilla_lstm_gates_dropout(
    x_t: Expression,
    h_tm1: Expression,
    Wx: Expression,
    Wh: Expression,
    b: Expression,
    dropout_mask_x: Expression,
    dropout_mask_h: Expression,
    weightnoise_std: float = 0.0,
) -> Expression:
    """`vanilla_lstm_gates` of `x mask_x` and `h mask_h`."""
    x, h = cmult(x_t, dropout_mask_x), cmult(h_tm1, dropout_mask_h)
    return vanilla_lstm_gates(x, h, Wx, Wh, b, weightnoise_std)


def vanilla_lstm_gates_dropout_concat(
    x_t: Sequence[Expression],
    h_tm1: Expression,
    Wx: Expression,
    Wh: Expression,
    b: Expression,
    dropout_mask_x: Expression,
    dropout_mask_h: Expression,
    weightnoise_std: float = 0.0,
) -> Expression:
    """`vanilla_lstm_gates_dropout` of the concatenation of several inputs."""
    x = concatenate(list(x_t))
    return vanilla_lstm_gates_dropout(x, h_tm1, Wx, Wh, b, dropout_mask_x, dropout_mask_h, weightnoise_std)


def vanilla_lstm_c(c_tm1: Expression, gates_t: Expression) -> Expression:
    """The new memory `i g + f c`, `{H}`, of the old one and activated gates `{4H}`."""
    return _memory(c_tm1, gates_t)


def vanilla_lstm_h(c_t: Expression, gates_t: Expression) -> Expression:
    """The new output `o tanh(c)`, `{H}`, of the new memory and activated gates `{4H}`."""
    return _output(c_t, gates_t)
