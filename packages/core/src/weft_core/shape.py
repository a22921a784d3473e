"""Shapes: dims of one example and the number of examples, interned so that identity is equality."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .errors import ShapeError

MAX_DIMS = 7
# Numbers of one value, all examples together: rows of the arenas are 32-bit integers.
MAX_TOTAL = 2**31 - 1


class Shape:
    """Dims of one example `{d0, d1, ...}` and batch size `B`; column-major, the batch slowest.

    `parameter` is the id of the parameter that owns this shape, or -1. A parameter's shape is
    its own object: so the parameter is part of every signature that it enters.
    """

    __slots__ = ("batch", "dims", "parameter", "size", "total", "trainable")

    def __init__(self, dims: tuple[int, ...], batch: int, parameter: int = -1, trainable: bool = False):
        self.dims = dims
        self.batch = batch
        size = 1
        for d in dims:
            size *= d
        self.size = size
        self.total = size * batch
        self.parameter = parameter
        self.trainable = trainable

    def dim(self, axis: int) -> int:
        """Size of an axis; axes past the last have size 1."""
        return self.dims[axis] if axis < len(self.dims) else 1

    @property
    def rows(self) -> int:
        return self.dim(0)

    @property
    def is_vector(self) -> bool:
        """One axis, or every axis after the first of size 1."""
        return all(d == 1 for d in self.dims[1:])

    def __call__(self) -> tuple[int, ...]:
        """The dims: so `p.shape()` of a parameter reads as in DyNet."""
        return self.dims

    def __repr__(self) -> str:
        text = "{" + ",".join(map(str, self.dims)) + "}"
        return text if self.batch == 1 else f"{text}x{self.batch}"


_interned: dict[tuple[tuple[int, ...], int], Shape] = {}


def shape_of(dims: Sequence[int], batch: int = 1) -> Shape:
    """The one `Shape` of these dims and batch size.

    Raises `ShapeError` for a size below 1, more than 7 dims, or 2**31 numbers and more.
    """
    key = (tuple(dims), batch)
    shape = _interned.get(key)
    if shape is None:
        dims = tuple(int(d) for d in key[0])
        if len(dims) > MAX_DIMS:
            raise ShapeError(f"a shape has at most {MAX_DIMS} dims, got {len(dims)}: {dims}")
        if batch < 1 or any(d < 1 for d in dims):
            raise ShapeError(f"every dim and the batch size must be at least 1, got {dims} with batch {batch}")
        if math.prod(dims) * batch > MAX_TOTAL:
            raise ShapeError(f"a value has at most {MAX_TOTAL} numbers, got dims {dims} with batch {batch}")
        shape = _interned.setdefault((dims, int(batch)), Shape(dims, int(batch)))
        _interned[key] = shape
    return shape


def as_dims(dim: Any) -> tuple[int, ...]:
    """Dims from a number (a vector's length) or a sequence of sizes."""
    if isinstance(dim, str):
        raise TypeError(f"dims must be an int or a sequence of ints, got the str {dim!r}")
    sizes = (dim,) if isinstance(dim, (int, float)) or not hasattr(dim, "__len__") else dim
    try:
        return tuple(int(d) for d in sizes)
    except OverflowError:
        raise ShapeError(f"dims must be finite numbers, got {dim!r}") from None


def common_batch(operation: str, shapes: Sequence[Shape]) -> int:
    """Batch size of a result: operands have the same one, or 1.

    Raises `ShapeError` when two operands have different batch sizes above 1.
    """
    batch = 1
    for shape in shapes:
        if shape.batch != 1:
            if batch not in (1, shape.batch):
                raise ShapeError(
                    f"{operation}: operands have batch sizes {[s.batch for s in shapes]}; "
                    "they must be equal, or 1 to be repeated"
                )
            batch = shape.batch
    return batch


def drop_axis(dims: tuple[int, ...], axis: int) -> tuple[int, ...]:
    """Dims without one axis; the last axis of a vector becomes `{1}`."""
    return dims[:axis] + dims[axis + 1 :] or (1,)
