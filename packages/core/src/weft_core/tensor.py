"""Values as tensors: what `tensor_value()` returns, with searches and draws along an axis."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import OperandError, ShapeError
from .initializers import generator
from .shape import Shape


class Tensor:
    """A value, detached from its graph: an array with logical indices, the examples as last axis.

    Every method works along one axis, example by example, and keeps the axis: its size becomes `num`.
    """

    __slots__ = ("_array", "_batched")

    def __init__(self, array: NDArray[Any], shape: Shape) -> None:
        if not isinstance(array, np.ndarray) or not isinstance(shape, Shape) or array.size != shape.total:
            raise OperandError("a Tensor is what tensor_value() of an expression returns; programs do not make one")
        self._array = array.reshape((*shape.dims, shape.batch), order="F")
        self._batched = shape.batch > 1

    def __repr__(self) -> str:
        return f"<Tensor:{'int' if self._is_index else 'float'}>"

    @property
    def _is_index(self) -> bool:
        return self._array.dtype.kind == "i"

    def as_numpy(self) -> NDArray[Any]:
        """The numbers, float64 or int64, shaped like `npvalue()`."""
        plain = self._array if self._batched else self._array[..., 0]
        return plain.astype(np.int64 if self._is_index else np.float64)

    def argmax(self, dim: int = 0, num: int = 1) -> Tensor:
        """Positions of the `num` largest elements along the axis, the largest first, ties by the lower position.

        Raises `ShapeError` for an axis that is not there and for more elements than it has.
        """
        return self.topk(dim, num)[1]

    def topk(self, dim: int = 0, num: int = 1) -> tuple[Tensor, Tensor]:
        """The `num` largest elements along the axis and their positions, largest first, ties by the lower position.

        Raises `ShapeError` for an axis that is not there and for more elements than it has.
        """
        axis = self._axis("topk", dim)
        size = self._array.shape[axis]
        if not 1 <= num <= size:
            raise ShapeError(f"topk: {num} elements of an axis of size {size}; ask for 1 to {size}")
        positions = np.flip(np.argsort(np.flip(self._array, axis), axis=axis, kind="stable"), axis)
        positions = size - 1 - positions.take(range(num), axis)
        return self._like(np.take_along_axis(self._array, positions, axis)), self._like(positions)

    def categorical_sample_log_prob(self, dim: int = 0, num: int = 1) -> Tensor:
        """Positions drawn from the distributions whose log probabilities lie along the axis, `num` draws each.

        Each draw is the position of the largest log p - ln(-ln u), u uniform (Gumbel 1954). Raises `ShapeError` for an
        axis that is not there, and for less than one draw.
        """
        axis = self._axis("categorical_sample_log_prob", dim)
        if num < 1:
            raise ShapeError(f"categorical_sample_log_prob: {num} draws; ask for at least 1")
        logits = np.expand_dims(np.moveaxis(self._array, axis, -1), 0)
        uniform = generator().random((num, *logits.shape[1:]))
        with np.errstate(divide="ignore"):
            positions = np.argmax(logits - np.log(-np.log(uniform)), axis=-1)
        return self._like(np.moveaxis(positions, 0, axis))

    def _axis(self, name: str, dim: int) -> int:
        ndim = self._array.ndim - 1
        if not 0 <= dim < ndim:
            raise ShapeError(f"{name}: there is no axis {dim} in a tensor of {ndim}; use 0 to {ndim - 1}")
        return int(dim)

    def _like(self, array: NDArray[Any]) -> Tensor:
        tensor = Tensor.__new__(Tensor)
        tensor._array, tensor._batched = array, self._batched
        return tensor
