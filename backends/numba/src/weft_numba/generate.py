"""From formula text to compiled source: float32 arithmetic, one name per value."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from weft_core.formula import FUNCTIONS, assignments, parse

IMPORTS = """\
from numba import float32
from weft_core.plan import T_BATCH, T_OPERANDS, T_TABLE
from weft_numba.mathematics import FORMULA_FUNCTIONS
from weft_numba.pointers import floats, integers
from weft_numba.registers import R_DATA
from weft_numba.views import (
    adjacent, batch_stride, gradient, gradients_adjacent, layout, payload, register, scratch, setting, size, total,
    value, view, wants_gradient,
)

"""


@dataclass
class Source:
    """Renders formulas and remembers which functions, constants and names they used."""

    functions: set[str] = field(default_factory=set)
    constants: dict[float, str] = field(default_factory=dict)

    def expression(self, formula: str) -> str:
        """The formula over names `v_<name>`, with float32 constants."""
        return ast.unparse(ast.fix_missing_locations(_Render(self).visit(parse(formula))))

    def lines(self, program: str, indent: str) -> list[str]:
        return [f"{indent}v_{name} = {self.expression(formula)}" for name, formula in assignments(program)]

    def header(self) -> str:
        """Functions and constants as module globals."""
        rows = [f"{name}_ = FORMULA_FUNCTIONS[{name!r}]" for name in sorted(self.functions)]
        rows += [f"{name} = float32({number!r})" for number, name in self.constants.items()]
        return "\n".join(rows) + "\n"


class _Render(ast.NodeTransformer):
    def __init__(self, source: Source) -> None:
        self.source = source

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(f"v_{node.id}", ast.Load())

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        number = float(node.value)  # type: ignore[arg-type]
        return ast.Name(self.source.constants.setdefault(number, f"c_{len(self.source.constants)}"), ast.Load())

    def visit_Call(self, node: ast.Call) -> ast.AST:
        assert isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS
        self.source.functions.add(node.func.id)
        return ast.Call(ast.Name(f"{node.func.id}_", ast.Load()), [self.visit(a) for a in node.args], [])

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        if not isinstance(node.op, ast.Pow):
            self.generic_visit(node)
            return node
        base, exponent = self.visit(node.left), node.right
        if isinstance(exponent, ast.Constant) and exponent.value in (2, 3):
            square = ast.BinOp(base, ast.Mult(), base)
            return square if exponent.value == 2 else ast.BinOp(square, ast.Mult(), base)
        self.source.functions.add("pow")
        return ast.Call(ast.Name("pow_", ast.Load()), [base, self.visit(exponent)], [])

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        # Conditions are data, not control flow: both sides are computed.
        operator: ast.operator = ast.BitAnd() if isinstance(node.op, ast.And) else ast.BitOr()
        values = [self.visit(v) for v in node.values]
        result = values[0]
        for v in values[1:]:
            result = ast.BinOp(result, operator, v)
        return result
