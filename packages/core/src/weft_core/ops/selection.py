"""Parts of a value: elements, ranges, rows, columns, examples. Indices travel in the payload."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import ShapeError
from ..expression import Expression
from ..graph import current
from ..operation import Array, Attribute, Call, Operation, check_expressions
from ..shape import Shape, drop_axis, shape_of
from ..signature import Signature
from ..symbol import as_index
from .attributes import integer
from .axes import axis_number, check_axis, is_slowest, resized, stride
from .inputs import check_indices, listed
from .structure import memory_flags


class AlongAxis(Operation):
    """Elements along one axis, the first attribute; `positions` says which, for every example."""

    def positions(self, call: Call) -> NDArray[np.int64]:
        """Positions on the axis: `(positions per example, N)`."""
        raise NotImplementedError

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        axis = integer(call.attributes[0])
        x, positions = np.moveaxis(operands[0], (axis, -1), (0, 1)), self.positions(call)
        shared = np.zeros_like(positions) if x.shape[1] == 1 else np.arange(positions.shape[1])
        taken = np.moveaxis(x[positions, shared], (0, 1), (axis, -1))
        return (taken.reshape((*call.signature.results[0].dims, -1)),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        axis = integer(call.attributes[0])
        positions, dims = self.positions(call), call.signature.operands[0].dims
        dx = np.zeros((*dims, positions.shape[1]), gradients[0].dtype)
        dy = gradients[0].reshape((*dims[:axis], len(positions), *dims[axis + 1 :], -1))
        # A position may occur twice: gradients of its uses add up.
        np.add.at(
            np.moveaxis(dx, (axis, -1), (0, 1)),
            (positions, np.arange(positions.shape[1])),
            np.moveaxis(dy, (axis, -1), (0, 1)),
        )
        return (dx,)


class Pick(AlongAxis):
    """One position of an axis, which disappears. Attributes: the axis, and the number of indices."""

    name = "pick"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        (x,), (axis, examples) = operands, (integer(a) for a in attributes)
        check_axis(self.name, x, axis)
        if x.batch != 1 and examples not in (1, x.batch):
            raise ShapeError(f"pick_batch: {examples} indices for {x}; give one per example, or an operand of batch 1")
        result = shape_of(drop_axis(x.dims, axis), max(x.batch, examples))
        return Signature(
            self, operands, attributes, (result,), payload=examples,
            flags=memory_flags(x, result.batch == 1 and is_slowest(x, axis)), alias=(0, stride(x, axis)),
        )  # fmt: skip

    def positions(self, call: Call) -> NDArray[np.int64]:
        return call.indices()[None]


class PickRange(AlongAxis):
    """Neighbouring positions of an axis. Attributes: the axis, and how many; payload: the first."""

    name = "pick_range"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        (x,), (axis, size) = operands, (integer(a) for a in attributes)
        result = shape_of(resized(x, axis, size), x.batch)
        return Signature(
            self, operands, attributes, (result,), payload=1,
            flags=memory_flags(x, x.batch == 1 and is_slowest(x, axis)), alias=(0, stride(x, axis)),
        )  # fmt: skip

    def positions(self, call: Call) -> NDArray[np.int64]:
        return call.indices()[None] + np.arange(integer(call.attributes[1]), dtype=np.int64)[:, None]


class Select(AlongAxis):
    """Any positions of an axis. Attributes: the axis, and how many; payload: the positions."""

    name = "select"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        (x,), (axis, size) = operands, (integer(a) for a in attributes)
        return Signature(self, operands, attributes, (shape_of(resized(x, axis, size), x.batch),), payload=size)

    def positions(self, call: Call) -> NDArray[np.int64]:
        return np.repeat(call.payload.T, call.batch, axis=1)


class PickBatchElements(Operation):
    """Examples of a batch as a batch; the payload names them."""

    name = "pick_batch_elems"
    per_node = True

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        (x,), size = operands, integer(attributes[0])
        return Signature(
            self, operands, attributes, (shape_of(x.dims, size),), payload=size,
            flags=memory_flags(x, size == 1), alias=(0, x.size),
        )  # fmt: skip

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        return (operands[0][..., call.payload[0]],)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        dx = np.zeros_like(operands[0])
        np.add.at(np.moveaxis(dx, -1, 0), call.payload[0], np.moveaxis(gradients[0], -1, 0))
        return (dx,)


_pick, _pick_range, _select = Pick(), PickRange(), Select()
_pick_batch_elements = PickBatchElements()
_new = object.__new__


class PickExpression(Expression):
    """A picked part; `set_index` chooses another."""

    __slots__ = ("choices", "indices")

    choices: int
    indices: int

    def set_index(self, index: int | Sequence[int]) -> None:
        """Pick another position, or as many others as before; the graph then computes again.

        Raises `IndexValueError` outside of the axis, `ShapeError` for another number of positions.
        """
        chosen = listed(index)
        if len(chosen) != self.indices:
            raise ShapeError(
                f"set_index() of a pick of {self.indices} positions got {len(chosen)}; give as many as before"
            )
        graph = self._graph()
        graph.check(self.index)
        for k, position in enumerate(check_indices("pick", chosen, self.choices)):
            graph.rewrite(self.index + 2 + k, position)
        graph.invalidate()


_picks: dict[tuple[Shape, int], tuple[int, Shape, int]] = {}


def pick(e: Expression, index: int = 0, dim: int = 0) -> PickExpression:
    """Position `index` of axis `dim`, which disappears; `{n}` gives `{1}`. `.set_index(i)` picks another.

    Raises `ShapeError` where there is no such axis, `IndexValueError` outside of it.
    """
    try:
        sid, shape, size = _picks[e.shape, dim]
    except (KeyError, AttributeError):
        check_expressions("pick", (e,))
        dim = axis_number("pick", dim)
        sid, shape, _ = _pick.signature((e,), (dim, 1))
        size = e.shape.dims[dim]
        _picks[e.shape, dim] = sid, shape, size
    if not 0 <= index < size:
        check_indices("pick", (index,), size)
    graph = e.graph or current()
    code = graph.code
    result: PickExpression = _new(PickExpression)
    result.graph = graph
    result.index = len(code)
    result.shape = shape
    result.choices = size
    result.indices = 1
    code.append(sid)
    code.append(e.index)
    code.append(index if index.__class__ is int else as_index(index))
    return result


def pick_batch(e: Expression, indices: Iterable[int], dim: int = 0) -> PickExpression:
    """Position `indices[b]` of axis `dim` from example b; an operand of batch 1 is indexed many times.

    Raises `ShapeError` where numbers of indices and examples differ, `IndexValueError` outside of the axis.
    """
    ids = checked("pick_batch", e, dim, indices)
    picked = _pick.record((e,), (dim, len(ids)), ids)
    result = PickExpression(picked.graph, picked.index, picked.shape)
    result.choices = e.shape.dims[dim]
    result.indices = len(ids)
    return result


def checked(name: str, x: Expression, axis: int, indices: Iterable[int]) -> list[int]:
    """Indices that exist on this axis of x, at least one."""
    if not isinstance(x, Expression):
        raise TypeError(f"{name} takes an expression, got {type(x).__name__}")
    check_axis(name, x.shape, axis)
    ids = check_indices(name, list(indices), x.shape.dims[axis])
    if not ids:
        raise ShapeError(f"{name}: the list of indices is empty; give at least one")
    return ids


_ranges: dict[tuple[Shape, int, int], tuple[int, Shape, int]] = {}


def pick_range(x: Expression, s: int, e: int, d: int = 0) -> Expression:
    """Positions `s` to `e - 1` of axis `d`.

    Raises `ShapeError` unless 0 <= s < e <= size of the axis.
    """
    try:
        sid, shape, size = _ranges[x.shape, e - s, d]
    except (KeyError, AttributeError):
        check_range(x, s, e, d)
        sid, shape, _ = _pick_range.signature((x,), (d, e - s))
        size = x.shape.dims[d]
        _ranges[x.shape, e - s, d] = sid, shape, size
    if s < 0 or e > size:
        check_range(x, s, e, d)
    result: Expression = _new(Expression)
    result.graph = graph = x.graph or current()
    result.shape = shape
    code = graph.code
    result.index = len(code)
    code.append(sid)
    code.append(x.index)
    code.append(s if s.__class__ is int else int(s))
    return result


def check_range(x: Expression, s: int, e: int, d: int) -> None:
    """Raise unless x is an expression that has this range on axis `d`."""
    if not isinstance(x, Expression):
        raise TypeError(f"pick_range takes an expression, got {type(x).__name__}")
    check_axis("pick_range", x.shape, d)
    size = x.shape.dims[d]
    if not 0 <= s < e <= size:
        raise ShapeError(f"pick_range: {s} to {e} is no range of axis {d} of {x.shape}; it needs 0 <= s < e <= {size}")


def pickrange(x: Expression, s: int, e: int) -> Expression:
    """Positions `s` to `e - 1` of the first axis: an old name of `pick_range` without an axis. Raises as it does."""
    return pick_range(x, s, e)


def pick_batch_elem(x: Expression, v: int) -> Expression:
    """Example `v` of a batch; nothing is computed.

    Raises `IndexValueError` when the batch has no such example.
    """
    return pick_batch_elems(x, (v,))


def pick_batch_elems(x: Expression, vs: Iterable[int]) -> Expression:
    """A batch of the examples `vs`, which may repeat.

    Raises `IndexValueError` for an example that the batch does not have.
    """
    if not isinstance(x, Expression):
        raise TypeError(f"pick_batch_elems takes an expression, got {type(x).__name__}")
    ids = check_indices("pick_batch_elems", list(vs), x.shape.batch)
    if not ids:
        raise ShapeError("pick_batch_elems: the list of examples is empty; give at least one")
    return _pick_batch_elements.record((x,), (len(ids),), ids)


def select(x: Expression, indices: Iterable[int], d: int = 0) -> Expression:
    """Positions `indices` of axis `d`; they may repeat.

    Raises `ShapeError` where there is no such axis, `IndexValueError` outside of it.
    """
    ids = checked("select", x, d, indices)
    return _select.record((x,), (d, len(ids)), ids)


def select_rows(x: Expression, rs: Iterable[int]) -> Expression:
    """Positions `rs` of the first axis; they may repeat.

    Raises `IndexValueError` for a row that x does not have.
    """
    return select(x, rs, 0)


def select_cols(x: Expression, cs: Iterable[int]) -> Expression:
    """Columns `cs` of a matrix; they may repeat.

    Raises `ShapeError` unless x is a matrix, `IndexValueError` for a column that x does not have.
    """
    check_expressions("select_cols", (x,))
    if len(x.shape.dims) != 2:
        raise ShapeError(f"select_cols takes a matrix, got {x.shape}")
    return select(x, cs, 1)
