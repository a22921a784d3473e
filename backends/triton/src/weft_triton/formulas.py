"""From formula text to Triton source: float32 arithmetic on blocks, one name `v_<name>` per value."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from weft_core.formula import FUNCTIONS, assignments, numpy_function, parse

IMPORTS = """\
import triton
import triton.language as tl

"""
"""What every generated module begins with."""

# Those of the language that mean what NumPy means; the others are device functions of `mathematics`.
_BUILT_IN = {"abs", "ceil", "erf", "exp", "floor", "log", "maximum", "minimum", "sqrt"}
# By default Triton's extremes drop a NaN; NumPy's keep it.
_EXTREMES = {"maximum", "minimum"}

SMALLEST_NORMAL, LARGEST = 2.0**-126, (2.0 - 2.0**-23) * 2.0**127


@dataclass
class Source:
    """Renders formulas and remembers which functions of `mathematics` they call."""

    functions: set[str] = field(default_factory=set)

    def expression(self, formula: str) -> str:
        """The formula over names `v_<name>`, with the constants folded: without names it is a Python number."""
        return ast.unparse(ast.fix_missing_locations(_Render(self).visit(parse(formula))))

    def lines(self, program: str, indent: str) -> list[str]:
        """One assignment a line of the program."""
        return [f"{indent}v_{name} = {self.expression(formula)}" for name, formula in assignments(program)]

    def header(self) -> str:
        """The import of the functions used so far, as module globals; to be put below `IMPORTS`."""
        if not self.functions:
            return ""
        rows = [f"    {name} as {name}_," for name in sorted(self.functions)]
        return "\n".join(["from weft_triton.mathematics import (", *rows, ")"]) + "\n"


class _Render(ast.NodeTransformer):
    def __init__(self, source: Source) -> None:
        self.source = source

    def visit(self, node: ast.AST) -> Any:
        # Triton computes with Python numbers in other types than with blocks, so nothing is left to compute of them.
        if isinstance(node, ast.expr) and _is_constant(node):
            return _number(_constant(node))
        return super().visit(node)

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Name(f"v_{node.id}", ast.Load())

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        # Triton's blocks have no unary plus.
        operand: ast.expr = self.visit(node.operand)
        return operand if isinstance(node.op, ast.UAdd) else ast.UnaryOp(node.op, operand)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        assert isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS
        name = node.func.id
        if name == "where":
            return self._choice(*node.args)
        arguments = [self.visit(a) for a in node.args]
        if name not in _BUILT_IN:
            return self._mathematics(name, arguments)
        keywords = [ast.keyword("propagate_nan", _written("tl.PropagateNan.ALL"))] if name in _EXTREMES else []
        return ast.Call(_written(f"tl.{name}"), arguments, keywords)

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        left, exponent = self.visit(node.left), node.right
        if not isinstance(node.op, ast.Pow):
            return ast.BinOp(left, node.op, self.visit(node.right))
        if isinstance(exponent, ast.Constant) and exponent.value in (2, 3):
            square = ast.BinOp(left, ast.Mult(), left)
            return square if exponent.value == 2 else ast.BinOp(square, ast.Mult(), left)
        # A device function needs values of the device, not Python numbers.
        return self._mathematics("pow", [_on_device(left), _on_device(self.visit(exponent))])

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        # a < b < c is a < b and b < c: Triton compares two.
        sides = [self.visit(side) for side in (node.left, *node.comparators)]
        pairs = zip(sides, node.ops, sides[1:], strict=False)
        return _combined([ast.Compare(a, [op], [b]) for a, op, b in pairs], ast.BitAnd())

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        # Conditions are data, not control flow: both sides are computed.
        conditions = [self._condition(value) for value in node.values]
        return _combined(conditions, ast.BitAnd() if isinstance(node.op, ast.And) else ast.BitOr())

    def _condition(self, node: ast.expr) -> ast.expr:
        rendered: ast.expr = self.visit(node)
        if isinstance(rendered, (ast.Compare, ast.BinOp)) and isinstance(node, (ast.Compare, ast.BoolOp)):
            return rendered
        return ast.Compare(rendered, [ast.NotEq()], [ast.Constant(0.0)])

    def _choice(self, condition: ast.expr, x: ast.expr, y: ast.expr) -> ast.expr:
        if _is_constant(condition):
            chosen: ast.expr = self.visit(x if _constant(condition) else y)
            return chosen
        return ast.Call(_written("tl.where"), [self._condition(condition), self.visit(x), self.visit(y)], [])

    def _mathematics(self, name: str, arguments: list[ast.expr]) -> ast.expr:
        self.source.functions.add(name)
        return ast.Call(ast.Name(f"{name}_", ast.Load()), arguments, [])


def _is_constant(node: ast.expr) -> bool:
    return all(n.id in FUNCTIONS for n in ast.walk(node) if isinstance(n, ast.Name))


def _constant(node: ast.expr) -> float:
    with np.errstate(all="ignore"):
        (value,) = numpy_function((), f"y = {ast.unparse(node)}", ("y",))()
    return float(value)


def _number(number: float) -> ast.expr:
    """A constant that Triton takes for a float32.

    A Python number outside the normal range of float32 is a float64 to it, which widens the blocks that it meets.
    """
    if SMALLEST_NORMAL <= abs(number) <= LARGEST:
        return ast.Constant(number)
    with np.errstate(over="ignore"):
        rounded = float(np.float32(number))
    return _on_device(ast.Constant(rounded)) if 0.0 < abs(rounded) < SMALLEST_NORMAL else ast.Constant(rounded)


def _on_device(node: ast.expr) -> ast.expr:
    return _written(f"tl.full([], {ast.unparse(node)}, tl.float32)") if isinstance(node, ast.Constant) else node


def _written(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _combined(conditions: list[ast.expr], operator: ast.operator) -> ast.expr:
    result = conditions[0]
    for condition in conditions[1:]:
        result = ast.BinOp(result, operator, condition)
    return result
