"""Kernels of parts of a value that the payload chooses."""

from __future__ import annotations

from weft_core.ops.attributes import integer
from weft_core.ops.axes import stride
from weft_core.shape import Shape, shape_of
from weft_core.signature import Signature

from .lowering import Lowering, lowering
from .moves import Axis, examples, move


def _behind(x: Shape, axis: int, length: int) -> Axis:
    """The axes behind one that has `length` positions in the result."""
    inner = stride(x, axis)
    return Axis(shape_of(x.dims[axis + 1 :]).size, inner * length, inner * x.dims[axis])


@lowering("pick")
def lower_pick(signature: Signature, plan: Lowering) -> None:
    """One position of the axis, or one for each example."""
    (y,), (x,), axis = signature.results, signature.operands, integer(signature.attributes[0])
    inner = stride(x, axis)
    own = int(signature.payload > 1)
    move(plan, [Axis(inner, 1, 1), _behind(x, axis, 1), examples(y, x, own)], shift=inner)


@lowering("pick_range")
def lower_pick_range(signature: Signature, plan: Lowering) -> None:
    """Neighbours on the axis: the payload says where they begin."""
    (y,), (x,), (axis, size) = signature.results, signature.operands, map(integer, signature.attributes)
    inner = stride(x, axis)
    move(plan, [Axis(inner * size, 1, 1), _behind(x, axis, size), examples(y, x)], shift=inner)


@lowering("select")
def lower_select(signature: Signature, plan: Lowering) -> None:
    """Every position is a number of the payload."""
    (y,), (x,), (axis, size) = signature.results, signature.operands, map(integer, signature.attributes)
    inner = stride(x, axis)
    chosen = Axis(size, inner, 0, 1)
    move(plan, [Axis(inner, 1, 1), chosen, _behind(x, axis, size), examples(y, x)], shift=inner)


@lowering("pick_batch_elems")
def lower_pick_batch_elements(signature: Signature, plan: Lowering) -> None:
    """Every example is a number of the payload."""
    (x,) = signature.operands
    move(plan, [Axis(x.size, 1, 1), Axis(signature.payload, x.size, 0, 1)], shift=x.size)
