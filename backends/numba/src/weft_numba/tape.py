"""The tape in compiled code: Python's list of integers, read through functions of CPython's stable interface."""

from __future__ import annotations

import ctypes
from typing import Any

from llvmlite import ir
from numba import types

from weft_core.plan import LARGEST

from .cache import cached_njit
from .pointers import indices, intrinsic

_BITS32 = ir.IntType(32)
_BITS64 = ir.IntType(64)


def python_function(name: str) -> int:
    """Address of a function of the running interpreter; it must be called with the interpreter's lock held."""
    return ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0


@intrinsic
def get_item(typingctx: Any, function: Any, values: Any, index: Any) -> Any:
    """`PyList_GetItem` at the address `function`: a borrowed reference, as an address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = ir.FunctionType(_BITS64, [_BITS64] * 2).as_pointer()
        return builder.call(builder.inttoptr(arguments[0], pointer), arguments[1:])

    return types.int64(*[types.int64] * 3), generate


@intrinsic
def as_integer(typingctx: Any, function: Any, number: Any, overflow: Any) -> Any:
    """`PyLong_AsLongLongAndOverflow` at the address `function`; writes whether it did not fit at `overflow`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = ir.FunctionType(_BITS64, [_BITS64] * 2).as_pointer()
        return builder.call(builder.inttoptr(arguments[0], pointer), arguments[1:])

    return types.int64(*[types.int64] * 3), generate


GET_ITEM, AS_INTEGER = python_function("PyList_GetItem"), python_function("PyLong_AsLongLongAndOverflow")


@cached_njit
def read_list(get: int, convert: int, numbers: int, first: int, end: int, target: int, overflow: int) -> bool:
    """Copy `numbers[first:end]`, integers, to the same places of the 32-bit array `target`; False if one is too large.

    `numbers` is the address of a list; `overflow` that of room for a 32-bit number.
    """
    copy = indices(target)
    too_large = False
    for k in range(first, end):
        number = as_integer(convert, get_item(get, numbers, k), overflow)
        too_large |= number > LARGEST or number < -LARGEST or indices(overflow)[0] != 0
        copy[k] = number
    return not too_large
