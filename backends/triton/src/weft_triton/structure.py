"""Kernels of reshape, transpose and concatenations."""

from __future__ import annotations

from weft_core.ops.attributes import integer
from weft_core.ops.axes import stride
from weft_core.shape import shape_of
from weft_core.signature import Signature

from .lowering import Lowering, lowering
from .moves import Axis, examples, move, turn


@lowering("reshape")
def lower_reshape(signature: Signature, plan: Lowering) -> None:
    """Elements stay in their order."""
    move(plan, [Axis(signature.results[0].total, 1, 1)])


@lowering("transpose")
def lower_transpose(signature: Signature, plan: Lowering) -> None:
    """Axis `i` of the result is axis `attributes[i]` of the operand."""
    (y,), (x,) = signature.results, signature.operands
    axes = [integer(axis) for axis in signature.attributes]
    turned = [Axis(x.dim(axis), stride(y, i), stride(x, axis)) for i, axis in enumerate(axes)]
    turn(plan, [*turned, examples(y, x)])


@lowering("concatenate")
def lower_concatenate(signature: Signature, plan: Lowering) -> None:
    """A part for each operand, one after another along the axis."""
    axis, (y,) = integer(signature.attributes[0]), signature.results
    inner, outer, begin = stride(y, axis), shape_of(y.dims[axis + 1 :]).size, 0
    for k, x in enumerate(signature.operands, 1):
        length = inner * x.dim(axis)
        axes = [Axis(length, 1, 1), Axis(outer, inner * y.dim(axis), length), examples(y, x)]
        move(plan, axes, view=k, result=begin)
        begin += length


@lowering("concatenate_to_batch")
def lower_concatenate_to_batch(signature: Signature, plan: Lowering) -> None:
    """A part for each operand: all of its examples."""
    begin = 0
    for k, x in enumerate(signature.operands, 1):
        move(plan, [Axis(x.total, 1, 1)], view=k, result=begin)
        begin += x.total
