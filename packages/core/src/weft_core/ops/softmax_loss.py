"""The loss of an output layer with its weights: logits, softmax and negative log-likelihood as one instruction."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import numpy as np

from ..errors import ShapeError
from ..expression import Expression
from ..operation import Array, Attribute, Call, Operation, check_expressions
from ..shape import Shape, shape_of
from ..signature import WHOLE, Signature
from ..symbol import Symbol
from .inputs import check_indices
from .losses import pickneglogsoftmax_batch
from .products import affine_transform, multiply


class SoftmaxLoss(Operation):
    """`ln sum exp(W x + b) - (W x + b)_v` with parameters W and b; payload: v of every example.

    Saved: `e - sum(e) onehot(v)` with `e = exp(logits - max)`, and `1 / sum(e)`. Their product is the gradient of the
    logits, and so is the product with the gradient of the loss: no pass over the logits is needed to scale them.
    """

    name = "softmax_loss"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        raise TypeError(f"{self.name}: signatures come from bind()")

    def bind(self, x: Shape, weight: Shape, bias: Shape | None) -> Signature:
        """The signature for these shapes, which `check_shapes` has passed."""
        entry = self.table.get((x, weight, bias))
        if entry is not None:
            return entry[2]
        parameters = (weight,) if bias is None else (weight, bias)
        number, logits = shape_of((1,), x.batch), shape_of((weight.rows,), x.batch)
        made = Signature(
            self, (x,), (), (number,), saved=(logits, number), payload=x.batch, flags=WHOLE, parameters=parameters
        )
        self.table[x, weight, bias] = made.id, number, made
        return made

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        x, weight = operands[0].reshape((-1, operands[0].shape[-1])), operands[1][..., 0]
        logits = np.einsum("vd,dn->vn", weight, x)
        if len(operands) > 2:
            logits = logits + operands[2].reshape((-1, 1))
        shifted = logits - logits.max(axis=0)
        exponentials = np.exp(shifted)
        total = exponentials.sum(axis=0)
        loss = np.log(total) - np.take_along_axis(shifted, call.indices()[None], axis=0)
        exponentials[call.indices(), np.arange(len(total))] -= total
        return loss, exponentials, 1 / total[None]

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        x, weight = operands[0].reshape((-1, operands[0].shape[-1])), operands[1][..., 0]
        dlogits = results[1] * (results[2] * gradients[0])
        dx = np.einsum("vd,vn->dn", weight, dlogits).reshape(operands[0].shape)
        dweight = (dlogits @ x.T)[..., None]
        return dx, dweight, *(dlogits.sum(axis=1).reshape(b.shape) for b in operands[2:])


_softmax_loss = SoftmaxLoss()
_new = object.__new__
# Signature id, result shape, examples and classes by the shapes of weight, operand and bias.
_forms: dict[Shape, dict[Shape, dict[Shape | None, tuple[int, Shape, int, int]]]] = {}


def softmax_loss(x: Expression, v: int | Sequence[int], W: Expression, b: Expression | None = None) -> Expression:
    """`ln sum exp(W x + b) - (W x + b)_v`, the negative log-likelihood of class `v` under `softmax(W x + b)`.

    The same number as `pickneglogsoftmax(affine_transform([b, W, x]), v)`. With parameters `W {V,D}` and `b {V}` this
    is one instruction, whose logits never leave the cache; `x {D}` may be a batch, `v` is then a list of one class per
    example, and the result is `{1}` per example. dx = W^T dy (softmax(W x + b) - onehot(v)).

    Raises `ShapeError` where shapes or the number of classes do not fit, `IndexValueError` for a class that W has no
    row for.
    """
    try:
        sid, shape, examples, classes = _forms[W.shape][x.shape][b if b is None else b.shape]
    except (KeyError, AttributeError):
        check_expressions("softmax_loss", (x, W) if b is None else (x, W, b))
        check_shapes(x.shape, W.shape, None if b is None else b.shape)
        if W.shape.parameter < 0 or x.shape.parameter >= 0 or (b is not None and b.shape.parameter < 0):
            return _composed(x, v, W, b)
        signature = _softmax_loss.bind(x.shape, W.shape, None if b is None else b.shape)
        sid, shape, examples, classes = signature.id, signature.results[0], x.shape.batch, W.shape.rows
        by_operand = _forms.setdefault(W.shape, {}).setdefault(x.shape, {})
        by_operand[None if b is None else b.shape] = sid, shape, examples, classes
    if isinstance(v, (int, Symbol)) and examples == 1 and 0 <= v < classes:
        payload: Sequence[int] = (v,)
    else:
        payload = _classes(v, examples, classes)
    result: Expression = _new(Expression)
    result.graph = graph = x.graph
    result.shape = shape
    code = graph.code
    result.index = len(code)
    code.append(sid)
    code.append(x.index)
    code.extend(payload)
    return result


def check_shapes(x: Shape, weight: Shape, bias: Shape | None) -> None:
    """Raise `ShapeError` unless x is a vector that the weights can be multiplied with, and the bias has their rows."""
    if not x.is_vector or len(weight.dims) != 2 or weight.dims[1] != x.rows or weight.batch != 1:
        raise ShapeError(
            f"softmax_loss: the weights {weight} times {x} give no vector of logits; x is a vector {{D}}, "
            "and the weights are {V,D} for V classes"
        )
    if bias is not None and (not bias.is_vector or bias.rows != weight.rows or bias.batch != 1):
        raise ShapeError(f"softmax_loss: the bias {bias} must have one number per class, {{{weight.rows}}}")


def _classes(v: int | Sequence[int], examples: int, classes: int) -> list[int]:
    """One valid class per example."""
    try:
        given = [operator.index(one) for one in (v if hasattr(v, "__iter__") else (v,))]
    except TypeError:
        raise TypeError(f"softmax_loss takes a class as an int, or a list of them for a batch, got {v!r}") from None
    if len(given) != examples:
        raise ShapeError(
            f"softmax_loss: {len(given)} classes for {examples} examples; give one class per example, "
            "as a list where x is a batch"
        )
    return check_indices("softmax_loss", given, classes)


def _composed(x: Expression, v: int | Sequence[int], W: Expression, b: Expression | None) -> Expression:
    """The loss of weights that are computed, or of an operand that is a parameter."""
    logits = multiply(W, x) if b is None else affine_transform([b, W, x])
    return pickneglogsoftmax_batch(logits, _classes(v, x.shape.batch, W.shape.rows))
