"""Axes of a shape: which exist, and how they lie in memory."""

from __future__ import annotations

from ..errors import ShapeError
from ..shape import Shape, shape_of


def check_axis(name: str, x: Shape, axis: int) -> None:
    """Raise `ShapeError` unless x has this axis."""
    if not 0 <= axis < len(x.dims):
        raise ShapeError(f"{name}: axis {axis} of {x}; its axes are 0 to {len(x.dims) - 1}")


def stride(x: Shape, axis: int) -> int:
    """How many floats one step along an axis is."""
    return shape_of(x.dims[:axis]).size


def is_slowest(x: Shape, axis: int) -> bool:
    """Whether positions of this axis follow each other in memory: every axis after it has size 1."""
    return all(size == 1 for size in x.dims[axis + 1 :])


def resized(x: Shape, axis: int, size: int) -> tuple[int, ...]:
    """Dims with another size of one axis."""
    return (*x.dims[:axis], size, *x.dims[axis + 1 :])
