"""Reductions over axes, batches and lists of expressions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from ..elementwise import elementwise
from ..errors import ShapeError
from ..expression import Expression
from ..operation import Array, Attribute, Call, Operation, name_function, unary_function
from ..shape import Shape, common_batch, drop_axis, shape_of
from ..signature import Signature
from .activations import sqrt, square
from .arithmetic import power_number, scale, subtract
from .selection import check_axis
from .structure import check_list, list_function, reshape


class SumElements(Operation):
    """Sum of all elements of an example."""

    name = "sum_elems"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        return Signature(self, operands, attributes, (shape_of((1,), operands[0].batch),))

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        x = operands[0]
        return (x.reshape((-1, x.shape[-1])).sum(axis=0, keepdims=True),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        return (np.broadcast_to(gradients[0], (*operands[0].shape[:-1], gradients[0].shape[-1])),)


class SumAxes(Operation):
    """Sum over the axes that are the attributes, in rising order; they disappear."""

    name = "sum_dim"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        (x,) = operands
        for axis in attributes:
            check_axis(self.name, x, int(axis))
        dims = tuple(size for axis, size in enumerate(x.dims) if axis not in attributes)
        return Signature(self, operands, attributes, (shape_of(dims or (1,), x.batch),))

    def _axes(self, call: Call) -> tuple[int, ...]:
        return tuple(int(axis) for axis in call.attributes)

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        return (operands[0].sum(axis=self._axes(call)).reshape((*call.signature.results[0].dims, -1)),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        dims, axes = call.signature.operands[0].dims, self._axes(call)
        kept = tuple(1 if axis in axes else size for axis, size in enumerate(dims))
        dy = gradients[0].reshape((*kept, -1))
        return (np.broadcast_to(dy, (*dims, dy.shape[-1])),)


class SumBatches(Operation):
    """Sum over the examples of a batch."""

    name = "sum_batches"
    per_node = True

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        return Signature(self, operands, attributes, (shape_of(operands[0].dims),))

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        return (operands[0].sum(axis=-1, keepdims=True),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        return (np.broadcast_to(gradients[0], operands[0].shape),)


class CumulativeSum(Operation):
    """Running sums along the axis that is the attribute."""

    name = "cumsum"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        (x,) = operands
        check_axis(self.name, x, int(attributes[0]))
        return Signature(self, operands, attributes, (shape_of(x.dims, x.batch),))

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        return (np.cumsum(operands[0], axis=int(call.attributes[0])),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        axis = int(call.attributes[0])
        return (np.flip(np.cumsum(np.flip(gradients[0], axis), axis=axis), axis),)


class AxisReduction(Operation):
    """A reduction along one axis, the attribute, which disappears."""

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        (x,), axis = operands, int(attributes[0])
        check_axis(self.name, x, axis)
        return Signature(self, operands, attributes, (shape_of(drop_axis(x.dims, axis), x.batch),))

    def kept(self, call: Call, reduced: Array) -> Array:
        """A result or its gradient with the axis still there, of size 1."""
        dims, axis = call.signature.operands[0].dims, int(call.attributes[0])
        return reduced.reshape((*dims[:axis], 1, *dims[axis + 1 :], -1))


class Extreme(AxisReduction):
    """Maximum or minimum along one axis; the gradient goes to the first position that has it."""

    def __init__(self, name: str, first: Callable[..., Array]) -> None:
        super().__init__(name)
        self.first = first

    def _positions(self, call: Call, x: Array) -> Array:
        axis = int(call.attributes[0])
        return np.expand_dims(self.first(x, axis=axis), axis)

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        found = np.take_along_axis(operands[0], self._positions(call, operands[0]), int(call.attributes[0]))
        return (found.reshape((*call.signature.results[0].dims, -1)),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        dy = self.kept(call, gradients[0])
        dx = np.zeros((*call.signature.operands[0].dims, dy.shape[-1]), dy.dtype)
        np.put_along_axis(dx, self._positions(call, operands[0]), dy, int(call.attributes[0]))
        return (dx,)


class LogSumExpAxis(AxisReduction):
    """`ln sum exp(x)` along one axis."""

    name = "logsumexp_dim"

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        y = np.logaddexp.reduce(operands[0], axis=int(call.attributes[0]))
        return (y.reshape((*call.signature.results[0].dims, -1)),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        return (self.kept(call, gradients[0]) * np.exp(operands[0] - self.kept(call, results[0])),)


class ListReduction(Operation):
    """A reduction of a list of expressions, element by element; missing trailing axes have size 1, a batch of 1 is repeated."""

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        if len({without_trailing_ones(x.dims) for x in operands}) > 1:
            raise ShapeError(
                f"{self.name}: operands {' and '.join(map(repr, operands))} must have equal dims; reshape or broadcast them first"
            )
        return Signature(self, operands, attributes, (shape_of(operands[0].dims, common_batch(self.name, operands)),))

    def stacked(self, call: Call, operands: tuple[Array, ...]) -> Array:
        """Operands along a new first axis."""
        dims, examples = call.signature.results[0].dims, max(x.shape[-1] for x in operands)
        return np.stack([np.broadcast_to(x.reshape((*dims, -1)), (*dims, examples)) for x in operands])

    def split(self, call: Call, gradient: Array) -> tuple[Array, ...]:
        """Gradients of the operands from their stack."""
        return tuple(d.reshape((*x.dims, -1)) for d, x in zip(gradient, call.signature.operands, strict=True))


class SumList(ListReduction):
    """`x_0 + x_1 + ...`."""

    name = "esum"

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        return (self.stacked(call, operands).sum(axis=0),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        return self.split(call, np.broadcast_to(gradients[0], (len(operands), *gradients[0].shape)))


class MaximumList(ListReduction):
    """`max(x_0, x_1, ...)`; the gradient goes to the first operand that has it."""

    name = "emax"

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        return (self.stacked(call, operands).max(axis=0),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        first = self.stacked(call, operands).argmax(axis=0)
        return self.split(call, np.stack([gradients[0] * (first == k) for k in range(len(operands))]))


class LogSumExpList(ListReduction):
    """`ln(exp(x_0) + exp(x_1) + ...)`."""

    name = "logsumexp"

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        return (np.logaddexp.reduce(self.stacked(call, operands), axis=0),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        return self.split(call, gradients[0] * np.exp(self.stacked(call, operands) - results[0]))
