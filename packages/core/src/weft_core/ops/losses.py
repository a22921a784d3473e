"""Losses, distances and norms; each gives one number per example."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ..elementwise import elementwise
from ..errors import ShapeError
from ..expression import Expression
from ..graph import current
from ..operation import Array, Attribute, Call, Operation, check_expressions
from ..shape import Shape, shape_of
from ..signature import Signature
from ..symbol import as_index
from .activations import sqrt, square
from .arithmetic import cmult
from .attributes import number
from .inputs import check_indices
from .reductions import sum_elems
from .softmax import check_vector
from .structure import reshape, transpose


class PickNegativeLogSoftmax(Operation):
    """`ln sum exp(x) - x_v` of a vector; payload: v of every example; saved: `ln sum exp(x)`."""

    name = "pickneglogsoftmax"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        (x,) = operands
        check_vector(self.name, x)
        number = shape_of((1,), x.batch)
        return Signature(self, operands, attributes, (number,), saved=(number,), payload=x.batch)

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        x = operands[0].reshape((-1, operands[0].shape[-1]))
        largest = x.max(axis=0)
        normalizer = largest + np.log(np.exp(x - largest).sum(axis=0))
        picked = np.take_along_axis(x, call.indices()[None], axis=0)
        return normalizer - picked, normalizer[None]

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        x = operands[0].reshape((-1, operands[0].shape[-1]))
        dx = np.exp(x - results[1])
        dx[call.indices(), np.arange(dx.shape[1])] -= 1
        return ((dx * gradients[0]).reshape((*operands[0].shape[:-1], -1)),)


class Hinge(Operation):
    """`sum over i != v of max(0, x_i - x_v + m)` of a vector; payload: v of every example; attribute: m."""

    name = "hinge"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        (x,) = operands
        check_vector(self.name, x)
        if number(attributes[0]) < 0:
            raise ValueError(f"hinge: the margin must not be negative, got m={attributes[0]}")
        return Signature(self, operands, attributes, (shape_of((1,), x.batch),), payload=x.batch)

    def _violations(self, call: Call, operand: Array) -> Array:
        """`x_i - x_v + m`, and 0 for i = v."""
        x, wanted = operand.reshape((-1, operand.shape[-1])), call.indices()[None]
        excess: Array = x - np.take_along_axis(x, wanted, axis=0) + number(call.attributes[0])
        np.put_along_axis(excess, wanted, 0, axis=0)
        return excess

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        return (np.maximum(self._violations(call, operands[0]), 0).sum(axis=0, keepdims=True),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        dx = (self._violations(call, operands[0]) > 0).astype(gradients[0].dtype)
        np.put_along_axis(dx, call.indices()[None], -dx.sum(axis=0, keepdims=True), axis=0)
        return ((dx * gradients[0]).reshape((*operands[0].shape[:-1], -1)),)


_pickneglogsoftmax, _hinge = PickNegativeLogSoftmax(), Hinge()
_normalized: dict[Shape, tuple[int, Shape, int]] = {}
_new = object.__new__


def pickneglogsoftmax(x: Expression, v: int) -> Expression:
    """`ln sum exp(x) - x_v`, the negative log-likelihood of class `v` under `softmax(x)`.

    dx = softmax(x) - onehot(v). Raises `ShapeError` for a batch or anything but a vector,
    `IndexValueError` for a class that x does not have.
    """
    try:
        sid, shape, classes = _normalized[x.shape]
    except (KeyError, AttributeError):
        sid, shape, _ = _pickneglogsoftmax.signature((x,))
        if shape.batch != 1:
            raise ShapeError(
                f"pickneglogsoftmax takes one example and its class, got {x.shape}; "
                "use pickneglogsoftmax_batch for a batch"
            ) from None
        classes = x.shape.size
        _normalized[x.shape] = sid, shape, classes
    if not 0 <= v < classes:
        check_indices("pickneglogsoftmax", (v,), classes)
    result: Expression = _new(Expression)
    result.graph = graph = x.graph or current()
    result.shape = shape
    code = graph.code
    result.index = len(code)
    code.append(sid)
    code.append(x.index)
    code.append(v if v.__class__ is int else as_index(v))
    return result


def pickneglogsoftmax_batch(x: Expression, vs: Iterable[int]) -> Expression:
    """`ln sum exp(x) - x_v` of every example of a batch, `vs[b]` the class of example b.

    Raises `ShapeError` unless x is a batch of vectors with one class each,
    `IndexValueError` for a class that x does not have.
    """
    return _pickneglogsoftmax.record((x,), (), _classes("pickneglogsoftmax_batch", x, vs))


def hinge(x: Expression, v: int, m: float = 1.0) -> Expression:
    """`sum over i != v of max(0, x_i - x_v + m)`.

    Raises `ShapeError` for a batch or anything but a vector, `IndexValueError` for a class that x does not
    have, ValueError for m < 0.
    """
    return _hinge.record((x,), (float(m),), _classes("hinge", x, (v,)))


def hinge_batch(x: Expression, vs: Iterable[int], m: float = 1.0) -> Expression:
    """`sum over i != v of max(0, x_i - x_v + m)` of every example of a batch, `vs[b]` the class of example b.

    Raises as `hinge` does, and `ShapeError` where numbers of classes and examples differ.
    """
    return _hinge.record((x,), (float(m),), _classes("hinge_batch", x, vs))


def hinge_dim(x: Expression, v: Sequence[int], d: int = 0, m: float = 1.0) -> Expression:
    """Hinge losses of all columns (d=0) or rows (d=1) of a matrix; `v[k]` is the class of the k-th.

    Raises as `hinge` does, and `ShapeError` unless x is a matrix with one class per column or row.
    """
    check_expressions("hinge_dim", (x,))
    if len(x.shape.dims) != 2 or d not in (0, 1):
        raise ShapeError(f"hinge_dim takes a matrix and d=0 or d=1, got {x.shape} and d={d}")
    columns = transpose(x) if d else x
    (rows, count), batch = columns.shape.dims, x.shape.batch
    if len(v) != count:
        raise ShapeError(f"hinge_dim: {len(v)} classes for {count} losses along axis {d} of {x.shape}")
    # Columns are examples for as long as the loss takes: a reshape moves nothing.
    losses = hinge_batch(reshape(columns, (rows,), count * batch), [*v] * batch, m)
    return reshape(losses, (count,), batch)


def _classes(name: str, x: Expression, vs: Iterable[int]) -> list[int]:
    """One valid class per example."""
    if not isinstance(x, Expression):
        raise TypeError(f"{name} takes an expression, got {type(x).__name__}")
    check_vector(name, x.shape)
    classes = check_indices(name, list(vs), x.shape.size)
    if len(classes) != x.shape.batch:
        raise ShapeError(f"{name}: {len(classes)} classes for {x.shape}; give one class per example")
    return classes


# The smallest normal float32 bounds the logarithm, the largest float32 that is clearly below 1 the quotient.
_cross_entropy = elementwise(
    "binary_cross_entropy",
    "-t * log(maximum(x, 1.17549435e-38)) - (1 - t) * log(maximum(1 - x, 1.17549435e-38))",
    dx="0 if x == t else dy * ((1 - t) / (1 - minimum(x, 0.9999999)) - t / maximum(x, 1.17549435e-38))",
    dt="dy * (log(maximum(1 - x, 1.17549435e-38)) - log(maximum(x, 1.17549435e-38)))",
)
_squared_difference = elementwise(
    "squared_difference", "(a - b) * (a - b)", da="2 * dy * (a - b)", db="-2 * dy * (a - b)"
)
_absolute_difference = elementwise("absolute_difference", "abs(a - b)", da="dy * sign(a - b)", db="-dy * sign(a - b)")
_huber = elementwise(
    "huber", "0.5 * (a - b) * (a - b) if abs(a - b) < c else c * (abs(a - b) - 0.5 * c)",
    da="dy * minimum(maximum(a - b, -c), c)", db="-dy * minimum(maximum(a - b, -c), c)", c=1.345,
)  # fmt: skip
_ranking = elementwise(
    "pairwise_rank_loss",
    "maximum(0, m - a + b)",
    da="-dy if m - a + b > 0 else 0",
    db="dy if m - a + b > 0 else 0",
    m=1.0,
)
_poisson = elementwise(
    "poisson_loss",
    "exp(log_rate) - n * log_rate + lgamma(n + 1)",
    dlog_rate="dy * (exp(log_rate) - n)",
    scalars=("n",),
)


def _same_size(name: str, x: Expression, y: Expression) -> None:
    """Raise `ShapeError` unless dims are equal, or both are vectors of one size."""
    check_expressions(name, (x, y))
    a, b = x.shape, y.shape
    if a.dims != b.dims and not (a.size == b.size and a.is_vector and b.is_vector):
        raise ShapeError(f"{name}: operands {a} and {b} must have equal dims")


def binary_log_loss(x: Expression, y: Expression) -> Expression:
    """`-sum(y ln x + (1 - y) ln(1 - x))`, `{1}` per example; x are probabilities, y the wanted ones.

    Logarithms are of at least 1.17549435e-38; dx is 0 where x = y. Raises `ShapeError` where dims differ.
    """
    _same_size("binary_log_loss", x, y)
    return sum_elems(_cross_entropy(x, y))


def squared_distance(x: Expression, y: Expression) -> Expression:
    """`sum (x - y)^2`, `{1}` per example. Raises `ShapeError` where dims differ."""
    _same_size("squared_distance", x, y)
    return sum_elems(_squared_difference(x, y))


def l1_distance(x: Expression, y: Expression) -> Expression:
    """`sum |x - y|`, `{1}` per example; the gradient at x = y is 0. Raises `ShapeError` where dims differ."""
    _same_size("l1_distance", x, y)
    return sum_elems(_absolute_difference(x, y))


def huber_distance(x: Expression, y: Expression, c: float = 1.345) -> Expression:
    """`sum of e^2 / 2 where |e| < c, of c (|e| - c / 2) elsewhere`, e = x - y (Huber 1964).

    `{1}` per example. Raises `ShapeError` where dims differ.
    """
    _same_size("huber_distance", x, y)
    return sum_elems(_huber(x, y, c))


def dot_product(x: Expression, y: Expression) -> Expression:
    """`sum x y`, `{1}` per example. Raises `ShapeError` where dims differ."""
    _same_size("dot_product", x, y)
    return sum_elems(cmult(x, y))


def squared_norm(x: Expression) -> Expression:
    """`sum x^2`, `{1}` per example."""
    return sum_elems(square(x))


def l2_norm(x: Expression) -> Expression:
    """`sqrt(sum x^2)`, `{1}` per example; the gradient at 0 is nan."""
    return sqrt(squared_norm(x))


def pairwise_rank_loss(x: Expression, y: Expression, m: float = 1.0) -> Expression:
    """`max(0, m - x + y)` element by element: x is to be above y by m.

    Raises `ShapeError` unless dims are equal and have one row.
    """
    check_expressions("pairwise_rank_loss", (x, y))
    if x.shape.dims != y.shape.dims or x.shape.rows != 1:
        raise ShapeError(f"pairwise_rank_loss takes two rows {{1,n}} of one size, got {x.shape} and {y.shape}")
    return _ranking(x, y, m)


def poisson_loss(log_lambda: Expression, x: int) -> Expression:
    """`exp(log_lambda) - x log_lambda + ln Gamma(x + 1)`, the negative log-likelihood of the count x.

    Raises `ShapeError` unless `log_lambda` has one element per example.
    """
    check_expressions("poisson_loss", (log_lambda,))
    if log_lambda.shape.size != 1:
        raise ShapeError(f"poisson_loss takes one number per example as log_lambda, got {log_lambda.shape}")
    return _poisson(log_lambda, float(x))
