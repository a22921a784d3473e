"""Operations that change only the gradient: their value is the operand."""

from __future__ import annotations

from ..elementwise import Elementwise, elementwise
from ..expression import Expression
from ..operation import Attribute, name_function, unary_function
from ..shape import Shape, shape_of
from ..signature import BLOCKS, Signature


class Blocking(Elementwise):
    """An elementwise operation that passes no gradient; the planner leaves out what only it would need."""

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        (x,) = operands
        return Signature(self, operands, attributes, (shape_of(x.dims, x.batch),), flags=BLOCKS)


nobackprop = unary_function(Blocking("nobackprop", "x", {"x": "0 * dy"}, {}))
name_function(nobackprop, "nobackprop", "The value x; no gradient passes to x.")

flip_gradient = elementwise("flip_gradient", "x", dx="-dy", doc="The value x; the gradient changes its sign.")
_scale_gradient = elementwise("scale_gradient", "x", scalars=("c",), dx="dy * c")


def scale_gradient(x: Expression, lambd: float = 1.0) -> Expression:
    """The value x; its gradient is `lambd` times that of the result."""
    return _scale_gradient(x, float(lambd))
