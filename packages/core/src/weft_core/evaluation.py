"""Computing several expressions in one go, and the names that DyNet programs expect around a graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .expression import Expression
from .operation import check_expressions, graph_of
from .ops.gradient_control import nobackprop
from .parameters import LookupParameters, Parameters


def forward(exps: Sequence[Expression], recalculate: bool = False) -> None:
    """Compute these expressions, and all that they need, in one plan.

    Raises IndexError for an empty list.
    """
    if not exps:
        raise IndexError("forward() needs at least one expression, got an empty list")
    check_expressions("forward", exps)
    graph_of("forward", exps).forward([e.index for e in exps], recalculate)


def values(exps: Sequence[Expression], recalculate: bool = False) -> list[Any]:
    """`.value()` of each expression, computed in one plan."""
    forward(exps, recalculate)
    return [e.value() for e in exps]


def npvalues(exps: Sequence[Expression], recalculate: bool = False) -> list[NDArray[np.float64]]:
    """`.npvalue()` of each expression, computed in one plan."""
    forward(exps, recalculate)
    return [e.npvalue() for e in exps]


def parameter(*parameters: Any) -> Any:
    """The arguments themselves: parameters are expressions, this call is no longer needed."""
    return parameters[0] if len(parameters) == 1 else parameters


def const_parameter(*parameters: Any) -> Any:
    """Each parameter as a constant: it gets no gradient through this expression. So does any other expression."""
    constants = [
        p.expr(update=False) if isinstance(p, (Parameters, LookupParameters)) else nobackprop(p) for p in parameters
    ]
    return constants[0] if len(constants) == 1 else constants
