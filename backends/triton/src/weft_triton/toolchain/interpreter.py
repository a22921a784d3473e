"""Triton's interpreter, repaired and made fast enough for a hundred thousand tiny launches."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import triton
import triton.language as tl
from triton.language.semantic import TritonSemantic
from triton.runtime import interpreter

INTERPRETED = bool(triton.knobs.runtime.interpret)

_TYPES = {
    "i32": (tl.int32, np.int32),
    "i64": (tl.int64, np.int64),
    "*i32": (tl.pointer_type(tl.int32), np.uint64),
    "*i64": (tl.pointer_type(tl.int64), np.uint64),
    "*fp32": (tl.pointer_type(tl.float32), np.uint64),
}


def repair() -> None:
    """Bring the language into its interpreted form for good, and let it remember what it derives for each operation.

    Triton brings it there before each launch and each call of a device function, and back after each launch, which
    costs milliseconds: most of the time of a small kernel.
    """
    interpreter._patch_lang(SimpleNamespace(__globals__={"tl": tl, "core": tl.core}))
    interpreter._patch_lang = lambda function: SimpleNamespace(restore=lambda: None)
    # Triton 3.6 converts an array of one element, which NumPy refuses from 2.4 on.
    tl.tensor.__index__ = lambda self: int(self.handle.data.item())
    # The check costs seven operations for each one on integers, and reports to assertions that are off.
    interpreter.interpreter_builder.options = interpreter.InterpreterOptions(sanitize_overflow=False)
    interpreter._get_np_dtype = _remembered(interpreter._get_np_dtype)
    _name_conditions()
    _share_shapes()
    tl.multiple_of = tl.core.multiple_of = _multiple_of


def _name_conditions() -> None:
    """Results of comparisons are of one bit.

    Triton 3.9 calls them what was compared, makes whole numbers of a scalar one for a block, and refuses the mask.
    """
    binary_op = interpreter.InterpreterBuilder.binary_op

    def named(self: Any, lhs: Any, rhs: Any, op: Any) -> Any:
        result = binary_op(self, lhs, rhs, op)
        if result.data.dtype == np.bool_:
            result.dtype = tl.int1
        return result

    interpreter.InterpreterBuilder.binary_op = named


def _multiple_of(input: Any, values: Any) -> Any:
    """Check what a kernel promises of an address or an offset: on a device a false promise is a fault, or worse."""
    factor = getattr(values, "value", values)
    number = input.handle.data if isinstance(input, tl.tensor) else np.asarray(input)
    if isinstance(factor, int) and number.size == 1 and number.item() % factor:
        raise ValueError(f"the kernel says that {number.item()} is a multiple of {factor}")
    return input


def _remembered(number_type: Callable[[Any], np.dtype[Any]]) -> Callable[[Any], np.dtype[Any]]:
    """The NumPy type of a Triton type, for which Triton makes a table of all types, twice an operation."""
    known: dict[str, np.dtype[Any]] = {}

    def remembered(element: Any) -> np.dtype[Any]:
        found = known.get(element.name)
        if found is None:
            found = known[element.name] = number_type(element)
        return found

    return remembered


def _share_shapes() -> None:
    """Block types are made once, tensors of one shape share it, and what shares a shape needs no broadcast.

    Types and shapes are never changed; making and comparing them anew is most of what an operation costs.
    """
    make_block, broadcast = tl.block_type.__init__, TritonSemantic.broadcast_impl_value
    blocks: dict[tuple[object, ...], dict[str, Any]] = {}
    shapes: dict[tuple[int, ...], Any] = {}

    def shape_of_tensors(dims: tuple[int, ...]) -> Any:
        if dims not in shapes:
            shapes[dims] = tl.core.tuple([tl.constexpr(size) for size in dims])
        return shapes[dims]

    def block_type(self: Any, element_ty: Any, shape: Any) -> None:
        dims = tuple([getattr(size, "value", size) for size in shape])
        key = (element_ty.name, dims)
        if key not in blocks:
            make_block(self, element_ty, shape)
            blocks[key] = dict(self.__dict__, weft_shape=shape_of_tensors(dims), weft_numel=tl.constexpr(self.numel))
        self.__dict__ = blocks[key]

    scalar_shape, scalar_numel = shape_of_tensors(()), tl.constexpr(1)

    def tensor(self: Any, handle: Any, type: Any) -> None:
        self.handle = handle
        self.type = type
        if type.is_block():
            self.dtype, self.shape, self.numel = type.element_ty, type.weft_shape, type.weft_numel
        else:
            self.dtype, self.shape, self.numel = type.scalar, scalar_shape, scalar_numel

    def broadcast_impl_value(self: Any, lhs: Any, rhs: Any) -> Any:
        return (lhs, rhs) if lhs.shape is rhs.shape else broadcast(self, lhs, rhs)

    tl.block_type.__init__ = block_type
    tl.tensor.__init__ = tensor
    TritonSemantic.broadcast_impl_value = broadcast_impl_value


if INTERPRETED:
    repair()


def interpreted(
    function: Any, arguments: Mapping[str, str], constants: Mapping[str, object], aligned: Collection[str]
) -> Callable[..., None]:
    """A launch of the function, program after program in this thread; integers keep the width of their types."""
    body = function.rewrite()
    builder = interpreter.interpreter_builder
    kinds = [_TYPES[name] for name in arguments.values()]
    promised = [(place, name) for place, name in enumerate(arguments) if name in aligned]

    def scalar(value: int, kind: tuple[Any, Any]) -> Any:
        element, dtype = kind
        return tl.tensor(interpreter.TensorHandle(np.array([value], dtype), element), element)

    def launch(grid: int, *numbers: int) -> None:
        for place, name in promised:
            if numbers[place] % 16:
                raise ValueError(f"{name} of {function.__name__} is said to be a multiple of 16, not {numbers[place]}")
        values = [scalar(value, kind) for value, kind in zip(numbers, kinds, strict=True)]
        builder.set_grid_dim(grid, 1, 1)
        # A device says nothing about numbers that overflow, of which masks drop most.
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            for program in range(grid):
                builder.set_grid_idx(program, 0, 0)
                body(*values, **constants)

    return launch
