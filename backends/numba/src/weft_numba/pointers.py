"""Raw memory and C calls inside compiled functions: addresses are int64 arguments, never constants.

All functions here are for compiled code; called from Python they raise `NotImplementedError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

from llvmlite import ir
from numba import extending, types
from numba.core import cgutils

from .cache import KERNEL_FASTMATH, cached_cfunc

KERNEL = types.void(types.int64, types.int64, types.int64)
"""Signature of every kernel: the address of its job, the first row, the number of rows."""

# For type checkers an intrinsic is what compiled code makes of it, not its typing function.
intrinsic: Callable[[Callable[..., Any]], Any] = extending.intrinsic

_BITS32 = ir.IntType(32)
_BITS64 = ir.IntType(64)
_BYTE_POINTER = ir.IntType(8).as_pointer()
_FLOAT = ir.FloatType()
_compiled: list[Any] = []


def _typed_pointer(name: str, element: types.Type, doc: str) -> Any:
    def typing(typingctx: Any, address: types.Type) -> Any:
        if not isinstance(address, types.Integer):
            return None

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return types.CPointer(element)(types.int64), generate

    typing.__name__ = typing.__qualname__ = name
    typing.__doc__ = doc
    return intrinsic(typing)


floats = _typed_pointer("floats", types.float32, "The float32 array at an address: `floats(a)[i]`.")
doubles = _typed_pointer("doubles", types.float64, "The float64 array at an address.")
integers = _typed_pointer("integers", types.int64, "The int64 array at an address.")
indices = _typed_pointer("indices", types.int32, "The int32 array at an address.")
bytes_at = _typed_pointer("bytes_at", types.uint8, "The uint8 array at an address.")


@intrinsic
def call_kernel(typingctx: Any, address: Any, job: Any, start: Any, count: Any) -> Any:
    """Call the `KERNEL` function at `address`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        function_type = ir.FunctionType(ir.VoidType(), [_BITS64] * 3)
        builder.call(builder.inttoptr(arguments[0], function_type.as_pointer()), arguments[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), generate


@intrinsic
def bits_to_float(typingctx: Any, bits: Any) -> Any:
    """The float32 that has these 32 bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], _FLOAT)

    return types.float32(types.int32), generate


@intrinsic
def float_to_bits(typingctx: Any, value: Any) -> Any:
    """The 32 bits of a float32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], _BITS32)

    return types.int32(types.float32), generate


def _bytes_of_floats(builder: Any, count: Any) -> Any:
    return builder.shl(count, ir.Constant(_BITS64, 2))


@intrinsic
def copy_floats(typingctx: Any, dst_address: Any, src_address: Any, n: Any) -> Any:
    """Copy `n` floats; the two ranges must not overlap."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        dst, src = (builder.inttoptr(address, _BYTE_POINTER) for address in arguments[:2])
        cgutils.raw_memcpy(builder, dst, src, arguments[2], 4, align=4)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), generate


@intrinsic
def zero_floats(typingctx: Any, dst_address: Any, n: Any) -> Any:
    """Set `n` floats to zero."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        dst = builder.inttoptr(arguments[0], _BYTE_POINTER)
        cgutils.memset(builder, dst, _bytes_of_floats(builder, arguments[1]), 0)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 2), generate


def compile_kernel(function: Callable[..., None], fastmath: Iterable[str] = KERNEL_FASTMATH) -> int:
    """Compile or load a `KERNEL` function and return its address, valid as long as the process lives."""
    compiled = cached_cfunc(function, KERNEL, fastmath=set(fastmath))
    _compiled.append(compiled)
    return cast(int, compiled.address)
