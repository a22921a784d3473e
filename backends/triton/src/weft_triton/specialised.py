"""Opcodes made of one function and several sets of compile-time constants, such as the shape of its tile."""

from __future__ import annotations

from functools import cache
from typing import Any

from .generated import write_module
from .opcodes import register


@cache
def specialised(function: Any, *constants: int) -> Any:
    """The opcode `function(words, at, tile, bases, tables, PRECISION, *constants)`."""
    name = "_".join([function.fn.__name__, *map(str, constants)])
    arguments = ", ".join(["words", "at", "tile", "bases", "tables", "PRECISION", *map(str, constants)])
    text = f"""\
from {function.fn.__module__} import {function.fn.__name__} as function


@triton.jit
def {name}(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    function({arguments})
"""
    return register(getattr(write_module(f"opcode_{name}", text), name), name)
