"""Ranges of axes, and the notation `x[...]`."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index as as_index
from typing import Any

import numpy as np

from ..errors import IndexValueError, ShapeError
from ..expression import Expression
from ..operation import Array, Attribute, Call, Operation, check_expressions
from ..shape import Shape, shape_of
from ..signature import Signature
from .selection import pick, pick_batch_elems, pick_range, select
from .structure import reshape


class StridedSelect(Operation):
    """Every s-th position of each axis. Attributes: first positions, ends (excluded), strides of all axes."""

    name = "strided_select"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        dims = tuple(len(range(s.start, s.stop, s.step)) for s in self.slices(attributes))
        return Signature(self, operands, attributes, (shape_of(dims, operands[0].batch),))

    def slices(self, attributes: tuple[Attribute, ...]) -> tuple[slice, ...]:
        """One slice per axis."""
        return tuple(slice(*bounds) for bounds in zip(*attributes, strict=True))

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        return (operands[0][self.slices(call.attributes)],)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        dx = np.zeros((*call.signature.operands[0].dims, gradients[0].shape[-1]), gradients[0].dtype)
        dx[self.slices(call.attributes)] = gradients[0]
        return (dx,)


_strided_select = StridedSelect()


def strided_select(
    x: Expression, strides: Sequence[int] = (), range_from: Sequence[int] = (), range_to: Sequence[int] = ()
) -> Expression:
    """Every `strides[d]`-th position of axis d from `range_from[d]` up to `range_to[d]`, excluded.

    Shorter lists: stride 1, from 0, to the size of the axis. One entry more than x has axes is for the batch.
    Raises `ShapeError` for an empty or impossible range.
    """
    check_expressions("strided_select", (x,))
    sizes = (*x.shape.dims, x.shape.batch)
    if max(len(strides), len(range_from), len(range_to)) > len(sizes):
        raise ShapeError(f"strided_select: more entries than axes and batch of {x.shape}")
    ranges = []
    for axis, size in enumerate(sizes):
        start = int(range_from[axis]) if axis < len(range_from) else 0
        end = int(range_to[axis]) if axis < len(range_to) else size
        step = int(strides[axis]) if axis < len(strides) else 1
        if step < 1 or not 0 <= start < end <= size:
            raise ShapeError(
                f"strided_select: {start} to {end} with stride {step} on axis {axis} of {x.shape}; "
                f"it needs a stride of at least 1 and 0 <= from < to <= {size}"
            )
        ranges.append(range(start, end, step))
    return select_ranges(x, ranges)


def select_ranges(x: Expression, ranges: Sequence[range]) -> Expression:
    """One rising range per axis, then one of the batch; whole axes cost nothing."""
    sizes = (*x.shape.dims, x.shape.batch)
    cut = [axis for axis, (r, size) in enumerate(zip(ranges, sizes)) if r != range(size)]
    if cut and cut[-1] == len(sizes) - 1:
        x = pick_batch_elems(x, ranges[-1])
        cut.pop()
    if len(cut) == 1 and ranges[cut[0]].step == 1:
        return pick_range(x, ranges[cut[0]].start, ranges[cut[0]].stop, cut[0])
    if not cut:
        return x
    whole = ranges[: len(sizes) - 1]
    return _strided_select.record(
        (x,), (tuple(r.start for r in whole), tuple(r.stop for r in whole), tuple(r.step for r in whole))
    )


def part(x: Expression, key: Any) -> Expression:
    """`x[i]` picks on the first axis, `x[a:b:c]` takes a range of it; a tuple has one entry per axis.

    The entry after the last axis is for the batch. Integers pick, and their axis disappears; slices keep it; `None` is
    a new axis of size 1; `...` stands for all axes that are not named. Negative numbers count from the end.
    Raises `IndexValueError` outside of an axis, `ShapeError` for an empty range, TypeError for any other key.
    """
    entries = key if isinstance(key, tuple) else (key,)
    if any(entry is None or entry is Ellipsis for entry in entries):
        return _spread(x, entries)
    sizes = (*x.shape.dims, x.shape.batch)
    if len(entries) > len(sizes):
        raise IndexValueError(
            f"[{len(entries)} entries] of shape {x.shape}, which takes at most {len(sizes)} with the batch"
        )
    chosen = [_positions(entry, size, x.shape) for entry, size in zip(entries, sizes)]
    chosen += [range(size) for size in sizes[len(entries) :]]
    examples = chosen.pop()
    if isinstance(examples, int):
        examples = range(examples, examples + 1)
    # From the last axis to the first, so that the axes that are still to come keep their numbers.
    for axis in reversed(range(len(chosen))):
        position = chosen[axis]
        if isinstance(position, int):
            x = pick(x, position, axis)
            del chosen[axis]
        elif position.step < 0:
            x = select(x, position, axis)
            chosen[axis] = range(len(position))
    if examples.step < 0:
        x = pick_batch_elems(x, examples)
        examples = range(len(examples))
    ranges = [r for r in chosen if isinstance(r, range)]
    return select_ranges(x, (*(ranges or [range(1)]), examples))


def _spread(x: Expression, entries: tuple[Any, ...]) -> Expression:
    """`part` with new axes and dots: the key without them, then the axes in their places."""
    dots = sum(entry is Ellipsis for entry in entries)
    if dots > 1:
        raise TypeError("an index takes `...` once; name the other axes with `:`")
    named = sum(entry is not None for entry in entries) - dots
    rest = (slice(None),) * max(0, len(x.shape.dims) - named)
    full: list[Any] = []
    for entry in entries if dots else (*entries, ...):
        full += rest if entry is Ellipsis else [entry]
    chosen = part(x, tuple(entry for entry in full if entry is not None))
    kept = iter(chosen.shape.dims)
    dims, axis = [], 0
    for entry in full:
        if entry is None:
            dims.append(1)
            continue
        # The entry after the last axis is the batch's.
        if isinstance(entry, slice) and axis < len(x.shape.dims):
            dims.append(next(kept))
        axis += 1
    return reshape(chosen, dims or [1]) if tuple(dims) != chosen.shape.dims else chosen


def _positions(entry: Any, size: int, shape: Shape) -> int | range:
    """What one entry of a key means on an axis of this size."""
    if isinstance(entry, slice):
        positions = range(size)[entry]
        if not positions:
            raise ShapeError(
                f"slice {entry.start}:{entry.stop}:{entry.step} of an axis of size {size} of {shape} is empty"
            )
        return positions
    try:
        position = as_index(entry)
    except TypeError:
        raise TypeError(f"an expression is indexed with integers and slices, got {type(entry).__name__}") from None
    if not -size <= position < size:
        raise IndexValueError(
            f"index {position} is outside of an axis of size {size} of {shape}; use {-size} to {size - 1}"
        )
    return position % size


def _item(x: Expression, key: Any) -> Expression:
    """The frequent cases, a position and a range of the first axis, without detours."""
    kind, size = key.__class__, x.shape.dims[0]
    if kind is int and 0 <= key < size:
        return pick(x, key)
    if kind is slice:
        start, stop, step = key.indices(size)
        if step == 1 and 0 < stop - start < size:
            return pick_range(x, start, stop)
    return part(x, key)


setattr(Expression, "__getitem__", _item)  # noqa: B010 - the class is closed to typed assignment
