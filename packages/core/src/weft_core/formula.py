"""Formulas: elementwise mathematics written once as text and compiled by every backend.

A formula uses numbers, names, `+ - * / **`, comparisons, `a if c else b`, and the functions of `FUNCTIONS`.
A program is one assignment a line. The NumPy meaning below is the reference.
"""

from __future__ import annotations

import ast
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .errors import FormulaError


def _vectorized(function: Callable[[float], float]) -> Callable[[Any], Any]:
    return np.vectorize(function, otypes=[np.float64])


def digamma(x: float) -> float:
    """Derivative of ln Gamma: the asymptotic series at x >= 8 (Abramowitz & Stegun 6.3.18), reached by recurrence."""
    if x <= 0.0:
        if x == math.floor(x):
            return math.nan
        return digamma(1.0 - x) - math.pi / math.tan(math.pi * x)
    result = 0.0
    while x < 8.0:
        result -= 1.0 / x
        x += 1.0
    r = 1.0 / (x * x)
    return result + math.log(x) - 0.5 / x - r * (1 / 12 - r * (1 / 120 - r * (1 / 252 - r * (1 / 240 - r / 132))))


def _logistic(x: Any) -> Any:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def _round_half_away(x: Any) -> Any:
    return np.copysign(np.floor(np.abs(x) + 0.5), x)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": np.abs,
    "acos": np.arccos,
    "acosh": np.arccosh,
    "asin": np.arcsin,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "atanh": np.arctanh,
    "ceil": np.ceil,
    "cos": np.cos,
    "cosh": np.cosh,
    "digamma": _vectorized(digamma),
    "erf": _vectorized(math.erf),
    "exp": np.exp,
    "expm1": np.expm1,
    "floor": np.floor,
    "lgamma": _vectorized(math.lgamma),
    "log": np.log,
    "log1p": np.log1p,
    "logistic": _logistic,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "round_half_away": _round_half_away,
    "sign": np.sign,
    "sin": np.sin,
    "sinh": np.sinh,
    "sqrt": np.sqrt,
    "tan": np.tan,
    "tanh": np.tanh,
    "where": np.where,
}

_NODES = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.Call, ast.Name, ast.Load, ast.Constant, ast.Compare, ast.IfExp,
    ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.USub, ast.UAdd, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq,
    ast.NotEq, ast.BoolOp, ast.And, ast.Or,
)  # fmt: skip


class _Where(ast.NodeTransformer):
    """`a if c else b` means `where(c, a, b)`: both sides are computed, as vector code does."""

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        return ast.Call(ast.Name("where", ast.Load()), [node.test, node.body, node.orelse], [])


def parse(text: str) -> ast.expr:
    """The syntax tree of one formula, conditionals turned into `where`.

    Raises `FormulaError` for anything but numbers, names, arithmetic, comparisons and the known functions.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        raise FormulaError(f"the formula {text!r} is not an expression: {error.msg}") from None
    for node in ast.walk(tree):
        if not isinstance(node, _NODES):
            raise FormulaError(f"the formula {text!r} uses {type(node).__name__}, which no backend can compile")
        if isinstance(node, ast.Call) and (not isinstance(node.func, ast.Name) or node.func.id not in FUNCTIONS):
            raise FormulaError(
                f"the formula {text!r} calls {ast.unparse(node.func)!r}; "
                f"known functions: {', '.join(sorted(FUNCTIONS))}"
            )
        if isinstance(node, ast.Constant) and not isinstance(node.value, (int, float)):
            raise FormulaError(f"the formula {text!r} holds the constant {node.value!r}; only numbers are allowed")
    return _Where().visit(tree).body  # type: ignore[no-any-return]


def names(text: str) -> list[str]:
    """Free names of a formula, in order of appearance."""
    found = [node for node in ast.walk(parse(text)) if isinstance(node, ast.Name)]
    found.sort(key=lambda node: getattr(node, "col_offset", 0))
    return list(dict.fromkeys(node.id for node in found if node.id not in FUNCTIONS))


def assignments(program: str) -> list[tuple[str, str]]:
    """The `(name, formula)` lines of a program."""
    lines = []
    for line in program.strip().splitlines():
        name, _, formula = line.partition("=")
        if not name.strip().isidentifier() or not formula.strip():
            raise FormulaError(f"a line of a program reads `name = formula`, got {line.strip()!r}")
        parse(formula)
        lines.append((name.strip(), formula.strip()))
    return lines


@functools.cache
def numpy_function(
    arguments: tuple[str, ...], program: str, results: tuple[str, ...]
) -> Callable[..., tuple[Any, ...]]:
    """The program as a NumPy function of `arguments` that returns `results`."""
    body = [f"    {name} = {ast.unparse(parse(formula))}" for name, formula in assignments(program)]
    source = f"def function({', '.join(arguments)}):\n" + "\n".join(body) + f"\n    return ({', '.join(results)},)\n"
    space: dict[str, Any] = dict(FUNCTIONS)
    try:
        exec(compile(source, f"<formula {program.strip()!r}>", "exec"), space)  # the text passed parse()
    except SyntaxError as error:
        raise FormulaError(f"the program {program!r} does not compile: {error.msg}") from None
    return space["function"]  # type: ignore[no-any-return]


def check_names(program: str, known: Sequence[str]) -> None:
    """Raise `FormulaError` for a name that is used before it is known."""
    seen = set(known)
    for name, formula in assignments(program):
        for used in names(formula):
            if used not in seen:
                raise FormulaError(
                    f"the formula {formula!r} uses {used!r}; known names here: {', '.join(sorted(seen))}"
                )
        seen.add(name)
