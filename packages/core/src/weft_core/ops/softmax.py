"""The softmax family."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import ShapeError
from ..expression import Expression
from ..operation import Array, Attribute, Call, Operation, axis_function, binary_function, unary_function
from ..shape import Shape, common_batch, shape_of
from ..signature import Signature
from .attributes import integer
from .axes import check_axis
from .selection import checked


class Softmax(Operation):
    """`exp(x) / sum exp(x)` along the axis that is the attribute."""

    name = "softmax"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        (x,) = operands
        check_axis(self.name, x, integer(attributes[0]))
        return Signature(self, operands, attributes, (shape_of(x.dims, x.batch),))

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        x, axis = operands[0], integer(call.attributes[0])
        e = np.exp(x - x.max(axis=axis, keepdims=True))
        return (e / e.sum(axis=axis, keepdims=True),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        y, dy = results[0], gradients[0]
        return (y * (dy - (y * dy).sum(axis=integer(call.attributes[0]), keepdims=True)),)


class LogSoftmax(Operation):
    """`x - ln sum exp(x)` along the first axis."""

    name = "log_softmax"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        (x,) = operands
        return Signature(self, operands, attributes, (shape_of(x.dims, x.batch),))

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        shifted = operands[0] - operands[0].max(axis=0)
        return (shifted - np.log(np.exp(shifted).sum(axis=0)),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        dy = gradients[0]
        return (dy - np.exp(results[0]) * dy.sum(axis=0),)


class RestrictedLogSoftmax(Operation):
    """`log_softmax` over the rows that the payload names, -inf elsewhere; the attribute is their number."""

    name = "restricted_log_softmax"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        (x,) = operands
        check_vector(self.name, x)
        return Signature(self, operands, attributes, (shape_of(x.dims, x.batch),), payload=integer(attributes[0]))

    def _allowed(self, call: Call, x: Array) -> Array:
        """Whether a row is allowed, for each example."""
        rows = np.repeat(call.payload, call.batch, axis=0)
        allowed = np.zeros((len(x), len(rows)), bool)
        np.put_along_axis(allowed, rows.T, True, axis=0)
        return allowed.reshape((*x.shape[:-1], -1))

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        x = np.where(self._allowed(call, operands[0]), operands[0], -np.inf)
        shifted = x - x.max(axis=0)
        return (shifted - np.log(np.exp(shifted).sum(axis=0)),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        dy = np.where(self._allowed(call, operands[0]), gradients[0], 0)
        return (dy - np.exp(results[0]) * dy.sum(axis=0),)


class Sparsemax(Operation):
    """Euclidean projection of a vector onto the probability simplex (Martins, Astudillo 2016)."""

    name = "sparsemax"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        (x,) = operands
        check_vector(self.name, x)
        return Signature(self, operands, attributes, (shape_of(x.dims, x.batch),))

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        x = operands[0].reshape((-1, operands[0].shape[-1]))
        falling = -np.sort(-x, axis=0)
        sums = np.cumsum(falling, axis=0)
        ranks = np.arange(1, len(x) + 1)[:, None]
        support = (1 + ranks * falling > sums).sum(axis=0)
        threshold = (np.take_along_axis(sums, support[None] - 1, axis=0) - 1) / support
        return (np.maximum(x - threshold, 0).reshape(operands[0].shape),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        support, dy = results[0] > 0, gradients[0]
        mean = (dy * support).sum(axis=0) / support.sum(axis=0)
        return ((dy - mean) * support,)


class ConstrainedSoftmax(Operation):
    """Softmax of a vector under upper bounds (Martins, Kreutzer 2017): the excess goes to the others."""

    name = "constrained_softmax"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        x, bound = operands
        check_vector(self.name, x)
        if not bound.is_vector or bound.rows != x.rows:
            raise ShapeError(f"constrained_softmax: the bounds {bound} must be a vector as long as the scores {x}")
        return Signature(self, operands, attributes, (shape_of(x.dims, common_batch(self.name, operands)),))

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        return (self._solve(*map(as_columns, operands))[0].reshape((*operands[0].shape[:-1], -1)),)

    def _solve(self, x: Array, bound: Array) -> tuple[Array, Array]:
        """Probabilities of columns, and which of them are at their bound."""
        weights = np.exp(x - x.max(axis=0))
        bounded = np.zeros(np.broadcast_shapes(x.shape, bound.shape), bool)
        while True:
            free = 1 - (bound * bounded).sum(axis=0)
            y = np.where(bounded, bound, weights * free / (weights * ~bounded).sum(axis=0))
            above = (y > bound) & ~bounded
            if not above.any():
                return y, bounded
            bounded |= above

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        dy = as_columns(gradients[0])
        y, bounded = self._solve(*map(as_columns, operands))
        free = np.where(bounded, 0, y)
        mean = (free * dy).sum(axis=0) / free.sum(axis=0)
        dx, dbound = free * (dy - mean), np.where(bounded, dy - mean, 0)
        return dx.reshape((*operands[0].shape[:-1], -1)), dbound.reshape((*operands[1].shape[:-1], -1))


def as_columns(x: Array) -> Array:
    """The elements of each example as one column, `(n, N)`."""
    return x.reshape((-1, x.shape[-1]))


def check_vector(name: str, x: Shape) -> None:
    """Raise `ShapeError` unless x is a vector."""
    if not x.is_vector:
        raise ShapeError(f"{name} takes a vector {{n}}, got {x}; pick a column or reshape it")


_log_softmax, _sparsemax = unary_function(LogSoftmax()), unary_function(Sparsemax())
_constrained_softmax = binary_function(ConstrainedSoftmax())
_restricted = RestrictedLogSoftmax()
_softmax = axis_function(Softmax())


def softmax(x: Expression, d: int = 0) -> Expression:
    """`exp(x) / sum exp(x)` along axis `d`.

    Raises `ShapeError` for an axis that x does not have.
    """
    return _softmax(x, d)


def log_softmax(x: Expression, restrict: Sequence[int] | None = None) -> Expression:
    """`x - ln sum exp(x)` along the first axis.

    `restrict` names the rows of a vector that take part, the others are -inf; a row named twice counts once.
    Raises `IndexValueError` for a row that x does not have, `ShapeError` for no row, or where x is no vector.
    """
    if restrict is None:
        return _log_softmax(x)
    rows = list(dict.fromkeys(checked("log_softmax", x, 0, restrict)))
    return _restricted.record((x,), (len(rows),), rows)


def sparsemax(x: Expression) -> Expression:
    """`max(x - tau, 0)` with tau such that the elements sum to 1 (Martins, Astudillo 2016).

    The gradient on the support S is `dy - mean of dy over S`. Raises `ShapeError` unless x is a vector.
    """
    return _sparsemax(x)


def constrained_softmax(x: Expression, y: Expression) -> Expression:
    """Softmax of the vector x with upper bounds y (Martins, Kreutzer 2017).

    What is above its bound stays there, the rest is shared by the others; the bounds sum to at least 1.
    Raises `ShapeError` unless both are vectors of one size.
    """
    return _constrained_softmax(x, y)
