"""Parameters, look-up tables, and the collections that name them."""

from __future__ import annotations

import operator
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import text_model
from .errors import GradientError, IndexValueError, ShapeError
from .expression import Expression, shaped
from .files import PathLike
from .graph import current
from .initializers import real_array
from .ops.inputs import LookupExpression, lookup_batch, lookup_operation
from .shape import Shape
from .store import (
    DenseSlot,
    Floats,
    LookupTable,
    ParameterStore,
    parameter_gradients,
    parameter_values,
    seen_gradients,
    seen_values,
)


class TableShape(Shape):
    """Shape of a look-up table as an expression, `row dims + (rows,)`; called, it gives the rows first."""

    __slots__ = ()

    def __call__(self) -> tuple[int, ...]:
        return self.dims[-1:] + self.dims[:-1]


_new = object.__new__


class ParameterExpression(Expression):
    """A value that lives in a parameter store, not on a tape: valid in every graph, never stale."""

    __slots__ = ()

    def __init__(self, shape: Shape) -> None:
        self.graph = None  # type: ignore[assignment]
        self.index = -1 - shape.parameter
        self.shape = shape

    def dim(self) -> tuple[tuple[int, ...], int]:
        """Dims and the batch size, which is 1."""
        return self.shape.dims, 1

    def _flat(self, recalculate: bool) -> Floats:
        return seen_values(self.shape.parameter).copy()

    def forward(self, recalculate: bool = False) -> None:
        """Nothing to compute: the value is there."""

    def scalar_value(self, recalculate: bool = False) -> float:
        """The value of a parameter with one element; raises `ShapeError` when it has more."""
        if self.shape.total != 1:
            raise ShapeError(
                f"scalar_value() needs exactly one element, this parameter has shape {self.shape}; use npvalue()"
            )
        return float(seen_values(self.shape.parameter)[0])

    def backward(self, full: bool = False) -> None:
        """Add 1 to the gradient of a parameter with one element; raises ValueError when it has more."""
        if self.shape.total != 1:
            raise ValueError(f"backward() starts from one number, this parameter has shape {self.shape}; sum it first")
        if self.shape.trainable:
            parameter_gradients(self.shape.parameter)[0] += 1

    def gradient(self) -> NDArray[np.float64]:
        """The gradient accumulated since the last update, shaped like `npvalue()`.

        Raises `GradientError` for a constant, which has none.
        """
        if not self.shape.trainable:
            raise GradientError(
                "a constant use of a parameter has no gradient; use the parameter itself, or expr(update=True)"
            )
        return shaped(seen_gradients(self.shape.parameter), self.shape)


class StoredParameter(ParameterExpression):
    """What `Parameters` and `LookupParameters` have in common."""

    __slots__ = ("_constant", "_name", "_slot", "_store")

    _slot: DenseSlot | LookupTable

    def __init__(
        self, store: ParameterStore, slot: DenseSlot | LookupTable, name: str, make: Callable[..., Shape]
    ) -> None:
        super().__init__(make(parameter=slot.id, trainable=True))
        self._constant = ParameterExpression(make(parameter=slot.id, trainable=False))
        self._store = store
        self._slot = slot
        self._name = slot.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name} {self.shape!r}>"

    def __getstate__(self) -> Any:
        raise TypeError(
            "parameters belong to their collection and cannot be pickled or copied; save them with save_parameters()"
        )

    @abstractmethod
    def _indexed(self, flat: Floats) -> Floats:
        """A flat array in memory order, with indices as in `as_array()`."""

    @property
    def values(self) -> Floats:
        """A float32 view of the values, indices as in `as_array()`.

        Good until a parameter is added; on a GPU until the next computation, so take it anew after that.
        """
        return self._indexed(parameter_values(self.shape.parameter))

    @property
    def gradients(self) -> Floats:
        """The accumulated gradient itself: a float32 view like `values`."""
        return self._indexed(parameter_gradients(self.shape.parameter))

    def seen_values(self) -> Floats:
        """`values` to read only, which does not take them from a GPU."""
        return self._indexed(seen_values(self.shape.parameter))

    def seen_gradients(self) -> Floats:
        """`gradients` to read only, which does not take them from a GPU."""
        return self._indexed(seen_gradients(self.shape.parameter))

    @property
    def constant_shape(self) -> Shape:
        """The shape of constant uses: those that pass no gradient on."""
        return self._constant.shape

    def name(self) -> str:
        """Full name: that of the collection, and its own."""
        return self._name

    def as_array(self) -> NDArray[np.float64]:
        """A copy of the values; look-up tables have the row first."""
        return self.seen_values().astype(np.float64)

    def grad_as_array(self) -> NDArray[np.float64]:
        """A copy of the gradient accumulated since the last update, indices like `as_array()`."""
        return self.seen_gradients().astype(np.float64)

    def scale(self, s: float) -> None:
        """Multiply the values by `s`."""
        values = self.values
        values *= np.float32(s)

    def is_updated(self) -> bool:
        """Whether trainers change it."""
        return self._slot.updated

    def set_updated(self, b: bool) -> None:
        """Freeze (False) or free it: trainers skip a frozen parameter, whose gradient still accumulates."""
        self._slot.updated = bool(b)

    def save(self, fname: PathLike, key: str = "", append: bool = False) -> None:
        """Write it, and its gradient if that is not zero, as text that DyNet 2.1 reads; `key` replaces its name.

        The file is replaced at the very end, or not at all; `append=True` adds to what it holds. Raises ValueError for
        a key with a blank or `#`, OSError when the file cannot be written.
        """
        text_model.save_parameter(fname, self, key, append)

    def populate(self, fname: PathLike, key: str = "") -> None:
        """Fill it from the record `key` of a text model file; its gradient becomes that of the file.

        Raises ValueError for an empty key; `TextFormatError`, a RuntimeError, when there is no such record, or one of
        other dims: it is then as before.
        """
        text_model.populate_parameter(fname, self, key)

    def write_to_textfile(self, fname: PathLike, key: str = "", append: bool = False) -> None:
        """`save` by its other name."""
        self.save(fname, key, append)

    def populate_from_textfile(self, fname: PathLike, key: str = "") -> None:
        """`populate` by its other name."""
        self.populate(fname, key)


class Parameters(StoredParameter):
    """A trainable tensor; an expression in every graph. `p.shape()` gives its dims."""

    __slots__ = ()

    _slot: DenseSlot

    def __init__(self, store: ParameterStore, slot: DenseSlot, name: str, dims: tuple[int, ...]) -> None:
        super().__init__(store, slot, name, lambda **owned: Shape(dims, 1, **owned))

    def __str__(self) -> str:
        return f"Parameter {self._name}"

    def _indexed(self, flat: Floats) -> Floats:
        return flat.reshape(self.shape.dims, order="F")

    def set_value(self, arr: ArrayLike) -> None:
        """Replace the values; raises `ShapeError` for an array of another shape."""
        array = real_array(arr, f"set_value of {self._name}")
        if array.shape != self.shape.dims:
            raise ShapeError(
                f"set_value: {self._name} has shape {self.shape.dims}, the array {array.shape}; they must be equal"
            )
        self.values[...] = array

    def zero(self) -> None:
        """Values and gradient to zero."""
        self.values.fill(0)
        self.gradients.fill(0)

    def scale_gradient(self, s: float) -> None:
        """Multiply the accumulated gradient by `s`."""
        gradients = self.gradients
        gradients *= np.float32(s)

    def clip_inplace(self, left: float, right: float) -> None:
        """Limit the values to `[left, right]`; raises ValueError when left > right."""
        if not left <= right:
            raise ValueError(f"clip_inplace: left must be at most right, got {left} and {right}")
        values = self.values
        np.clip(values, left, right, out=values)

    def expr(self, update: bool = False) -> ParameterExpression:
        """This parameter as a constant, without gradient; with `update=True` the parameter itself."""
        return self if update else self._constant


class LookupParameters(StoredParameter):
    """A trainable table of rows; `E[i]` and `E.batch(ids)` look rows up, in the current graph.

    As an expression it is the whole table, dims `row dims + (rows,)`; `E.shape()` and the arrays have the row
    first.
    """

    __slots__ = ("_lookup", "row_dims", "rows")

    _slot: LookupTable
    # Signature id and shape of one looked-up row.
    _lookup: tuple[int, Shape]
    row_dims: tuple[int, ...]
    rows: int

    def __init__(self, store: ParameterStore, slot: LookupTable, name: str, row_dims: tuple[int, ...]) -> None:
        self.row_dims = row_dims
        self.rows = slot.rows
        super().__init__(store, slot, name, lambda **owned: TableShape((*row_dims, self.rows), 1, **owned))
        self._lookup = lookup_operation.of_table(self.shape, row_dims, 1)

    def __str__(self) -> str:
        return f"LookupParameter {self._name}"

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, index: int) -> LookupExpression:
        """Row `index`; raises `IndexValueError`, an IndexError, for a row that the table does not have."""
        if index.__class__ is not int or not 0 <= index < self.rows:
            index = self._row(index)
        row: LookupExpression = _new(LookupExpression)
        sid, row.shape = self._lookup
        row.graph = graph = current()
        row.rows = self.rows
        code = graph.code
        row.index = len(code)
        code.append(sid)
        code.append(index)
        return row

    def __iter__(self) -> Iterator[Expression]:
        return (self[i] for i in range(self.rows))

    def batch(self, indices: Iterable[int]) -> LookupExpression:
        """These rows as one batch, one example per index."""
        return lookup_batch(self, indices)

    def expr(self, update: bool = True) -> ParameterExpression:
        """The whole table as an expression: itself, or with `update=False` a constant."""
        return self if update else self._constant

    def _indexed(self, flat: Floats) -> Floats:
        axes = range(len(self.row_dims), 0, -1)
        return flat.reshape((self.rows, *self.row_dims[::-1])).transpose(0, *axes)

    def row_as_array(self, row: int) -> NDArray[np.float64]:
        """A copy of one row."""
        index = self._row(row)
        return self._one_row(self._slot.seen_values(index, index + 1))

    def row_grad_as_array(self, row: int) -> NDArray[np.float64]:
        """A copy of one row of the accumulated gradient."""
        index = self._row(row)
        return self._one_row(self._slot.seen_gradients(index, index + 1))

    def _one_row(self, row: Floats) -> NDArray[np.float64]:
        return row.reshape(self.row_dims, order="F").astype(np.float64)

    def rows_as_array(self, rows: Iterable[int]) -> NDArray[np.float64]:
        """Copies of rows, the row first."""
        return self.seen_values()[self._rows(rows)].astype(np.float64)

    def rows_grad_as_array(self, rows: Iterable[int]) -> NDArray[np.float64]:
        """Copies of rows of the accumulated gradient, the row first."""
        return self.seen_gradients()[self._rows(rows)].astype(np.float64)

    def init_row(self, i: int, row: ArrayLike) -> None:
        """Replace one row: a flat list in memory (column-major) order, or an array of the dims of a row.

        Raises `ShapeError` for another size, `IndexValueError` for a row that the table does not have.
        """
        index = self._row(i)
        array = real_array(row, f"init_row of {self._name}")
        flat = array.ravel(order="F")
        if array.shape not in (self.row_dims, flat.shape) or len(flat) != self._slot.row_size:
            raise ShapeError(
                f"init_row: a row of {self._name} has dims {self.row_dims}, {self._slot.row_size} numbers; "
                f"got shape {array.shape}"
            )
        self._slot.values[index] = flat

    def init_from_array(self, arr: ArrayLike) -> None:
        """Replace the first `len(arr)` rows; raises `ShapeError` for too many rows or rows of other dims."""
        array = real_array(arr, f"init_from_array of {self._name}")
        if array.ndim == 0 or array.shape[1:] != self.row_dims or len(array) > self.rows:
            raise ShapeError(
                f"init_from_array: {self._name} has {self.rows} rows of dims {self.row_dims}, the array "
                f"has shape {array.shape}; "
                "its first axis counts rows, at most as many as the table has"
            )
        self.values[: len(array)] = array

    def zero(self) -> None:
        """Values to zero; as in DyNet the gradient stays."""
        self._slot.values.fill(0)

    def scale_gradient(self, s: float) -> None:
        """Multiply the accumulated gradient by `s`."""
        self._slot.gradients[self._slot.touched_gradients()] *= np.float32(s)

    def _row(self, index: int) -> int:
        try:
            # Whole numbers in arrays of floats are common in files of ids.
            whole = isinstance(index, (float, np.floating)) and index == index // 1
            row = int(index) if whole else operator.index(index)
        except TypeError:
            raise TypeError(
                f"a row of {self._name} is named by an int, got {type(index).__name__}; use batch() for several"
            ) from None
        if not 0 <= row < self.rows:
            raise IndexValueError(
                f"row {row} is outside of {self._name}, which has {self.rows} rows; use 0 to {self.rows - 1}"
            )
        return row

    def _rows(self, rows: Iterable[int]) -> list[int]:
        return [self._row(row) for row in rows]


def indexed(parameter: StoredParameter, flat: Floats) -> Floats:
    """A flat array in memory order, with indices as in the parameter's `as_array()`."""
    return parameter._indexed(flat)
