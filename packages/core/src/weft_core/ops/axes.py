"""Axes of a shape: which exist, and how they lie in memory."""

from __future__ import annotations

import operator

from ..errors import ShapeError
from ..shape import Shape, shape_of


def check_axis(name: str, x: Shape, axis: int) -> None:
    """Raise `ShapeError` unless x has this axis."""
    if not 0 <= axis < len(x.dims):
        raise ShapeError(f"{name}: axis {axis} of {x}; its axes are 0 to {len(x.dims) - 1}")


def axis_number(name: str, axis: object) -> int:
    """The axis as an int; raises TypeError for what is no whole number."""
    try:
        return operator.index(axis)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name}: an axis is a whole number, got {type(axis).__name__}") from None


def stride(x: Shape, axis: int) -> int:
    """How many floats one step along an axis is."""
    return shape_of(x.dims[:axis]).size


def is_slowest(x: Shape, axis: int) -> bool:
    """Whether positions of this axis follow each other in memory: every axis after it has size 1."""
    return all(size == 1 for size in x.dims[axis + 1 :])


def resized(x: Shape, axis: int, size: int) -> tuple[int, ...]:
    """Dims with another size of one axis."""
    return (*x.dims[:axis], size, *x.dims[axis + 1 :])
