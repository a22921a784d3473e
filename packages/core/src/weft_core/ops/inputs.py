"""Inputs: numbers and arrays that enter a graph, and rows of look-up tables."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from operator import index as as_index
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import IndexValueError, ShapeError
from ..expression import Expression
from ..graph import ComputationGraph, current
from ..operation import Array, Attribute, Call, Operation
from ..sequence import Expressions
from ..shape import Shape, as_dims, shape_of
from ..signature import BLOCKS, Signature

if TYPE_CHECKING:
    from ..parameters import LookupParameters


class Zero(Operation):
    """The zero value at position 0 of every tape; never executed."""

    name = "zero"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        return Signature(self, (), (), (shape_of((1,)),), flags=BLOCKS)

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        raise AssertionError("the zero value is never executed")


class Input(Operation):
    """An array staged in `graph.data`; the payload is its place there."""

    name = "input"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        raise TypeError("input: signatures come from of_shape()")

    def of_shape(self, shape: Shape) -> int:
        """The signature id of inputs of this shape."""
        entry = self.table.get(shape)
        if entry is None:
            made = Signature(self, (), (), (shape,), payload=1)
            self.table[shape] = entry = (made.id, shape, made)
        return entry[0]

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        shape = call.signature.results[0]
        rows = call.data[call.payload[:, 0, None] + np.arange(shape.total)]
        flat = rows.reshape(-1, shape.size)
        return (flat.T.reshape((*shape.dims, len(flat)), order="F"),)


class Lookup(Operation):
    """Rows of a look-up table; the payload holds one row id per example. Gradients go to the touched rows only."""

    name = "lookup"
    scatters = True

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        raise TypeError("lookup: signatures come from of_table()")

    def of_table(self, table: Shape, row: tuple[int, ...], batch: int) -> tuple[int, Shape]:
        """Signature id and result shape of looking up `batch` rows of dims `row`."""
        key = (table, batch)
        entry = self.table.get(key)
        if entry is None:
            made = Signature(self, (), (), (shape_of(row, batch),), payload=batch, parameters=(table,))
            self.table[key] = entry = (made.id, made.results[0], made)
        return entry[0], entry[1]

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        return (operands[0][..., call.indices(), 0],)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        return (gradients[0],)


zero = Zero()
# Signature 0 is the zero value's: position 0 of every tape holds it.
zero.signature(())
input_operation = Input()
lookup_operation = Lookup()


class InputExpression(Expression):
    """An input whose value can be set anew; the graph then computes again."""

    __slots__ = ("start",)

    start: int

    def set(self, value: Any) -> None:
        """Replace the value: a number, or a flat column-major list of as many numbers as the input has elements.

        Raises `ShapeError` for another length.
        """
        graph = self._graph()
        graph.check(self.index)
        numbers = flat_numbers(value)
        if len(numbers) != self.shape.total:
            raise ShapeError(
                f"set() of an input of shape {self.shape} needs {self.shape.total} numbers, got {len(numbers)}"
            )
        graph.data[self.start : self.start + len(numbers)] = numbers
        graph.invalidate()


class LookupExpression(Expression):
    """Looked-up rows; `set` chooses other rows."""

    __slots__ = ("rows",)

    rows: int

    def set(self, index: int | Sequence[int]) -> None:
        """Look up another row (or as many other rows as before)."""
        ids = listed(index)
        if len(ids) != self.shape.batch:
            raise ShapeError(f"set() of a look-up of {self.shape.batch} rows needs as many row ids, got {len(ids)}")
        graph = self._graph()
        graph.check(self.index)
        ids = check_rows(ids, self.rows)
        for k, row in enumerate(ids):
            graph.rewrite(self.index + 1 + k, row)
        graph.invalidate()


def flat_numbers(value: Any) -> array[float]:
    """Numbers in memory order as float32."""
    if value.__class__ is list:
        return array("f", value)
    if isinstance(value, (int, float, np.number, np.bool_)):
        return array("f", (float(value),))
    if isinstance(value, np.ndarray):
        return array("f", value.ravel(order="F").astype(np.float32).tobytes())
    return array("f", value)


def record_input(graph: ComputationGraph, shape: Shape, numbers: Iterable[float] | bytes) -> InputExpression:
    """Stage numbers (memory order) and append an input instruction."""
    sid = input_operation.of_shape(shape)
    data, code = graph.data, graph.code
    expression = InputExpression(graph, len(code), shape)
    expression.start = start = len(data)
    if isinstance(numbers, bytes):
        data.frombytes(numbers)
    else:
        data.extend(numbers)
    if len(data) - start != shape.total:
        found = len(data) - start
        del data[start:]
        raise ShapeError(f"an input of shape {shape} needs {shape.total} numbers, got {found}")
    code.append(sid)
    code.append(start)
    return expression


_number = shape_of((1,))
_new = object.__new__


def scalarInput(s: float, device: str = "") -> InputExpression:
    """A number as an expression of shape `{1}`; `.set(number)` changes it."""
    return record_input(current(), _number, (float(s),))


def vecInput(dim: int, device: str = "") -> InputExpression:
    """A vector of `dim` zeros; `.set(list)` gives it values."""
    shape = shape_of((int(dim),))
    return record_input(current(), shape, bytes(4 * shape.total))


def inputVector(v: Sequence[float] | NDArray[Any], device: str = "") -> InputExpression:
    """A vector from a list of numbers or a flat array; `.set(list)` changes it.

    Raises `ShapeError` for an empty list, and for an array of more than one axis.
    """
    if isinstance(v, np.ndarray) and v.ndim != 1:
        raise ShapeError(f"inputVector takes a flat list or array, got an array of shape {v.shape}; use inputTensor")
    numbers = flat_numbers(v)
    return record_input(current(), shape_of((len(numbers),)), numbers)


def inputTensor(arr: Any, batched: bool = False, device: str = "", reusable_expr: bool = False) -> InputExpression:
    """An array, or a nested list or tuple, as an expression; logical indices are kept.

    `batched=True`: the last axis is the batch. A list of arrays of one shape is a batch of them.
    Raises `ShapeError` for ragged lists and empty arrays, TypeError for what is not numeric.
    """
    if arr.__class__ is _array and arr.dtype is _float32 and not batched:
        # The quickest way, for arrays of a kind that came before.
        known = _vectors.get(arr.shape)
        if known is not None:
            graph = current()
            data, code = graph.data, graph.code
            expression: InputExpression = _new(InputExpression)
            expression.graph = graph
            expression.index = len(code)
            expression.start = start = len(data)
            sid, expression.shape = known
            data.frombytes(arr.tobytes())
            code.append(sid)
            code.append(start)
            return expression
    if isinstance(arr, list) and arr and all(isinstance(a, np.ndarray) for a in arr):
        if len({a.shape for a in arr}) > 1:
            raise ShapeError(f"inputTensor: a batch needs arrays of one shape, got {sorted({a.shape for a in arr})}")
        arr, batched = np.stack(arr, axis=-1), True
    elif not isinstance(arr, (list, tuple, np.ndarray)):
        raise TypeError(
            f"inputTensor takes an array or a nested list of numbers, got {type(arr).__name__}; "
            "use scalarInput for a number"
        )
    try:
        values = np.asarray(arr)
    except ValueError as error:
        raise ShapeError(
            f"inputTensor: the nested list is ragged ({error}); every inner list needs the same length"
        ) from None
    if values.dtype.kind not in "biuf":
        raise TypeError(f"inputTensor takes real numbers, got an array of dtype {values.dtype}")
    if values.ndim == 0 or values.size == 0:
        raise ShapeError(f"inputTensor needs at least one axis and one element, got an array of shape {values.shape}")
    if batched:
        shape = shape_of(values.shape[:-1] or (1,), values.shape[-1])
    else:
        shape = shape_of(values.shape)
        if values.ndim == 1 and values.dtype == np.float32:
            _vectors[values.shape] = input_operation.of_shape(shape), shape
    return record_input(current(), shape, values.astype(np.float32).tobytes(order="F"))


# Signature id and shape of float32 vectors that have been inputs, by the shape of the array.
_array, _float32 = np.ndarray, np.dtype(np.float32)
_vectors: dict[tuple[int, ...], tuple[int, Shape]] = {}


def inputTensorTranspose(
    val: Sequence[float] | NDArray[Any], dim: int | Sequence[int] | None = None, batch_size: int = 1, device: str = ""
) -> InputExpression:
    """Flat numbers, already column-major, as an expression of dims `dim` (default: one vector)."""
    numbers = flat_numbers(val)
    # A batch of none is refused where shapes are made.
    dims = (len(numbers) // max(batch_size, 1),) if dim is None else as_dims(dim)
    return record_input(current(), shape_of(dims, batch_size), numbers)


def constant(dim: int | Sequence[int], val: float, batch_size: int = 1) -> InputExpression:
    """An expression with every element `val`."""
    shape = shape_of(as_dims(dim), batch_size)
    return record_input(current(), shape, array("f", (float(val),)) * shape.total)


def zeros(dim: int | Sequence[int], batch_size: int = 1) -> InputExpression:
    """An expression of zeros."""
    return constant(dim, 0.0, batch_size)


def ones(dim: int | Sequence[int], batch_size: int = 1) -> InputExpression:
    """An expression of ones."""
    return constant(dim, 1.0, batch_size)


def one_hot(d: int, idx: Any, device: str = "") -> InputExpression:
    """The vector `{d}` with 1 at `idx`; a list of indices gives a batch of them."""
    ids = listed(idx)
    values = np.zeros((len(ids), d), np.float32)
    values[range(len(ids)), check_indices("one_hot", ids, d)] = 1
    return record_input(current(), shape_of((d,), len(ids)), values.tobytes())


def listed(index: Any) -> list[Any]:
    """One index, or several, as a list."""
    several = isinstance(index, np.ndarray) and index.ndim > 0
    return list(index) if several or not hasattr(index, "__index__") else [index]


def check_indices(name: str, ids: Sequence[Any], size: int) -> list[int]:
    """Indices as ints in `[0, size)`; raises `IndexValueError` naming the first that is not."""
    result = [int(i) for i in ids]
    for i in result:
        if not 0 <= i < size:
            raise IndexValueError(f"{name}: index {i} is outside of an axis of size {size}; use 0 to {size - 1}")
    return result


def check_rows(ids: Sequence[Any], rows: int) -> list[int]:
    """Row ids of a look-up table."""
    if not len(ids):
        raise ShapeError("lookup: the list of row ids is empty; give at least one")
    return check_indices("lookup", ids, rows)


def lookup(p: LookupParameters, index: int = 0, update: bool = True) -> LookupExpression:
    """Row `index` of a look-up table; `update=False` gives a constant.

    Raises `IndexValueError` for a row that the table does not have.
    """
    try:
        table = p.shape if update else p.constant_shape
        rows = p.rows
    except AttributeError:
        raise TypeError(f"lookup takes LookupParameters, got {type(p).__name__}") from None
    if not 0 <= index < rows:
        check_rows([index], rows)
    try:
        sid, shape, _ = lookup_operation.table[table, 1]
    except KeyError:
        sid, shape = lookup_operation.of_table(table, p.row_dims, 1)
    expression: LookupExpression = _new(LookupExpression)
    expression.graph = graph = current()
    expression.shape = shape
    expression.rows = rows
    code = graph.code
    expression.index = len(code)
    code.append(sid)
    code.append(index if index.__class__ is int else int(index))
    return expression


def lookup_each(p: LookupParameters, indices: Iterable[int], update: bool = True) -> Expressions:
    """Rows of a look-up table as a sequence, one expression per index: `[lookup(p, i) for i in indices]` in one go.

    `update=False` gives constants. Raises `IndexValueError` naming the first row that the table does not have.
    """
    try:
        table = p.shape if update else p.constant_shape
        rows, row_dims = p.rows, p.row_dims
    except AttributeError:
        raise TypeError(f"lookup_each takes LookupParameters, got {type(p).__name__}") from None
    try:
        ids = list(map(as_index, indices))
    except TypeError as error:
        raise TypeError(f"lookup_each takes the ids of rows, a list of ints: {error}") from None
    if ids and not 0 <= min(ids) <= max(ids) < rows:
        check_indices("lookup_each", ids, rows)
    sid, shape = lookup_operation.of_table(table, row_dims, 1)
    graph = current()
    code = graph.code
    start = len(code)
    instructions = [sid] * (2 * len(ids))
    instructions[1::2] = ids
    code.extend(instructions)
    return Expressions(graph, shape, range(start, len(code), 2))


def lookup_batch(p: LookupParameters, indices: Iterable[int], update: bool = True) -> LookupExpression:
    """Rows of a look-up table as a batch, one example per index; `update=False` gives a constant.

    Raises `IndexValueError` for a row that the table does not have, `ShapeError` for no row.
    """
    try:
        table, row_dims, rows = p.shape if update else p.constant_shape, p.row_dims, p.rows
    except AttributeError:
        raise TypeError(f"lookup_batch takes LookupParameters, got {type(p).__name__}") from None
    ids = check_rows(list(indices), rows)
    sid, shape = lookup_operation.of_table(table, row_dims, len(ids))
    graph = current()
    code = graph.code
    expression = LookupExpression(graph, len(code), shape)
    expression.rows = rows
    code.append(sid)
    code.extend(ids)
    return expression


def const_lookup(p: LookupParameters, index: int | Iterable[int]) -> LookupExpression:
    """Row `index` of a look-up table as a constant: it gets no gradient. A list of indices gives a batch.

    `lookup(p, index, update=False)`, and `lookup_batch` for a list. Raises as these do.
    """
    if isinstance(index, Iterable):
        return lookup_batch(p, index, update=False)
    return lookup(p, index, update=False)
