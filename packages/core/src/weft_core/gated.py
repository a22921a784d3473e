"""The door for gated operations: products with parameters, then a pointwise program over the gates.

    gates = W_1 x_1 + W_2 x_2 + ... + b        (G * H rows: one block of H rows per gate)
    results = program(gates, states)           (H rows each)

This is the form of every recurrent cell. A product whose operand does not depend on the recurrence runs once for all
time steps, weight gradients are one product for all uses, and the program is one loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import FormulaError, ShapeError
from .expression import Expression
from .formula import check_names, numpy_function
from .operation import Array, Attribute, Call, Operation, graph_of
from .shape import Shape, common_batch, shape_of
from .signature import WHOLE, Signature


@dataclass(frozen=True)
class Product:
    """`gates[row:row + rows] += W[:, column:column + width] x`: which operand and parameter, and where."""

    operand: int
    weight: int
    row: int
    column: int


@dataclass(frozen=True)
class Layout:
    """Products, and for every bias (parameters after the weights) the first gate row it is added to."""

    products: tuple[Product, ...]
    biases: tuple[int, ...]

    def encoded(self) -> tuple[int, ...]:
        numbers = [len(self.products)]
        for p in self.products:
            numbers += [p.operand, p.weight, p.row, p.column]
        return (*numbers, *self.biases)

    def rows(self, weights: Sequence[Shape]) -> int:
        """Rows of all gates."""
        return max(p.row + weights[p.weight].rows for p in self.products)

    @staticmethod
    def decoded(numbers: Sequence[int]) -> Layout:
        end = 1 + 4 * numbers[0]
        parts = [numbers[k : k + 4] for k in range(1, end, 4)]
        return Layout(tuple(Product(*part) for part in parts), tuple(numbers[end:]))


class Gated(Operation):
    """A gated operation; operands are the `x_k`, then the states; parameters the `W_k`, then the bias.

    The program assigns the activated gates and the results; the activated gates are kept for the gradient.
    `backward` assigns `d<gate>`, the gradient of the gate before its activation, and `d<state>`. An operation with an
    empty program is linear: its one gate is its result. One without gates has no products: a pointwise program.
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
        if not self.gates and not self.states:
            raise FormulaError(f"{name}: an operation needs gates or states to compute from")
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
        """The signature for one weight per operand, each for all gates, and perhaps a bias.

        Raises `ShapeError` when a weight is not a parameter, or rows and columns do not fit.
        """
        key = (tuple(settings), *operands, None, *states, None, *weights, bias)
        entry = self.table.get(key)
        if entry is not None:
            return entry[2]
        self._check_products(operands, weights, bias)
        products = tuple(Product(k, k, 0, 0) for k in range(len(operands)))
        layout = Layout(products, () if bias is None else (0,))
        signature = self.bind_layout(operands, states, weights, () if bias is None else (bias,), layout, settings)
        self.table[key] = (signature.id, signature.results[0], signature)
        return signature

    def bind_layout(
        self,
        operands: Sequence[Shape],
        states: Sequence[Shape],
        weights: Sequence[Shape],
        biases: Sequence[Shape],
        layout: Layout,
        settings: Sequence[float] = (),
    ) -> Signature:
        """The signature for products that stand where the layout says; together they fill all gates."""
        numbers: tuple[Attribute, ...] = tuple(settings) or tuple(self.settings.values())
        attributes: tuple[Attribute, ...] = (*numbers, layout.encoded())
        key = (attributes, *operands, None, *states, None, *weights, None, *biases)
        entry = self.table.get(key)
        if entry is None:
            made = self._make(tuple(operands), tuple(states), tuple(weights), tuple(biases), layout, attributes)
            entry = self.table[key] = (made.id, made.results[0], made)
        return entry[2]

    def _make(
        self, operands: tuple[Shape, ...], states: tuple[Shape, ...], weights: tuple[Shape, ...],
        biases: tuple[Shape, ...], layout: Layout, attributes: tuple[Attribute, ...],
    ) -> Signature:  # fmt: skip
        if len(states) != len(self.states):
            raise TypeError(f"{self.name}: needs the states {self.states}, got {len(states)}")
        batch = common_batch(self.name, (*operands, *states))
        if not self.gates:
            hidden = states[0].dims
            self._check_states(states, shape_of(hidden).size, hidden)
            results = tuple(shape_of(hidden, batch) for _ in self.result_names)
            return Signature(self, states, attributes, results)
        rows, columns = layout.rows(weights), operands[0].dims[1:]
        if rows % len(self.gates):
            raise ShapeError(
                f"{self.name}: weights have {rows} rows, which is not a multiple of {len(self.gates)} gates"
            )
        hidden = (rows // len(self.gates), *columns)
        self._check_states(states, shape_of(hidden).size, hidden)
        results = tuple(shape_of(hidden, batch) for _ in self.result_names)
        saved = () if self.linear else (shape_of((rows, *columns), batch),)
        parameters = (*weights, *biases)
        return Signature(self, (*operands, *states), attributes, results, saved, flags=WHOLE, parameters=parameters)

    def _check_states(self, states: Sequence[Shape], size: int, dims: tuple[int, ...]) -> None:
        for s in states:
            if s.size != size or (self.gates and s.dims != dims):
                raise ShapeError(f"{self.name}: a state has shape {s}, expected {shape_of(dims)}")

    def _check_products(self, operands: Sequence[Shape], weights: Sequence[Shape], bias: Shape | None) -> None:
        """Weights for all gates, each with an operand of as many rows as it has columns."""
        if len(operands) != len(weights) or bool(weights) != bool(self.gates):
            raise TypeError(f"{self.name}: needs one weight per operand and the states {self.states}")
        if any(s.parameter < 0 for s in (*weights, *([] if bias is None else [bias]))):
            raise ShapeError(
                f"{self.name}: weights and bias must be parameters; use affine_transform for computed matrices"
            )
        for w, x in zip(weights, operands, strict=True):
            rows, columns = weights[0].rows, operands[0].dims[1:]
            if len(w.dims) != 2 or len(x.dims) > 2 or w.dims[1] != x.rows or w.rows != rows or x.dims[1:] != columns:
                raise ShapeError(
                    f"{self.name}: weight {w} times operand {x} does not fit: a weight is "
                    f"{{{rows},rows of its operand}}, and all operands have the same columns"
                )
        if bias is not None and bias.size != weights[0].rows:
            raise ShapeError(
                f"{self.name}: the bias {bias} must have {weights[0].rows} rows like the weights {weights[0]}"
            )

    def __call__(
        self,
        products: Sequence[tuple[Expression, Expression]] = (),
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

    def layout(self, signature: Signature) -> Layout:
        """Where the products and biases of a signature stand."""
        numbers = signature.attributes[-1]
        assert isinstance(numbers, tuple)
        return Layout.decoded(numbers)

    def weights(self, signature: Signature) -> int:
        """How many of the parameters are weights; the others are biases."""
        return len(signature.parameters) - len(self.layout(signature).biases)

    def _named(self, call: Call, gates: Array | None, states: Sequence[Array]) -> dict[str, Any]:
        """Gates, states and settings by name."""
        named: dict[str, Any] = dict(zip(self.states, states, strict=True))
        named.update(zip(self.settings, call.attributes))
        if gates is not None:
            hidden = gates.shape[0] // len(self.gates)
            named.update((name, gates[k * hidden : (k + 1) * hidden]) for k, name in enumerate(self.gates))
        else:
            dims = call.signature.results[0].dims
            named.update((name, x.reshape((*dims, -1))) for name, x in zip(self.states, states, strict=True))
        return named

    def _split(self, call: Call, arrays: Sequence[Array]) -> tuple[Sequence[Array], Sequence[Array], Sequence[Array]]:
        """Operands, states, parameters."""
        end = len(call.signature.operands)
        begin = end - len(self.states)
        return arrays[:begin], arrays[begin:end], arrays[end:]

    def _gates(self, call: Call, operands: Sequence[Array], parameters: Sequence[Array]) -> Array:
        layout, weights = self.layout(call.signature), self.weights(call.signature)
        examples = max(x.shape[-1] for x in operands)
        shape = (layout.rows(call.signature.parameters), *operands[0].shape[1:-1], examples)
        gates = np.zeros(shape, np.result_type(*operands, *parameters))
        for p in layout.products:
            w, x = parameters[p.weight][..., 0], operands[p.operand]
            part = w[:, p.column : p.column + len(x)]
            gates[p.row : p.row + len(w)] += np.einsum("oi,i...->o...", part, x)
        for row, bias in zip(layout.biases, parameters[weights:], strict=True):
            gates[row : row + bias.size] += bias.reshape((-1,) + (1,) * (gates.ndim - 1))
        return gates

    def forward(self, call: Call, *arrays: Array) -> tuple[Array, ...]:
        operands, states, parameters = self._split(call, arrays)
        gates = self._gates(call, operands, parameters) if self.gates else None
        if self.linear:
            assert gates is not None
            return (gates,)
        named = self._named(call, gates, states)
        wanted = (*self.result_names, *self.gates)
        values = numpy_function(tuple(named), self.program, wanted)(**named)
        examples = max(np.shape(x)[-1] for x in (*operands, *states))
        shape = (*call.signature.results[0].dims, examples)
        results = [np.broadcast_to(v, shape) for v in values]
        count = len(self.result_names)
        return (*results[:count], np.concatenate(results[count:])) if self.gates else tuple(results)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *arrays: Array
    ) -> tuple[Array | None, ...]:
        operands, states, parameters = self._split(call, arrays)
        dstates: list[Array] = []
        dgates = gradients[0]
        if not self.linear:
            named = self._named(call, results[-1] if self.gates else None, states)
            named.update(zip(self.result_names, results))
            named.update(zip((f"d{r}" for r in self.result_names), gradients))
            wanted = tuple(f"d{n}" for n in (*self.gates, *self.states))
            made = numpy_function(tuple(named), self.gradient_program, wanted)(**named)
            values = [np.broadcast_to(v, results[0].shape) for v in made]
            dstates = [d.reshape((*s.shape[:-1], -1)) for d, s in zip(values[len(self.gates) :], states, strict=True)]
            if not self.gates:
                return tuple(dstates)
            dgates = np.concatenate(values[: len(self.gates)])
        doperands = self._operand_gradients(call, dgates, operands, parameters)
        return (*doperands, *dstates, *self._parameter_gradients(call, dgates, operands, parameters))

    def _operand_gradients(
        self, call: Call, dgates: Array, operands: Sequence[Array], parameters: Sequence[Array]
    ) -> list[Array]:
        sums = [np.zeros((*x.shape[:-1], dgates.shape[-1]), dgates.dtype) for x in operands]
        for p in self.layout(call.signature).products:
            w = parameters[p.weight][..., 0]
            part = w[:, p.column : p.column + len(operands[p.operand])]
            sums[p.operand] += np.einsum("oi,o...->i...", part, dgates[p.row : p.row + len(w)])
        return sums

    def _parameter_gradients(
        self, call: Call, dgates: Array, operands: Sequence[Array], parameters: Sequence[Array]
    ) -> list[Array]:
        layout, weights = self.layout(call.signature), self.weights(call.signature)
        sums = [np.zeros(w.shape, dgates.dtype) for w in parameters[:weights]]
        for p in layout.products:
            rows, x = len(parameters[p.weight]), operands[p.operand]
            flat = dgates[p.row : p.row + rows].reshape(rows, -1)
            wide = np.broadcast_to(x, x.shape[:-1] + dgates.shape[-1:]).reshape(len(x), -1)
            sums[p.weight][:, p.column : p.column + len(x), 0] += flat @ wide.T
        axes = tuple(range(1, dgates.ndim))
        for row, bias in zip(layout.biases, parameters[weights:], strict=True):
            sums.append(dgates[row : row + bias.size].sum(axis=axes).reshape(bias.shape))
        return sums


def gated(
    name: str, *, gates: str, results: str, states: str = "", forward: str = "", backward: str = "", **settings: float
) -> Gated:
    """Define a gated operation on every backend; call it with `(products, bias, states)`.

        rnn = gated("rnn", gates="a", results="h", forward="h = tanh(a)", backward="da = dh * (1 - h * h)")
        (h,) = rnn([(W, x), (U, previous)], b)

    Raises `FormulaError` when a program uses an unknown name or function.
    """
    return Gated(name, gates, states, results, forward, backward, settings)
