"""Elementwise arithmetic and the operators of expressions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..elementwise import elementwise
from ..errors import ShapeError
from ..expression import Expression
from ..graph import current
from ..operation import Pairs, check_expressions, mixed_graphs, operations
from ..parameters import ParameterExpression
from .products import affine_products, as_vector, multiply

add = elementwise("add", "a + b", da="dy", db="dy")
subtract = elementwise("subtract", "a - b", da="dy", db="-dy")
cmult = elementwise("cmult", "a * b", da="dy * b", db="dy * a")
quotient = elementwise("cdiv", "a / b", da="dy / b", db="-dy * y / b")
negate = elementwise("negate", "-x", dx="-dy")
add_number = elementwise("add_number", "x + c", scalars=("c",), dx="dy")
subtract_from = elementwise("subtract_from", "c - x", scalars=("c",), dx="-dy")
scale = elementwise("scale", "x * c", scalars=("c",), dx="dy * c")
divide_number = elementwise("divide_number", "c / x", scalars=("c",), dx="-dy * y / x")
power_number = elementwise("power_number", "x ** c", scalars=("c",), dx="dy * c * x ** (c - 1)")
power = elementwise("power", "a ** b", da="dy * b * a ** (b - 1)", db="dy * y * log(a)")
bmin = elementwise("bmin", "minimum(a, b)", da="dy if a < b else 0", db="0 if a < b else dy")
bmax = elementwise("bmax", "maximum(a, b)", da="dy if a > b else 0", db="0 if a > b else dy")


def cdiv(x: Expression, y: Expression) -> Expression:
    """`x / y` element by element; each dim of y equals that of x or is 1."""
    return quotient(x, y)


def pow(x: Expression, y: Expression | float) -> Expression:
    """`x ** y`; y is a number or an expression of one element (per example).

    dx = y x**(y-1), dy = sum of x**y ln x (nan for x <= 0).
    """
    if isinstance(y, Expression):
        if y.shape.size != 1:
            raise ShapeError(f"pow: the exponent must have one element per example, got shape {y.shape}")
        # The result has the dims of x, however many axes of size 1 the exponent has.
        return power(x, y if len(y.shape.dims) < 2 else as_vector(y))
    return power_number(x, _number(y))


def colwise_add(x: Expression, y: Expression) -> Expression:
    """`x + y` on every column of the matrix x; y is `{rows}` or `{rows,1}`."""
    check_expressions("colwise_add", (x, y))
    if len(x.shape.dims) != 2 or not y.shape.is_vector or y.shape.rows != x.shape.rows:
        raise ShapeError(f"colwise_add: needs a matrix and a column of as many rows, got {x.shape} and {y.shape}")
    return add(x, y)


def addmv(M: Expression, v: Expression) -> Expression:
    """The vector v added to every column of the matrix M: the name of `colwise_add` in the C++ interface of DyNet."""
    return colwise_add(M, v)


def _number(value: Any) -> float:
    """A Python or NumPy number as float; anything else is refused."""
    if isinstance(value, (int, float)) or (hasattr(value, "__float__") and getattr(value, "ndim", None) == 0):
        return float(value)
    raise TypeError(
        f"operands beside an expression are expressions or numbers, got {type(value).__name__}; "
        "use inputTensor for arrays"
    )


def _operator(
    name: str, with_number: Callable[[Expression, float], Expression]
) -> Callable[[Expression, Any], Expression]:
    """An operator for two expressions, or an expression and a number; the hot path has no call inside."""
    operation: Any = operations[name]
    table: Pairs = {}
    new = object.__new__

    def operator(x: Expression, y: Any) -> Expression:
        kind = y.__class__
        if kind is float or kind is int:
            return with_number(x, y)
        try:
            sid, shape = table[x.shape][y.shape]
        except (KeyError, AttributeError):
            if not isinstance(y, Expression):
                return with_number(x, _number(y))
            sid, shape, _ = operation.signature((x, y))
            table.setdefault(x.shape, {})[y.shape] = sid, shape
        graph = x.graph or y.graph or current()
        if y.graph is not graph and y.graph is not None:
            raise mixed_graphs(name, graph, y.graph)
        result: Expression = new(Expression)
        result.graph = graph
        result.shape = shape
        code = graph.code
        result.index = len(code)
        code.append(sid)
        code.append(x.index)
        code.append(y.index)
        return result

    return operator


def _multiply(x: Expression, y: Any) -> Expression:
    kind = y.__class__
    if kind is float or kind is int:
        return scale(x, y)
    if isinstance(y, Expression):
        return multiply(x, y)
    return scale(x, _number(y))


def _parameter_times(w: Expression, y: Any) -> Expression:
    """`w * y` for a parameter: after its first use with a shape, one look-up and two appends."""
    try:
        sid, shape = affine_products[w.shape][y.shape]
    except (KeyError, AttributeError):
        return _multiply(w, y)
    product: Expression = object.__new__(Expression)
    product.graph = graph = y.graph
    product.shape = shape
    code = graph.code
    product.index = len(code)
    code.append(sid)
    code.append(y.index)
    return product


def _reflected(function: Callable[[Expression, float], Expression]) -> Callable[[Expression, Any], Expression]:
    def operator(x: Expression, y: Any) -> Expression:
        kind = y.__class__
        return function(x, y if kind is float or kind is int else _number(y))

    return operator


def _power(x: Expression, y: Any) -> Expression:
    return pow(x, y)


def _attach() -> None:
    """Operators of `Expression`; `*` is the matrix product, or scaling by a number."""
    operators: dict[str, Callable[..., Expression]] = {
        "__add__": _operator("add", add_number),
        "__radd__": _reflected(add_number),
        "__sub__": _operator("subtract", lambda x, c: add_number(x, -c)),
        "__rsub__": _reflected(subtract_from),
        "__mul__": _multiply,
        "__rmul__": _reflected(scale),
        "__truediv__": _operator("cdiv", lambda x, c: scale(x, 1.0 / c if c else math.copysign(math.inf, c))),
        "__rtruediv__": _reflected(divide_number),
        "__pow__": _power,
        "__neg__": negate,
    }
    for name, function in operators.items():
        setattr(Expression, name, function)
    ParameterExpression.__mul__ = _parameter_times  # type: ignore[method-assign]


_attach()
