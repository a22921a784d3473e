"""Kernel of ranges of axes."""

from __future__ import annotations

from weft_core.ops.axes import stride
from weft_core.ops.indexing import StridedSelect
from weft_core.signature import Signature

from .lowering import Lowering, lowering
from .moves import Axis, examples, move


@lowering("strided_select")
def lower_strided_select(signature: Signature, plan: Lowering) -> None:
    """Every s-th position of each axis."""
    (y,), (x,), operation = signature.results, signature.operands, signature.operation
    assert isinstance(operation, StridedSelect)
    slices = operation.slices(signature.attributes)
    axes = [Axis(y.dim(axis), stride(y, axis), s.step * stride(x, axis)) for axis, s in enumerate(slices)]
    begin = sum(s.start * stride(x, axis) for axis, s in enumerate(slices))
    move(plan, [*axes, examples(y, x)], operand=begin)
