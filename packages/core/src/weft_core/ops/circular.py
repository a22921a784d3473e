"""Circular convolution and correlation of vectors, which bind and unbind distributed representations (Plate 1995)."""

from __future__ import annotations

import numpy as np

from ..errors import ShapeError
from ..expression import Expression
from ..operation import Array, Attribute, Call, Operation, binary_function
from ..shape import Shape, common_batch, shape_of
from ..signature import Signature


def convolved(u: Array, v: Array) -> Array:
    """`y_k = sum_i u_i v_(k-i)`, indices modulo n, by the Fourier transform."""
    found: Array = np.fft.irfft(np.fft.rfft(u, axis=0) * np.fft.rfft(v, axis=0), len(u), axis=0)
    return found


def correlated(u: Array, v: Array) -> Array:
    """`y_k = sum_i u_i v_(i+k)`, indices modulo n, by the Fourier transform."""
    found: Array = np.fft.irfft(np.fft.rfft(u, axis=0).conj() * np.fft.rfft(v, axis=0), len(u), axis=0)
    return found


class Circular(Operation):
    """What both share: two vectors of one size."""

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        u, v = operands
        if len(u.dims) != 1 or u.dims != v.dims:
            raise ShapeError(f"{self.name} takes two vectors {{n}} of one size, got {u} and {v}")
        return Signature(self, operands, attributes, (shape_of(u.dims, common_batch(self.name, operands)),))


class CircularConvolution(Circular):
    """`y_k = sum_i u_i v_(k-i)`."""

    name = "circ_conv"

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        return (convolved(*operands),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        (u, v), dy = operands, gradients[0]
        return correlated(v, dy), correlated(u, dy)


class CircularCorrelation(Circular):
    """`y_k = sum_i u_i v_(i+k)`."""

    name = "circ_corr"

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        return (correlated(*operands),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        (u, v), dy = operands, gradients[0]
        return correlated(dy, v), convolved(dy, u)


_convolution, _correlation = binary_function(CircularConvolution()), binary_function(CircularCorrelation())


def circ_conv(u: Expression, v: Expression) -> Expression:
    """`y_k = sum_i u_i v_(k-i)`, indices modulo n: the circular convolution of two vectors `{n}` (Plate 1995).

    It costs n^2 multiplications. Raises `ShapeError` unless both are vectors of one size.
    """
    return _convolution(u, v)


def circ_corr(u: Expression, v: Expression) -> Expression:
    """`y_k = sum_i u_i v_(i+k)`, indices modulo n: the circular correlation of two vectors `{n}` (Plate 1995).

    It costs n^2 multiplications. Raises `ShapeError` unless both are vectors of one size.
    """
    return _correlation(u, v)
