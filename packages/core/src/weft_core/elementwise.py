"""The door for elementwise operations: a formula in text, compiled by each backend into its own language."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .errors import FormulaError, ShapeError
from .expression import Expression
from .formula import check_names, numpy_function
from .graph import current
from .operation import Array, Attribute, Call, Operation, binary_function, name_function, unary_function
from .shape import Shape, common_batch, shape_of
from .signature import Signature


class Elementwise(Operation):
    """`y = formula(operands, scalars, settings)`, element by element, with broadcasting.

    Dims align from the left: missing trailing dims count as 1, each pair is equal or one of them is 1.
    """

    def __init__(
        self,
        name: str,
        formula: str,
        derivatives: dict[str, str],
        settings: dict[str, float],
        scalars: tuple[str, ...] = (),
    ) -> None:
        self.formula = formula
        self.operands = tuple(derivatives)
        self.derivatives = derivatives
        self.settings = settings
        self.scalars = scalars
        known = (*self.operands, *scalars, *settings)
        check_names(f"y = {formula}", known)
        for derivative in derivatives.values():
            check_names(f"d = {derivative}", (*known, "y", "dy"))
        super().__init__(name)

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        if len(operands) != len(self.operands):
            raise TypeError(
                f"{self.name} takes {len(self.operands)} operands ({', '.join(self.operands)}), got {len(operands)}"
            )
        dims = broadcast_dims(self.name, operands)
        result = shape_of(dims, common_batch(self.name, operands))
        return Signature(self, operands, attributes, (result,), payload=len(self.scalars))

    def _names(self, call: Call) -> dict[str, Any]:
        named: dict[str, Any] = dict(zip(self.settings, call.attributes, strict=True))
        for k, scalar in enumerate(self.scalars):
            named[scalar] = np.repeat(call.data[call.payload[:, k]].astype(np.float64), call.batch)
        return named

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        named = self._names(call)
        named.update(zip(self.operands, aligned(operands, call), strict=True))
        function = numpy_function(tuple(named), f"y = {self.formula}", ("y",))
        return tuple(function(**named))

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        named = self._names(call)
        named.update(zip(self.operands, aligned(operands, call), strict=True), y=results[0], dy=gradients[0])
        program = "\n".join(f"d{name} = {text}" for name, text in self.derivatives.items())
        function = numpy_function(tuple(named), program, tuple(f"d{name}" for name in self.derivatives))
        return tuple(
            reduced(np.broadcast_to(d, results[0].shape), x, shape)
            for d, x, shape in zip(function(**named), operands, call.signature.operands, strict=True)
        )


def broadcast_dims(name: str, operands: Sequence[Shape]) -> tuple[int, ...]:
    """Dims of an elementwise result, aligned from the left."""
    dims = []
    for axis in range(max(len(s.dims) for s in operands)):
        sizes = {s.dim(axis) for s in operands} - {1}
        if len(sizes) > 1:
            raise ShapeError(
                f"{name}: operand shapes {' and '.join(map(repr, operands))} do not broadcast: dims align from "
                f"the left and must be equal or 1, axis {axis} has {sorted(sizes)}; reshape or transpose one of them"
            )
        dims.append(sizes.pop() if sizes else 1)
    return tuple(dims)


def aligned(operands: Sequence[Array], call: Call) -> list[Array]:
    """Operand arrays with as many dims as the result, the examples last."""
    ndim = len(call.signature.results[0].dims)
    return [x.reshape(x.shape[:-1] + (1,) * (ndim - x.ndim + 1) + x.shape[-1:]) for x in operands]


def reduced(gradient: Array, operand: Array, shape: Shape) -> Array:
    """Sum a gradient over the dims along which its operand was broadcast; the examples stay."""
    ndim = gradient.ndim - 1
    axes = tuple(axis for axis in range(ndim) if shape.dim(axis) == 1 and gradient.shape[axis] != 1)
    summed: Array = gradient.sum(axis=axes, keepdims=True)
    return summed.reshape(shape.dims + gradient.shape[-1:])


def elementwise(
    name: str, formula: str, *, scalars: Sequence[str] = (), doc: str | None = None, **rules: str | float
) -> Callable[..., Expression]:
    """Define an elementwise operation, on every backend, with gradient and batching; returns its function.

    `formula` gives y; `d<operand>="..."` gives the gradient of each operand from `dy` (gradient of the result), `y`,
    the operands and the settings, and defines the operands in that order. Other keywords are settings with their
    default: keyword arguments of the function.
    `scalars` are numbers passed after the operands that may differ from call to call without a new compilation.

        softsign = elementwise("softsign", "x / (1 + abs(x))", dx="dy / (1 + abs(x))**2")

    Raises `FormulaError` when a formula uses an unknown name or function.
    """
    derivatives = {key[1:]: text for key, text in rules.items() if isinstance(text, str) and key.startswith("d")}
    settings = {key: value for key, value in rules.items() if not isinstance(value, str)}
    if len(derivatives) + len(settings) != len(rules) or not derivatives:
        raise FormulaError(f"{name}: give d<operand>='formula' for every operand and numbers for settings, got {rules}")
    operation = Elementwise(name, formula, derivatives, settings, tuple(scalars))
    function = _function(operation)
    rows = [f"{name}({', '.join((*operation.operands, *operation.scalars))}) = {formula}", ""]
    rows += [f"d{operand} = {text}" for operand, text in derivatives.items()]
    name_function(function, name, (doc + "\n\n" if doc else "") + "\n".join(rows))
    return function


def _function(operation: Elementwise) -> Callable[..., Expression]:
    arity = len(operation.operands)
    if not operation.settings and not operation.scalars:
        if arity == 1:
            return unary_function(operation)
        if arity == 2:
            return binary_function(operation)
    if arity == 1 and len(operation.scalars) == 1 and not operation.settings:
        return _with_scalar(operation)
    settings = operation.settings

    def function(*operands: Any, **given: float) -> Expression:
        names = (*operation.operands, *operation.scalars, *settings)
        values = dict(zip(names, operands, strict=False), **given)
        if len(operands) > len(names) or not values.keys() <= set(names):
            raise TypeError(
                f"{operation.name} takes ({', '.join(names)}), got {len(operands)} arguments and {sorted(given)}"
            )
        missing = [n for n in (*operation.operands, *operation.scalars) if n not in values]
        if missing:
            raise TypeError(f"{operation.name} misses {', '.join(missing)}")
        attributes = tuple(float(values.get(key, default)) for key, default in settings.items())
        xs = [values[n] for n in operation.operands]
        if not operation.scalars:
            return operation.record(xs, attributes)
        graph = next((x.graph for x in xs if getattr(x, "graph", None) is not None), None) or current()
        start = len(graph.data)
        graph.data.extend([float(values[n]) for n in operation.scalars])
        return operation.record(xs, attributes, range(start, start + len(operation.scalars)))

    return function


def _with_scalar(operation: Elementwise) -> Callable[..., Expression]:
    """A recorder for one operand and a number that travels in the payload."""
    table: dict[Shape, tuple[int, Shape]] = {}
    new = object.__new__

    def function(x: Expression, number: float) -> Expression:
        try:
            sid, shape = table[x.shape]
        except (KeyError, AttributeError):
            sid, shape, _ = operation.signature((x,))
            table[x.shape] = sid, shape
        result: Expression = new(Expression)
        result.graph = graph = x.graph or current()
        result.shape = shape
        data = graph.data
        place = len(data)
        data.append(number)
        code = graph.code
        result.index = len(code)
        code.append(sid)
        code.append(x.index)
        code.append(place)
        return result

    return function
