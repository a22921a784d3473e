"""Pooling: the largest numbers of windows and of lines, and sums of neighbouring rows and columns."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import ShapeError
from ..expression import Expression
from ..operation import Array, Attribute, Call, Operation
from ..shape import Shape, shape_of
from ..signature import Signature
from .attributes import integer
from .axes import check_axis, resized
from .windows import Windows, padded, positions, slide, two_numbers, without_padding


class MaxPooling(Operation):
    """Attributes: rows and columns of the window, strides of both, and whether windows stay inside."""

    name = "maxpooling2d"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        (x,) = operands
        if len(x.dims) not in (2, 3):
            raise ShapeError(
                f"{self.name} takes an image {{rows,columns,channels}} or {{rows,columns}}, got {x}; reshape it"
            )
        rows, columns = self.slide(operands, attributes)
        return Signature(self, operands, attributes, (shape_of((rows.places, columns.places, *x.dims[2:]), x.batch),))

    def slide(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Windows:
        """Where the window goes."""
        height, width, down, right, is_valid = map(integer, attributes)
        return slide(self.name, operands[0], (height, width), (down, right), bool(is_valid))

    def windows(self, signature: Signature) -> Windows:
        """Where the window of these instructions goes."""
        return self.slide(signature.operands, signature.attributes)

    def _met(self, windows: Windows, x: Array) -> Array:
        """What each position of the window meets, row by row: `(positions, *dims of the result, N)`."""
        around = padded(x, windows, -np.inf)
        return np.stack([around[at] for _, _, at in positions(windows)])

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        return (self._met(self.windows(call.signature), operands[0]).max(axis=0),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        (x,), (dy,), windows = operands, gradients, self.windows(call.signature)
        met = self._met(windows, x)
        # The border never wins, not even where all numbers are as small as it is.
        wins = ((met == results[0]) | np.isnan(met)) & np.isfinite(self._met(windows, np.zeros_like(x)))
        winner = wins.argmax(axis=0)
        dx = padded(np.zeros((*x.shape[:-1], dy.shape[-1]), dy.dtype), windows)
        for k, (_, _, at) in enumerate(positions(windows)):
            dx[at] += np.where(winner == k, dy, 0)
        return (without_padding(dx, windows),)


class KMaxPooling(Operation):
    """The largest numbers of each line, in their order. Attributes: the axis, and how many."""

    name = "kmax_pooling"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        (x,), (axis, k) = operands, map(integer, attributes)
        check_axis(self.name, x, axis)
        if not 1 <= k <= x.dims[axis]:
            raise ShapeError(f"{self.name}: k={k} of axis {axis} of {x}; k is 1 to {x.dims[axis]}")
        return Signature(self, operands, attributes, (shape_of(resized(x, axis, k), x.batch),))

    def _positions(self, call: Call, x: Array) -> NDArray[np.intp]:
        """Where they are; of equal numbers the earlier one goes first, and NaN counts as infinity."""
        axis, k = map(integer, call.attributes)
        order = np.argsort(-np.where(np.isnan(x), np.inf, x), axis=axis, kind="stable")
        return np.sort(np.take(order, range(k), axis=axis), axis=axis)

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        (x,), axis = operands, integer(call.attributes[0])
        return (np.take_along_axis(x, self._positions(call, x), axis),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        (x,), (dy,) = operands, gradients
        dx = np.zeros((*x.shape[:-1], dy.shape[-1]), dy.dtype)
        np.put_along_axis(dx, self._positions(call, x), dy, integer(call.attributes[0]))
        return (dx,)


class FoldRows(Operation):
    """Sums of groups of neighbouring rows; the attribute is how many."""

    name = "fold_rows"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        (x,), (group,) = operands, map(integer, attributes)
        if group < 1 or x.rows % group:
            raise ShapeError(f"{self.name}: {x} does not fall into groups of {group} rows; nrows must divide {x.rows}")
        return Signature(self, operands, attributes, (shape_of(resized(x, 0, x.rows // group), x.batch),))

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        x, group = operands[0], integer(call.attributes[0])
        return (x.reshape((-1, group, *x.shape[1:])).sum(axis=1),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        return (np.repeat(gradients[0], integer(call.attributes[0]), axis=0),)


class NeighbourSum(Operation):
    """Sums of neighbouring columns; the attribute is how many."""

    name = "kmh_ngram"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        (x,), (n,) = operands, map(integer, attributes)
        if len(x.dims) != 2 or not 1 <= n <= x.dims[1]:
            raise ShapeError(
                f"{self.name}: sums of v={n} columns of {x}; x is a matrix, and v at least 1 and at most its columns"
            )
        return Signature(self, operands, attributes, (shape_of((x.rows, x.dims[1] - n + 1), x.batch),))

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        (x,), n = operands, integer(call.attributes[0])
        return (np.lib.stride_tricks.sliding_window_view(x, n, axis=1).sum(axis=-1),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        (x,), (dy,) = operands, gradients
        dx = np.zeros((*x.shape[:-1], dy.shape[-1]), dy.dtype)
        for k in range(integer(call.attributes[0])):
            dx[:, k : k + dy.shape[1]] += dy
        return (dx,)


_maxpooling2d, _kmax_pooling, _fold_rows, _kmh_ngram = MaxPooling(), KMaxPooling(), FoldRows(), NeighbourSum()


def maxpooling2d(x: Expression, ksize: Sequence[int], stride: Sequence[int], is_valid: bool = True) -> Expression:
    """The largest number in each window of `ksize` rows and columns; windows are `stride` rows and columns apart.

    x is `{rows,columns,channels}` or `{rows,columns}`, and so is the result, with as many rows and columns as `conv2d`
    has with filters of this size; a border never wins. The gradient goes to the first largest number, row by row.

    Raises `ShapeError` for other shapes, or a window larger than x that must stay inside; ValueError unless `ksize` and
    `stride` are two numbers of at least 1.
    """
    widths, strides = two_numbers("maxpooling2d", "ksize", ksize), two_numbers("maxpooling2d", "stride", stride)
    return _maxpooling2d.record((x,), (*widths, *strides, bool(is_valid)))


def kmax_pooling(x: Expression, k: int, d: int = 1) -> Expression:
    """The `k` largest numbers along axis `d`, which has size k then, in the order in which they stand in x.

    Of equal numbers the earlier ones are taken; NaN counts as infinity. Source: Kalchbrenner et al. 2014.

    Raises `ShapeError` for an axis that x does not have, or k outside of 1 to its size.
    """
    return _kmax_pooling.record((x,), (int(d), operator.index(k)))


def fold_rows(x: Expression, nrows: int = 2) -> Expression:
    """Sums of groups of `nrows` neighbouring rows: `y[i,...] = sum over k < nrows of x[i nrows + k,...]`.

    `{rows,...}` becomes `{rows/nrows,...}`. Source: Kalchbrenner et al. 2014, folding.

    Raises `ShapeError` unless nrows divides the rows.
    """
    return _fold_rows.record((x,), (operator.index(nrows),))


def kmh_ngram(x: Expression, v: int) -> Expression:
    """Sums of `v` neighbouring columns: `y[i,j] = sum over k < v of x[i,j+k]`, `{r,c}` becomes `{r,c-v+1}`.

    Raises `ShapeError` unless x is a matrix of at least v columns, and v at least 1.
    """
    return _kmh_ngram.record((x,), (operator.index(v),))
