"""Inputs of which only some elements are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from ..errors import ShapeError
from ..graph import current
from ..shape import as_dims, shape_of
from .inputs import InputExpression, check_indices, record_input


class SparseInputExpression(InputExpression):
    """An input made of some of its elements; it cannot be set."""

    __slots__ = ()

    def set(self, value: Any) -> NoReturn:
        """Refused: raises ValueError."""
        raise ValueError("set() of a sparse input: its elements are fixed; make a new one, or use inputTensor")


def sparse_inputTensor(
    idxs: Sequence[Sequence[int]],
    values: Sequence[float],
    shape: int | Sequence[int],
    batched: bool = False,
    defval: float = 0,
    device: str = "",
) -> SparseInputExpression:
    """A tensor with `values[n]` at `(idxs[0][n], idxs[1][n], ...)` and `defval` elsewhere.

    `idxs` has one list of indices for each axis of `shape`; where an element is named twice, the last value counts.
    `batched=True`: the last axis is the batch. The elements that are not given take memory, too.
    Raises `ShapeError` where numbers of axes, indices and values differ, `IndexValueError` outside of an axis.
    """
    dims = as_dims(shape)
    if len(idxs) != len(dims):
        raise ShapeError(f"sparse_inputTensor: {len(idxs)} lists of indices for the shape {dims}; give one per axis")
    numbers = np.asarray(values, np.float32)
    if numbers.ndim != 1:
        raise ShapeError(f"sparse_inputTensor: values must be a flat list, got an array of shape {numbers.shape}")
    counts = [len(ids) for ids in idxs]
    if any(count != len(numbers) for count in counts):
        raise ShapeError(
            f"sparse_inputTensor: {len(numbers)} values with {counts} indices; every axis needs one index per value"
        )
    examples = shape_of(dims[:-1] or (1,), dims[-1]) if batched else shape_of(dims)
    places = [check_indices("sparse_inputTensor", ids, size) for ids, size in zip(idxs, dims, strict=True)]
    array = np.full(dims, defval, np.float32)
    array[tuple(places)] = numbers
    recorded = record_input(current(), examples, array.tobytes(order="F"))
    expression = SparseInputExpression(recorded.graph, recorded.index, recorded.shape)
    expression.start = recorded.start
    return expression
