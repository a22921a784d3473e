"""Elementwise functions of one operand: shape and batch are kept."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..elementwise import elementwise
from ..expression import Expression
from ..operation import Array, Attribute, Call, Operation, name_function, unary_function
from ..shape import Shape, shape_of
from ..signature import BLOCKS, Signature

square = elementwise("square", "x * x", dx="2 * dy * x")
cube = elementwise("cube", "x * x * x", dx="3 * dy * x * x")
sqrt = elementwise("sqrt", "sqrt(x)", dx="dy / (2 * y)", doc="The gradient is inf at 0 and nan below.")
exp = elementwise("exp", "exp(x)", dx="dy * y")
log = elementwise("log", "log(x)", dx="dy / x")
abs = elementwise("abs", "abs(x)", dx="dy * sign(x)", doc="The gradient at 0 is 0.")
erf = elementwise("erf", "erf(x)", dx="dy * 1.1283791670955126 * exp(-x * x)", doc="dx: 2 / sqrt(pi) exp(-x^2).")
lgamma = elementwise("lgamma", "lgamma(x)", dx="dy * digamma(x)")

sin = elementwise("sin", "sin(x)", dx="dy * cos(x)")
cos = elementwise("cos", "cos(x)", dx="-dy * sin(x)")
tan = elementwise("tan", "tan(x)", dx="dy * (1 + y * y)")
asin = elementwise("asin", "asin(x)", dx="dy / sqrt(1 - x * x)")
acos = elementwise("acos", "acos(x)", dx="-dy / sqrt(1 - x * x)")
atan = elementwise("atan", "atan(x)", dx="dy / (1 + x * x)")
sinh = elementwise("sinh", "sinh(x)", dx="dy * cosh(x)")
cosh = elementwise("cosh", "cosh(x)", dx="dy * sinh(x)")
asinh = elementwise("asinh", "asinh(x)", dx="dy / sqrt(x * x + 1)")
acosh = elementwise("acosh", "acosh(x)", dx="dy / sqrt(x * x - 1)")
atanh = elementwise("atanh", "atanh(x)", dx="dy / (1 - x * x)")

tanh = elementwise("tanh", "tanh(x)", dx="dy * (1 - y * y)")
logistic = elementwise("logistic", "logistic(x)", dx="dy * y * (1 - y)", doc="1 / (1 + exp(-x)), without overflow.")
log_sigmoid = elementwise(
    "log_sigmoid",
    "minimum(x, 0) - log1p(exp(-abs(x)))",
    dx="dy * logistic(-x)",
    doc="ln logistic(x), without overflow.",
)
softsign = elementwise("softsign", "x / (1 + abs(x))", dx="dy / ((1 + abs(x)) * (1 + abs(x)))")
rectify = elementwise("rectify", "maximum(x, 0)", dx="dy if x > 0 else 0", doc="The gradient at 0 is 0.")
elu = elementwise(
    "elu", "x if x > 0 else alpha * expm1(x)", dx="dy if x > 0 else dy * (y + alpha)", alpha=1.0,
    doc="Clevert, Unterthiner, Hochreiter 2016. The gradient at 0 is alpha.",
)  # fmt: skip
selu = elementwise(
    "selu", "1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * expm1(x))",
    dx="dy * 1.0507009873554805 if x > 0 else dy * (y + 1.7580993408473766)",
    doc="Klambauer, Unterthiner, Mayr, Hochreiter 2017.",
)  # fmt: skip
silu = elementwise(
    "silu", "x * logistic(beta * x)", beta=1.0,
    dx="dy * (logistic(beta * x) + beta * y * (1 - logistic(beta * x)))",
    doc="Elfwing, Uchibe, Doya 2018.",
)  # fmt: skip

ZERO, STRAIGHT_THROUGH = "zero_gradient", "straight_through_gradient"


def _by_mode(
    modes: dict[str, Callable[[Expression], Expression]], name: str, doc: str
) -> Callable[[Expression, str], Expression]:
    """A function whose second argument chooses between the two gradients."""

    def function(x: Expression, gradient_mode: str) -> Expression:
        try:
            operation = modes[gradient_mode]
        except KeyError:
            raise ValueError(
                f"{name}: gradient_mode must be {ZERO!r} or {STRAIGHT_THROUGH!r}, got {gradient_mode!r}"
            ) from None
        return operation(x)

    name_function(function, name, f"{doc} The gradient is 0 ({ZERO!r}) or that of the identity ({STRAIGHT_THROUGH!r}).")
    return function


def _rounding(name: str, formula: str, doc: str) -> Callable[[Expression, str], Expression]:
    """One elementwise operation for each gradient mode."""
    modes = {
        mode: elementwise(f"{name}_{mode}", formula, dx=dx) for mode, dx in ((ZERO, "0 * dy"), (STRAIGHT_THROUGH, "dy"))
    }
    return _by_mode(modes, name, doc)


round = _rounding("round", "round_half_away(x)", "The nearest integer, halves away from zero.")
ceil = _rounding("ceil", "ceil(x)", "The smallest integer not below x.")
floor = _rounding("floor", "floor(x)", "The largest integer not above x.")


class Argmax(Operation):
    """One-hot of the first maximum along the first axis."""

    name = "argmax"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        return Signature(
            self,
            operands,
            attributes,
            (shape_of(operands[0].dims, operands[0].batch),),
            flags=BLOCKS if attributes == (ZERO,) else 0,
        )

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        x = operands[0]
        rows = np.arange(x.shape[0]).reshape((-1,) + (1,) * (x.ndim - 1))
        return ((rows == x.argmax(axis=0)).astype(x.dtype),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        return (None if call.attributes == (ZERO,) else gradients[0],)


_argmax = Argmax()
argmax = _by_mode(
    {mode: unary_function(_argmax, (mode,)) for mode in (ZERO, STRAIGHT_THROUGH)},
    "argmax",
    "1 at the first maximum of each column, 0 elsewhere.",
)
