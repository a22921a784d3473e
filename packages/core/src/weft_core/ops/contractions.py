"""Contractions of a tensor of three axes with vectors: bilinear forms."""

from __future__ import annotations

import numpy as np

from ..errors import ShapeError
from ..expression import Expression
from ..operation import Array, Attribute, Call, Operation, binary_function, check_expressions
from ..shape import Shape, common_batch, shape_of
from ..signature import Signature
from .arithmetic import add
from .products import as_vector, multiply


class Contraction(Operation):
    """`z_ij = sum_k x_ijk y_k`."""

    name = "contract3d_1d"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        x, y = operands
        if len(x.dims) != 3 or not y.is_vector or y.rows != x.dims[2]:
            raise ShapeError(
                f"contract3d_1d takes a tensor {{i,j,k}} and a vector {{k}} that is as long as its last axis, "
                f"got {x} and {y}"
            )
        return Signature(self, operands, attributes, (shape_of(x.dims[:2], common_batch(self.name, operands)),))

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        x, y = operands
        return (np.einsum("ijkn,kn->ijn", x, y.reshape((x.shape[2], -1))),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        (x, y), dz = operands, gradients[0]
        dx = np.einsum("ijn,kn->ijkn", dz, y.reshape((x.shape[2], -1)))
        dy = np.einsum("ijkn,ijn->kn", x, dz)
        return dx, dy.reshape((*y.shape[:-1], -1))


_contract = binary_function(Contraction())


def contract3d_1d(x: Expression, y: Expression) -> Expression:
    """`z_ij = sum_k x_ijk y_k`, `{i,j}`, of a tensor `{i,j,k}` and a vector `{k}`.

    dx_ijk = dz_ij y_k, dy_k = sum_ij x_ijk dz_ij. Raises `ShapeError` where the sizes do not fit.
    """
    return _contract(x, y)


def contract3d_1d_bias(x: Expression, y: Expression, b: Expression) -> Expression:
    """`z_ij = b_ij + sum_k x_ijk y_k`, `{i,j}`. Raises `ShapeError` where the sizes do not fit."""
    return _plus("contract3d_1d_bias", _contract(x, y), b)


def contract3d_1d_1d(x: Expression, y: Expression, z: Expression) -> Expression:
    """`t_i = sum_jk x_ijk y_k z_j`, `{i}`, of a tensor `{i,j,k}` and two vectors, the one for its last axis first.

    Raises `ShapeError` where the sizes do not fit.
    """
    matrix = _contract(x, y)
    check_expressions("contract3d_1d_1d", (z,))
    if not z.shape.is_vector or z.shape.rows != matrix.shape.dims[1]:
        raise ShapeError(
            f"contract3d_1d_1d takes a tensor {{i,j,k}}, a vector {{k}} and a vector {{j}}, "
            f"got {x.shape}, {y.shape} and {z.shape}"
        )
    return multiply(matrix, z if len(z.shape.dims) == 1 else as_vector(z))


def contract3d_1d_1d_bias(x: Expression, y: Expression, z: Expression, b: Expression) -> Expression:
    """`t_i = b_i + sum_jk x_ijk y_k z_j`, `{i}`. Raises `ShapeError` where the sizes do not fit."""
    return _plus("contract3d_1d_1d_bias", contract3d_1d_1d(x, y, z), b)


def _plus(name: str, contracted: Expression, b: Expression) -> Expression:
    """The sum with a bias of the same dims."""
    check_expressions(name, (b,))
    if b.shape.dims != contracted.shape.dims:
        raise ShapeError(f"{name}: the bias {b.shape} must have the dims of the contraction, {contracted.shape}")
    return add(contracted, b)
