"""Operations that move elements: reshape, transpose, concatenate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import ShapeError
from ..expression import Expression
from ..operation import Array, Attribute, Call, Operation, list_function
from ..shape import MAX_DIMS, Shape, as_dims, common_batch, shape_of
from ..signature import ALIAS, Signature
from .attributes import integer


def memory_flags(x: Shape, shared: bool = True) -> int:
    """ALIAS where the result is a part of the memory of x; a parameter lies elsewhere and is copied."""
    return ALIAS if shared and x.parameter < 0 else 0


class Reshape(Operation):
    """The same memory with other dims; attributes are the new dims and the new batch size."""

    name = "reshape"
    per_node = True

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        dims, batch = attributes
        assert isinstance(dims, tuple) and isinstance(batch, int)
        x, result = operands[0], shape_of(dims, batch)
        if batch == 1 and result.size == x.size:
            result = shape_of(dims, x.batch)
        if result.total != x.total:
            raise ShapeError(
                f"reshape: {x} has {x.total} elements and does not fit into {result}; "
                "give as many elements in total, or as many per example to keep the batch"
            )
        return Signature(self, operands, attributes, (result,), flags=memory_flags(x))

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        return (operands[0].reshape((*call.signature.results[0].dims, -1), order="F"),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        return (gradients[0].reshape((*call.signature.operands[0].dims, -1), order="F"),)


class Transpose(Operation):
    """Axes in another order; attributes: axis `i` of the result is axis `attributes[i]` of the operand."""

    name = "transpose"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        (x,) = operands
        axes = [int(axis) for axis in attributes if isinstance(axis, int)]
        if sorted(axes) != list(range(len(axes))) or not len(x.dims) <= len(axes) <= MAX_DIMS:
            raise ShapeError(f"transpose: {axes} does not name each axis of {x} exactly once")
        result = shape_of(tuple(x.dim(axis) for axis in axes), x.batch)
        # Where only axes of size 1 change place, memory stays: a column and a row are the same numbers.
        moved = [axis for axis in axes if x.dim(axis) > 1]
        return Signature(self, operands, attributes, (result,), flags=memory_flags(x, moved == sorted(moved)))

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        axes = np.array(call.attributes, np.intp)
        x = operands[0]
        full = x.reshape(x.shape[:-1] + (1,) * (len(axes) + 1 - x.ndim) + x.shape[-1:])
        return (full.transpose((*axes, len(axes))),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        back = np.argsort(np.array(call.attributes, np.intp))
        return (gradients[0].transpose((*back, len(back))).reshape((*call.signature.operands[0].dims, -1)),)


class Concatenate(Operation):
    """Operands one after another along the axis that is the attribute; missing trailing axes have size 1."""

    name = "concatenate"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        axis = integer(attributes[0])
        distinct = set(operands)
        ndim = max(axis + 1, *(len(x.dims) for x in distinct))
        others = {tuple(x.dim(k) for k in range(ndim) if k != axis) for x in distinct}
        if len(others) > 1:
            raise ShapeError(
                f"concatenate: operands {' and '.join(map(repr, operands))} "
                f"must have equal dims except along axis {axis}"
            )
        dims = [operands[0].dim(k) for k in range(ndim)]
        dims[axis] = sum(x.dim(axis) for x in operands)
        return Signature(self, operands, attributes, (shape_of(dims, common_batch(self.name, operands)),))

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        result = call.signature.results[0]
        axis, ndim = integer(call.attributes[0]), len(result.dims)
        examples = max(x.shape[-1] for x in operands)
        parts = [x.reshape(x.shape[:-1] + (1,) * (ndim + 1 - x.ndim) + x.shape[-1:]) for x in operands]
        return (np.concatenate([np.broadcast_to(x, (*x.shape[:-1], examples)) for x in parts], axis=axis),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        axis = integer(call.attributes[0])
        ends = np.cumsum([x.dim(axis) for x in call.signature.operands])
        parts = np.split(gradients[0], ends[:-1], axis=axis)
        return tuple(d.reshape((*x.dims, -1)) for d, x in zip(parts, call.signature.operands, strict=True))


class ConcatenateToBatch(Operation):
    """The examples of all operands as one batch."""

    name = "concatenate_to_batch"
    per_node = True

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        dims = operands[0].dims
        if any(x.dims != dims for x in operands):
            raise ShapeError(f"concatenate_to_batch: operands {' and '.join(map(repr, operands))} must have equal dims")
        return Signature(self, operands, attributes, (shape_of(dims, sum(x.batch for x in operands)),))

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        return (np.concatenate(operands, axis=-1),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        ends = np.cumsum([x.batch for x in call.signature.operands])
        return tuple(np.split(gradients[0], ends[:-1], axis=-1))


_reshape, _transpose, _concatenate = Reshape(), Transpose(), Concatenate()
_concatenations = [list_function(_concatenate, (axis,)) for axis in range(MAX_DIMS)]
_below = _concatenations[0]
_to_batch = list_function(ConcatenateToBatch())


def reshape(x: Expression, d: int | Sequence[int], batch_size: int = 1) -> Expression:
    """The same elements, column-major, with dims `d`; nothing is computed.

    The number of elements stays; with `batch_size=1` and as many elements per example, the batch stays.
    Raises `ShapeError` where the numbers of elements differ.
    """
    return _reshape.record((x,), (as_dims(d), int(batch_size)))


def transpose(x: Expression, dims: Sequence[int] = (1, 0)) -> Expression:
    """Axes in another order: axis `i` of the result is axis `dims[i]` of x; a vector counts as one column.

    Raises `ShapeError` unless `dims` names each axis once.
    """
    return _transpose.record((x,), tuple(int(axis) for axis in dims))


def concatenate(xs: Sequence[Expression], d: int = 0) -> Expression:
    """Expressions one after another along axis `d`.

    Missing trailing axes have size 1, a batch of 1 is repeated.

    Raises ValueError for an empty list, `ShapeError` where the other dims differ.
    """
    if d == 0:
        return _below(xs)
    if not 0 < d < MAX_DIMS:
        raise ShapeError(f"concatenate: the axis must be in 0 to {MAX_DIMS - 1}, got {d}")
    return _concatenations[d](xs)


def concatenate_cols(xs: Sequence[Expression]) -> Expression:
    """Expressions side by side: `concatenate(xs, 1)`."""
    return _concatenations[1](xs)


def concatenate_to_batch(xs: Sequence[Expression]) -> Expression:
    """One batch of all examples of expressions with equal dims.

    Raises ValueError for an empty list, `ShapeError` where dims differ.
    """
    return _to_batch(xs)
