"""Inverse, determinant and trace of matrices; every example of a batch is a matrix of its own."""

from __future__ import annotations

import numpy as np

from ..errors import ShapeError
from ..expression import Expression
from ..operation import Array, Attribute, Call, Operation, check_expressions, unary_function
from ..shape import Shape, shape_of
from ..signature import Signature
from .arithmetic import cmult
from .reductions import sum_elems


def check_square(name: str, x: Shape) -> None:
    """Raise `ShapeError` unless x is a square matrix."""
    if len(x.dims) > 2 or x.rows != x.dim(1):
        raise ShapeError(f"{name} takes a square matrix {{n,n}}, got {x}; pick or reshape a square part of it")


def stacked(x: Array) -> Array:
    """Matrices `(n, n, N)` as `(N, n, n)`, as NumPy's linear algebra takes them."""
    return np.moveaxis(x.reshape((len(x), len(x), -1)), -1, 0)


def inverses(matrices: Array) -> Array:
    """The inverse of each matrix of `(N, n, n)`, NaN where there is none."""
    regular = np.linalg.slogdet(matrices)[0] != 0
    found: Array = np.full_like(matrices, np.nan)
    found[regular] = np.linalg.inv(matrices[regular])
    return found


class Inverse(Operation):
    """`X^-1`; every element is NaN where X is singular."""

    name = "inverse"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        (x,) = operands
        check_square(self.name, x)
        return Signature(self, operands, attributes, (shape_of(x.dims, x.batch),))

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        return (np.moveaxis(inverses(stacked(operands[0])), 0, -1).reshape(operands[0].shape),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        transposed = stacked(results[0]).transpose((0, 2, 1))
        dx = -(transposed @ stacked(gradients[0]) @ transposed)
        return (np.moveaxis(dx, 0, -1).reshape(gradients[0].shape),)


class LogDeterminant(Operation):
    """`ln det X`; saved: the inverse of X, whose transpose is the gradient."""

    name = "logdet"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        (x,) = operands
        check_square(self.name, x)
        number, inverse = shape_of((1,), x.batch), shape_of((x.rows, x.rows), x.batch)
        return Signature(self, operands, attributes, (number,), saved=(inverse,))

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        matrices = stacked(operands[0])
        sign, logarithm = np.linalg.slogdet(matrices)
        return np.where(sign < 0, np.nan, logarithm)[None], np.moveaxis(inverses(matrices), 0, -1)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        dx = results[1].transpose((1, 0, 2)) * gradients[0]
        return (dx.reshape((*operands[0].shape[:-1], -1)),)


_inverse, _logdet = unary_function(Inverse()), unary_function(LogDeterminant())


def inverse(x: Expression) -> Expression:
    """`X^-1` of a square matrix `{n,n}`.

    dX = -Y^T dY Y^T. Every element is nan where X is singular: where a pivot of the elimination is exactly 0.
    Raises `ShapeError` for anything but a square matrix.
    """
    return _inverse(x)


def logdet(x: Expression) -> Expression:
    """`ln det X` of a square matrix `{n,n}`, `{1}` per example.

    nan where the determinant is negative, -inf where it is 0. dX = X^-T dy, nan where X is singular.
    Raises `ShapeError` for anything but a square matrix.
    """
    return _logdet(x)


def trace_of_product(x: Expression, y: Expression) -> Expression:
    """`Tr(X Y^T) = sum x_ij y_ij` of two matrices of one shape, `{1}` per example.

    Raises `ShapeError` where dims differ, or are more than 2.
    """
    check_expressions("trace_of_product", (x, y))
    if x.shape.dims != y.shape.dims or len(x.shape.dims) > 2:
        raise ShapeError(f"trace_of_product takes two matrices of equal dims, got {x.shape} and {y.shape}")
    return sum_elems(cmult(x, y))
