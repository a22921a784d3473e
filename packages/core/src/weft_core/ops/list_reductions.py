"""Reductions of a list of expressions, element by element."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import ShapeError
from ..expression import Expression
from ..operation import Array, Attribute, Call, Operation, check_expressions, check_list, list_function
from ..shape import Shape, common_batch, shape_of
from ..signature import Signature
from .arithmetic import scale


def without_trailing_ones(dims: tuple[int, ...]) -> tuple[int, ...]:
    """Dims up to the last one above 1."""
    while dims and dims[-1] == 1:
        dims = dims[:-1]
    return dims


class ListReduction(Operation):
    """A reduction of a list, element by element.

    Missing trailing axes have size 1, a batch of 1 is repeated.
    """

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        if len({without_trailing_ones(x.dims) for x in operands}) > 1:
            raise ShapeError(
                f"{self.name}: operands {' and '.join(map(repr, operands))} must have equal dims; reshape them first"
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


_esum, _emax, _logsumexp = (
    list_function(SumList()),
    list_function(MaximumList()),
    list_function(LogSumExpList()),
)


def esum(xs: Sequence[Expression]) -> Expression:
    """Sum of a list of expressions, one instruction.

    Raises ValueError for an empty list, `ShapeError` where dims differ.
    """
    if xs.__class__ is not list:
        check_list("esum", xs)
    if len(xs) != 1:
        return _esum(xs)
    only = xs[0]
    check_expressions("esum", (only,))
    return only


def average(xs: Sequence[Expression]) -> Expression:
    """Mean of a list of expressions.

    Raises ValueError for an empty list, `ShapeError` where dims differ.
    """
    check_list("average", xs)
    return scale(esum(xs), 1 / len(xs))


def emax(xs: Sequence[Expression]) -> Expression:
    """Maximum of a list of expressions, element by element; the gradient goes to the first that has it.

    Raises ValueError for an empty list, `ShapeError` where dims differ.
    """
    return _emax(xs)


def logsumexp(xs: Sequence[Expression]) -> Expression:
    """`ln(exp(x_0) + exp(x_1) + ...)` element by element, without overflow.

    Raises ValueError for an empty list, `ShapeError` where dims differ.
    """
    return _logsumexp(xs)
