"""The one public door for extenders: backends, operations, cells, update rules.

from weft_core.extend import elementwise
mish = elementwise("mish", "x * tanh(log1p(exp(x)))", dx="...")
"""

from __future__ import annotations

from .backend import API_VERSION, Backend, BackendEntry, Execution, hookimpl
from .elementwise import Elementwise, elementwise
from .errors import BackendError, FormulaError, GradientError, IndexValueError, ShapeError, StaleExpression, WeftError
from .gated import Gated, gated
from .gradient_check import GradientCheck, WrongGradient, check_gradient
from .lazy import LazyRows, UpdateLog
from .operation import Array, Attribute, Call, Operation, binary_function, operations, unary_function
from .residence import Movable, Resident
from .rules import Idle, RuleState, UpdateRule
from .shape import Shape, common_batch, drop_axis, shape_of
from .signature import ALIAS, BLOCKS, WHOLE, Signature

__all__ = [
    "ALIAS",
    "API_VERSION",
    "BLOCKS",
    "WHOLE",
    "Array",
    "Attribute",
    "Backend",
    "BackendEntry",
    "BackendError",
    "Call",
    "Elementwise",
    "Execution",
    "FormulaError",
    "Gated",
    "GradientCheck",
    "GradientError",
    "Idle",
    "IndexValueError",
    "LazyRows",
    "Movable",
    "Operation",
    "Resident",
    "RuleState",
    "Shape",
    "ShapeError",
    "Signature",
    "StaleExpression",
    "UpdateLog",
    "UpdateRule",
    "WeftError",
    "WrongGradient",
    "binary_function",
    "check_gradient",
    "common_batch",
    "drop_axis",
    "elementwise",
    "gated",
    "hookimpl",
    "operations",
    "shape_of",
    "unary_function",
]
