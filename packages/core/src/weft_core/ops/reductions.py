"""Reductions over elements, axes and batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import ShapeError
from ..expression import Expression
from ..operation import Array, Attribute, Call, Operation, axis_function, check_expressions, unary_function
from ..shape import Shape, drop_axis, shape_of
from ..signature import Signature
from .activations import sqrt, square
from .arithmetic import power_number, scale, subtract
from .attributes import integer
from .axes import check_axis
from .structure import reshape


class SumElements(Operation):
    """Sum of all elements of an example."""

    name = "sum_elems"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        return Signature(self, operands, attributes, (shape_of((1,), operands[0].batch),))

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        x = operands[0]
        # In float64: NumPy adds along an outer axis one by one.
        return (x.reshape((-1, x.shape[-1])).sum(axis=0, keepdims=True, dtype=np.float64).astype(x.dtype),)

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
            check_axis(self.name, x, integer(axis))
        dims = tuple(size for axis, size in enumerate(x.dims) if axis not in attributes)
        return Signature(self, operands, attributes, (shape_of(dims or (1,), x.batch),))

    def _axes(self, call: Call) -> tuple[int, ...]:
        return tuple(integer(axis) for axis in call.attributes)

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
        check_axis(self.name, x, integer(attributes[0]))
        return Signature(self, operands, attributes, (shape_of(x.dims, x.batch),))

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        return (np.cumsum(operands[0], axis=integer(call.attributes[0])),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        axis = integer(call.attributes[0])
        return (np.flip(np.cumsum(np.flip(gradients[0], axis), axis=axis), axis),)


class AxisReduction(Operation):
    """A reduction along one axis, the attribute, which disappears."""

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        (x,), axis = operands, integer(attributes[0])
        check_axis(self.name, x, axis)
        return Signature(self, operands, attributes, (shape_of(drop_axis(x.dims, axis), x.batch),))

    def kept(self, call: Call, reduced: Array) -> Array:
        """A result or its gradient with the axis still there, of size 1."""
        dims, axis = call.signature.operands[0].dims, integer(call.attributes[0])
        return reduced.reshape((*dims[:axis], 1, *dims[axis + 1 :], -1))


class Extreme(AxisReduction):
    """Maximum or minimum along one axis; the gradient goes to the first position that has it."""

    def __init__(self, name: str, first: Callable[..., NDArray[np.intp]]) -> None:
        super().__init__(name)
        self.first = first

    def _positions(self, call: Call, x: Array) -> NDArray[np.intp]:
        axis = integer(call.attributes[0])
        return np.expand_dims(self.first(x, axis=axis), axis)

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        found = np.take_along_axis(operands[0], self._positions(call, operands[0]), integer(call.attributes[0]))
        return (found.reshape((*call.signature.results[0].dims, -1)),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        dy = self.kept(call, gradients[0])
        dx = np.zeros((*call.signature.operands[0].dims, dy.shape[-1]), dy.dtype)
        np.put_along_axis(dx, self._positions(call, operands[0]), dy, integer(call.attributes[0]))
        return (dx,)


class LogSumExpAxis(AxisReduction):
    """`ln sum exp(x)` along one axis."""

    name = "logsumexp_dim"

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        y = np.logaddexp.reduce(operands[0], axis=integer(call.attributes[0]))
        return (y.reshape((*call.signature.results[0].dims, -1)),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        return (self.kept(call, gradients[0]) * np.exp(operands[0] - self.kept(call, results[0])),)


_sum_axes = SumAxes()
_cumsum, _logsumexp_dim = axis_function(CumulativeSum()), axis_function(LogSumExpAxis())
_max_dim, _min_dim = axis_function(Extreme("max_dim", np.argmax)), axis_function(Extreme("min_dim", np.argmin))
_sum_elems = unary_function(SumElements())
_sum_batches = unary_function(SumBatches())


def sum_elems(x: Expression) -> Expression:
    """Sum of all elements, `{1}` per example."""
    return _sum_elems(x)


def sum_batches(x: Expression) -> Expression:
    """Sum over the batch; the dims stay."""
    return _sum_batches(x)


def sum_dim(x: Expression, d: Sequence[int], b: bool = False, n: int = 0) -> Expression:
    """Sum over the axes `d`, which disappear, and over the batch where `b` is true.

    `n` is ignored, as in DyNet.

    Raises `ShapeError` for an axis that x does not have, or one named twice, or nothing to sum over.
    """
    check_expressions("sum_dim", (x,))
    axes = tuple(sorted(int(axis) for axis in d))
    if len(set(axes)) != len(axes) or not (axes or b):
        raise ShapeError(f"sum over the axes {list(d)} of {x.shape}: name each axis once, or set b=True for the batch")
    if axes:
        x = _sum_axes.record((x,), axes)
    return _sum_batches(x) if b else x


def cumsum(x: Expression, d: int = 0) -> Expression:
    """Running sums along axis `d`; an axis past the last has size 1.

    Raises `ShapeError` for a negative axis.
    """
    check_expressions("cumsum", (x,))
    if d >= len(x.shape.dims):
        return x
    return _cumsum(x, d)


def mean_elems(x: Expression) -> Expression:
    """Mean of all elements, `{1}` per example."""
    return scale(_sum_elems(x), 1 / x.shape.size)


def mean_batches(x: Expression) -> Expression:
    """Mean over the batch; the dims stay."""
    return scale(_sum_batches(x), 1 / x.shape.batch)


def mean_dim(x: Expression, d: Sequence[int], b: bool, n: int = 0) -> Expression:
    """Mean over the axes `d`, which disappear, and over the batch where `b` is true.

    `n` above 0 is the divisor instead of the number of elements. Raises `ShapeError` as `sum_dim` does.
    """
    total = sum_dim(x, d, b)
    return scale(total, 1 / (n or x.shape.total // total.shape.total))


def moment_elems(x: Expression, r: int) -> Expression:
    """Mean of `x^r` over all elements (not centred), `{1}` per example. Raises ValueError for r < 1."""
    return mean_elems(_raised(x, r))


def moment_batches(x: Expression, r: int) -> Expression:
    """Mean of `x^r` over the batch (not centred). Raises ValueError for r < 1."""
    return mean_batches(_raised(x, r))


def moment_dim(x: Expression, d: Sequence[int], r: int, b: bool, n: int = 0) -> Expression:
    """Mean of `x^r` (not centred) over the axes `d` and, where `b` is true, the batch.

    `n` above 0 is the divisor instead of the number of elements. Raises ValueError for r < 1,
    `ShapeError` as `sum_dim` does.
    """
    return mean_dim(_raised(x, r), d, b, n)


def _raised(x: Expression, r: int) -> Expression:
    if r < 1:
        raise ValueError(f"a moment is of order 1 or more, got r={r}")
    if r == 1:
        return x
    return square(x) if r == 2 else power_number(x, r)


def std_elems(x: Expression) -> Expression:
    """`sqrt(mean((x - mean(x))^2))` of all elements, `{1}` per example; the gradient at 0 is nan."""
    return sqrt(mean_elems(square(subtract(x, mean_elems(x)))))


def std_batches(x: Expression) -> Expression:
    """Standard deviation over the batch; the dims stay. The gradient at 0 is nan."""
    return sqrt(mean_batches(square(subtract(x, mean_batches(x)))))


def std_dim(x: Expression, d: Sequence[int], b: bool, n: int = 0) -> Expression:
    """Standard deviation over the axes `d`, which disappear, and over the batch where `b` is true.

    The gradient at 0 is nan; `n` is ignored, as in DyNet. Raises `ShapeError` as `sum_dim` does.
    """
    mean = mean_dim(x, d, b)
    kept = tuple(1 if axis in d else size for axis, size in enumerate(x.shape.dims))
    centred = subtract(x, reshape(mean, kept, mean.shape.batch))
    return sqrt(mean_dim(square(centred), d, b))


def max_dim(x: Expression, d: int = 0) -> Expression:
    """Maximum along axis `d`, which disappears; the gradient goes to the first position that has it.

    Raises `ShapeError` for an axis that x does not have.
    """
    return _max_dim(x, d)


def min_dim(x: Expression, d: int = 0) -> Expression:
    """Minimum along axis `d`, which disappears; the gradient goes to the first position that has it.

    Raises `ShapeError` for an axis that x does not have.
    """
    return _min_dim(x, d)


def logsumexp_dim(x: Expression, d: int = 0) -> Expression:
    """`ln sum exp(x)` along axis `d`, which disappears, without overflow.

    Raises `ShapeError` for an axis that x does not have.
    """
    return _logsumexp_dim(x, d)
