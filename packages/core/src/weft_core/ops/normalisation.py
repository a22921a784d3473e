"""Layer and weight normalisation."""

from __future__ import annotations

import numpy as np

from ..elementwise import elementwise
from ..errors import ShapeError
from ..expression import Expression
from ..operation import Array, Attribute, Call, Operation, binary_function, unary_function
from ..shape import Shape, common_batch, shape_of
from ..signature import Signature
from .softmax import as_columns

# Added to the standard deviation, as DyNet does.
EPSILON = 1e-8


class Standardize(Operation):
    """`(x - mean) / (deviation + 1e-8)` over all elements of an example; saved: the deviation."""

    name = "standardize"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        (x,) = operands
        result, number = shape_of(x.dims, x.batch), shape_of((1,), x.batch)
        return Signature(self, operands, attributes, (result,), saved=(number,))

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        x = as_columns(operands[0])
        # From the first element on, so that equal elements have no deviation, not even by rounding.
        x = x - x[:1]
        centred = x - x.mean(axis=0)
        deviation = np.sqrt((centred * centred).mean(axis=0))
        return (centred / (deviation + EPSILON)).reshape(operands[0].shape), deviation[None]

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        y, dy, deviation = as_columns(results[0]), as_columns(gradients[0]), results[1]
        scale = deviation + EPSILON
        along = (dy * y).mean(axis=0) * np.where(deviation > 0, scale / deviation, 0)
        dx = (dy - dy.mean(axis=0) - y * along) / scale
        return (dx.reshape(gradients[0].shape),)


class WeightNorm(Operation):
    """`g w / |w|` with a number g; saved: `|w|`. Zeros, and no gradient, where w is 0."""

    name = "weight_norm"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        w, g = operands
        if g.size != 1:
            raise ShapeError(f"weight_norm: the gain must have one element, got {g} for weights {w}")
        batch = common_batch(self.name, operands)
        return Signature(self, operands, attributes, (shape_of(w.dims, batch),), saved=(shape_of((1,), batch),))

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        w, g = as_columns(operands[0]), as_columns(operands[1])
        norm = np.sqrt((w * w).sum(axis=0, keepdims=True))
        y = w * np.where(norm > 0, g / norm, 0)
        return y.reshape((*operands[0].shape[:-1], -1)), norm

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        w, g, dy, norm = as_columns(operands[0]), as_columns(operands[1]), as_columns(gradients[0]), results[1]
        inverse = np.where(norm > 0, 1 / norm, 0)
        direction = w * inverse
        dg = (dy * direction).sum(axis=0, keepdims=True)
        dw = (dy - direction * dg) * g * inverse
        return dw.reshape((*operands[0].shape[:-1], -1)), dg.reshape((*operands[1].shape[:-1], -1))


_standardize = unary_function(Standardize())
# Named after the whole: whoever sees it in a message or a profile has called layer_norm.
_gain_and_bias = elementwise("layer_norm", "g * x + b", dx="dy * g", dg="dy * x", db="dy")
_weight_norm = binary_function(WeightNorm())


def layer_norm(x: Expression, g: Expression, b: Expression) -> Expression:
    """`g (x - mean) / (deviation + 1e-8) + b` over all elements of an example (Ba, Kiros, Hinton 2016).

    `mean` and `deviation`, the root of the mean of `(x - mean)^2`, are of one example whatever its dims; g and b
    broadcast as in `cmult` and `+`. Equal elements give b. Raises `ShapeError` where g or b do not broadcast.
    """
    return _gain_and_bias(_standardize(x), g, b)


def weight_norm(w: Expression, g: Expression) -> Expression:
    """`g w / |w|`: weights of any dims with the norm g, `{1}` (Salimans, Kingma 2016).

    dw = (dy - u dg) g / |w| and dg = sum u dy with the direction u = w / |w|. Where w is 0, it has no direction: the
    result and the gradients are 0. Raises `ShapeError` unless g has one element.
    """
    return _weight_norm(w, g)
