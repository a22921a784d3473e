"""Symbols: what a whole number among the settings of a cell is while the cell is traced.

A function that hands the number on as an index, and compares it with bounds at most, is the same for all numbers
within these bounds: one trace serves them all. Whatever else is done with it escapes, and the trace is for this number.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any


class Symbol:
    """Number `value`, the `number`-th of its call; `low <= value < high` are the bounds that comparisons showed."""

    __slots__ = ("escaped", "high", "low", "number", "value")

    def __init__(self, value: int, number: int) -> None:
        self.value = value
        self.number = number
        self.low, self.high = -math.inf, math.inf
        self.escaped = False

    def __lt__(self, other: Any) -> bool:
        return self._compared(other, 0, True)

    def __ge__(self, other: Any) -> bool:
        return self._compared(other, 0, False)

    def __le__(self, other: Any) -> bool:
        return self._compared(other, 1, True)

    def __gt__(self, other: Any) -> bool:
        return self._compared(other, 1, False)

    def _compared(self, other: Any, more: int, below: bool) -> bool:
        """`value < other + more`, or its contrary."""
        if other.__class__ is not int:
            self.escaped = True
            return (self.value < other + more) is below
        bound = other + more
        if self.value < bound:
            self.high = min(self.high, bound)
        else:
            self.low = max(self.low, bound)
        return (self.value < bound) is below

    def __getattr__(self, name: str) -> Any:
        self.escaped = True
        return getattr(self.value, name)


def _escaping(function: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Symbol, *others: Any) -> Any:
        self.escaped = True
        return function(self.value, *others)

    return method


def _reflected(function: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Symbol, other: Any) -> Any:
        self.escaped = True
        return function(other, self.value)

    return method


_ALONE = ("abs", "bool", "ceil", "complex", "float", "floor", "format", "hash", "index", "int", "invert", "neg", "pos")
_PAIRS = ("add", "and", "divmod", "floordiv", "lshift", "mod", "mul", "or", "pow", "rshift", "sub", "truediv", "xor")


def _let_escape() -> None:
    """Whatever else a number can do, on the number itself."""
    special: dict[str, Callable[..., Any]] = {
        "complex": complex,
        "float": float,
        "str": str,
        "bool": bool,
        "divmod": divmod,
    }
    special |= {"and": operator.and_, "or": operator.or_}
    for name in (*_ALONE, "repr", "round", "str", "trunc"):
        setattr(Symbol, f"__{name}__", _escaping(special.get(name) or getattr(int, f"__{name}__")))
    for name in [*_PAIRS, "eq", "ne"]:
        function = special.get(name) or getattr(operator, name)
        setattr(Symbol, f"__{name}__", _escaping(function))
        if name in _PAIRS:
            setattr(Symbol, f"__r{name}__", _reflected(function))


_let_escape()


def as_index(value: Any) -> Any:
    """A whole number for the payload of an instruction: an int, or the symbol that stands for one."""
    return value if value.__class__ is Symbol else int(value)
