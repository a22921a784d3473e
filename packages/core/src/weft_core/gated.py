"""The door for gated operations: products with parameters, then a pointwise program over the gates.

    gates = W_1 x_1 + W_2 x_2 + ... + b        (G * H rows: one block of H rows per gate)
    results = program(gates, states)           (H rows each)

This is the form of every recurrent cell. A product whose operand does not depend on the recurrence runs once for all
time steps, weight gradients are one product for all uses, and the program is one loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import FormulaError, ShapeError
from .expression import Expression
from .formula import check_names, numpy_function
from .operation import Array, Attribute, Call, Operation, graph_of
from .shape import Shape, common_batch, shape_of
from .signature import WHOLE, Signature


class Gated(Operation):
    """A gated operation; operands are the `x_k`, then the states; parameters the `W_k`, then the bias.

    The program assigns the activated gates and the results; the activated gates are kept for the gradient.
    `backward` assigns `d<gate>`, the gradient of the gate before its activation, and `d<state>`. An operation with an
    empty program is linear: its one gate is its result.
    """

    def __init__(
        self, name: str, gates: str, states: str, results: str, forward: str, backward: str, settings: dict[str, float]
    ) -> None:
        self.gates = tuple(gates.split())
        self.states = tuple(states.split())
        self.result_names = tuple(results.split())
        self.program = forward
        self.gradient_program = backward
        self.settings = settings
        self.linear = not forward.strip()
        if self.linear and (self.result_names != self.gates or len(self.gates) != 1 or self.states or backward.strip()):
            raise FormulaError(
                f"{name}: a linear operation has one gate, which is its result, no states and no programs"
            )
        known = (*self.gates, *self.states, *settings)
        check_names(forward, known) if not self.linear else None
        check_names(backward, self.backward_names) if not self.linear else None
        super().__init__(name)

    @property
    def backward_names(self) -> tuple[str, ...]:
        """Names that the gradient program may use."""
        gradients = tuple(f"d{r}" for r in self.result_names)
        return tuple(dict.fromkeys((*self.gates, *self.states, *self.result_names, *gradients, *self.settings)))

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        raise TypeError(f"{self.name}: signatures come from bind()")

    def bind(
        self,
        operands: Sequence[Shape],
        states: Sequence[Shape],
        weights: Sequence[Shape],
        bias: Shape | None,
        settings: Sequence[float] = (),
    ) -> Signature:
        """The signature for these shapes.

        Raises `ShapeError` when a weight is not a parameter, or rows and columns do not fit.
        """
        attributes = tuple(settings) or tuple(self.settings.values())
        key = (attributes, *operands, None, *states, None, *weights, bias)
        entry = self.table.get(key)
        if entry is not None:
            return entry[2]
        signature = self._make(tuple(operands), tuple(states), tuple(weights), bias, attributes)
        self.table[key] = (signature.id, signature.results[0], signature)
        return signature

    def _make(
        self, operands: tuple[Shape, ...], states: tuple[Shape, ...], weights: tuple[Shape, ...], bias: Shape | None,
        attributes: tuple[Attribute, ...],
    ) -> Signature:  # fmt: skip
        if len(operands) != len(weights) or not weights or len(states) != len(self.states):
            raise TypeError(f"{self.name}: needs one weight per operand and the states {self.states}")
        parameters = weights if bias is None else (*weights, bias)
        if any(s.parameter < 0 for s in parameters):
            raise ShapeError(
                f"{self.name}: weights and bias must be parameters; use affine_transform for computed matrices"
            )
        rows = weights[0].rows
        columns = operands[0].dims[1:]
        for w, x in zip(weights, operands, strict=True):
            if len(w.dims) != 2 or len(x.dims) > 2 or w.dims[1] != x.rows or w.rows != rows or x.dims[1:] != columns:
                raise ShapeError(
                    f"{self.name}: weight {w} times operand {x} does not fit: a weight is "
                    f"{{{rows},rows of its operand}}, "
                    "and all operands have the same columns"
                )
        if bias is not None and bias.size != rows:
            raise ShapeError(f"{self.name}: the bias {bias} must have {rows} rows like the weights {weights[0]}")
        if rows % len(self.gates):
            raise ShapeError(
                f"{self.name}: weights have {rows} rows, which is not a multiple of {len(self.gates)} gates"
            )
        hidden = (rows // len(self.gates), *columns)
        for s in states:
            if s.dims != hidden:
                raise ShapeError(f"{self.name}: a state has shape {s}, expected {shape_of(hidden)}")
        batch = common_batch(self.name, (*operands, *states))
        results = tuple(shape_of(hidden, batch) for _ in self.result_names)
        saved = () if self.linear else (shape_of((rows, *columns), batch),)
        return Signature(self, (*operands, *states), attributes, results, saved, flags=WHOLE, parameters=parameters)

    def __call__(
        self,
        products: Sequence[tuple[Expression, Expression]],
        bias: Expression | None = None,
        states: Sequence[Expression] = (),
        **settings: float,
    ) -> tuple[Expression, ...]:
        """Record one instruction: `sum of W x over products + bias`, then the program; returns its results."""
        operands = [x for _, x in products]
        values = tuple(float(settings.pop(key, default)) for key, default in self.settings.items())
        if settings:
            raise TypeError(f"{self.name} has the settings {sorted(self.settings)}, got {sorted(settings)}")
        signature = self.bind(
            [x.shape for x in operands],
            [s.shape for s in states],
            [w.shape for w, _ in products],
            None if bias is None else bias.shape,
            values,
        )
        graph = graph_of(self.name, (*operands, *states))
        code = graph.code
        index = len(code)
        code.append(signature.id)
        code.extend([x.index for x in (*operands, *states)])
        code.extend([0] * (signature.length - (len(code) - index)))
        return tuple(Expression(graph, index + k, shape) for k, shape in enumerate(signature.results))

    def _split(
        self, call: Call, arrays: Sequence[Array]
    ) -> tuple[Sequence[Array], dict[str, Any], Sequence[Array], Array | None]:
        """Operands, named states, weights, bias."""
        operands = len(call.signature.operands) - len(self.states)
        states = dict(zip(self.states, arrays[operands : operands + len(self.states)], strict=True))
        weights = arrays[operands + len(self.states) :][:operands]
        rest = arrays[2 * operands + len(self.states) :]
        return arrays[:operands], states, weights, rest[0] if rest else None

    def _named_gates(self, gates: Array) -> dict[str, Any]:
        hidden = gates.shape[0] // len(self.gates)
        return {name: gates[k * hidden : (k + 1) * hidden] for k, name in enumerate(self.gates)}

    def forward(self, call: Call, *arrays: Array) -> tuple[Array, ...]:
        operands, states, weights, bias = self._split(call, arrays)
        gates = sum(np.einsum("oi,i...->o...", w[..., 0], x) for w, x in zip(weights, operands, strict=True))
        if bias is not None:
            gates = gates + bias.reshape((-1,) + (1,) * (gates.ndim - 1))
        if self.linear:
            return (gates,)
        named = {**self._named_gates(gates), **states, **dict(zip(self.settings, call.attributes, strict=True))}
        wanted = (*self.result_names, *self.gates)
        values = numpy_function(tuple(named), self.program, wanted)(**named)
        results = values[: len(self.result_names)]
        activated = [np.broadcast_to(v, results[0].shape) for v in values[len(self.result_names) :]]
        return (*results, np.concatenate(activated))

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *arrays: Array
    ) -> tuple[Array | None, ...]:
        operands, states, weights, bias = self._split(call, arrays)
        dstates: list[Array] = []
        if self.linear:
            dgates = gradients[0]
        else:
            named = {
                **self._named_gates(results[-1]),
                **states,
                **dict(zip(self.settings, call.attributes, strict=True)),
            }
            named.update(zip(self.result_names, results, strict=False))
            named.update(zip((f"d{r}" for r in self.result_names), gradients, strict=False))
            wanted = tuple(f"d{n}" for n in (*self.gates, *self.states))
            values = numpy_function(tuple(named), self.gradient_program, wanted)(**named)
            dgates = np.concatenate([np.broadcast_to(v, results[0].shape) for v in values[: len(self.gates)]])
            dstates = list(values[len(self.gates) :])
        doperands = [np.einsum("oi,o...->i...", w[..., 0], dgates) for w in weights]
        flat = dgates.reshape(len(dgates), -1)
        dweights = [
            (flat @ np.broadcast_to(x, x.shape[:-1] + dgates.shape[-1:]).reshape(len(x), -1).T)[..., None]
            for x in operands
        ]
        axes = tuple(range(1, dgates.ndim))
        dbias = [] if bias is None else [dgates.sum(axis=axes).reshape(bias.shape)]
        return (*doperands, *dstates, *dweights, *dbias)


def gated(
    name: str, *, gates: str, results: str, states: str = "", forward: str = "", backward: str = "", **settings: float
) -> Gated:
    """Define a gated operation on every backend; call it with `(products, bias, states)`.

        rnn = gated("rnn", gates="a", results="h", forward="h = tanh(a)", backward="da = dh * (1 - h * h)")
        (h,) = rnn([(W, x), (U, previous)], b)

    Raises `FormulaError` when a program uses an unknown name or function.
    """
    return Gated(name, gates, states, results, forward, backward, settings)
