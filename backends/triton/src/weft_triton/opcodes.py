"""Opcodes: the device functions that a stream kernel may hold, each by a number made from its name."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import triton

if TYPE_CHECKING:
    from collections.abc import Callable

# Every opcode of the process, `body(words, at, tile, bases, tables, PRECISION)`, by its number.
bodies: dict[int, Any] = {}
_names: dict[int, str] = {}


def opcode(function: Callable[..., Any]) -> Any:
    """Register a Triton function as an opcode; its number depends on its name only, so compiled kernels are found again
    in other processes."""
    return register(triton.jit(function), function.__name__)


def register(body: Any, name: str) -> Any:
    """Register a Triton function under a name that says what it computes."""
    number = zlib.crc32(name.encode()) & 0x7FFFFFFF
    if _names.setdefault(number, name) != name:
        raise ValueError(f"the opcodes {name!r} and {_names[number]!r} have one number; rename one of them")
    bodies[number] = body
    body.opcode = number
    return body


def name_of(number: int) -> str:
    """The name that an opcode was registered by."""
    return _names[number]
