"""Sequences of expressions that are kept as places on the tape: an object is made for an item that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableSequence, Sequence
from typing import Any, overload

from .expression import Expression
from .graph import ComputationGraph
from .shape import Shape

_new = object.__new__


class Expressions(MutableSequence[Expression]):
    """A list of values of one shape in one graph; `indices` are their places on the tape, often a range.

    It reads as a list does, and makes an `Expression` for an item that is asked for; functions of lists take the places
    as they are. Slices, also `[::-1]`, and the sum of two of one graph and shape are `Expressions` again; `list + this`
    and `list += this` give a new list. The first change makes it a plain list inside, `items`, without `indices`.
    """

    __slots__ = ("graph", "indices", "items", "shape")

    def __init__(self, graph: ComputationGraph, shape: Shape, indices: Sequence[int]) -> None:
        self.graph = graph
        self.shape = shape
        self.indices = indices
        self.items: list[Expression] | None = None

    @overload
    def __getitem__(self, key: int) -> Expression: ...

    @overload
    def __getitem__(self, key: slice) -> MutableSequence[Expression]: ...

    def __getitem__(self, key: int | slice) -> Expression | MutableSequence[Expression]:
        if self.items is not None:
            return self.items[key]
        if isinstance(key, slice):
            return Expressions(self.graph, self.shape, self.indices[key])
        return Expression(self.graph, self.indices[key], self.shape)

    def __len__(self) -> int:
        return len(self.indices if self.items is None else self.items)

    def __iter__(self) -> Iterator[Expression]:
        if self.items is not None:
            yield from self.items
            return
        graph, shape = self.graph, self.shape
        for index in self.indices:
            x: Expression = _new(Expression)
            x.graph = graph
            x.shape = shape
            x.index = index
            yield x

    def __reversed__(self) -> Iterator[Expression]:
        return iter(self[::-1])

    def __contains__(self, value: object) -> bool:
        return any(_same(x, value) for x in self)

    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """Position of the first item that is this value of the graph; raises ValueError where there is none."""
        for position in range(len(self))[start:stop]:
            if _same(self[position], value):
                return position
        raise ValueError(f"{value!r} is not in the sequence")

    def count(self, value: Any) -> int:
        """How many items are this value of the graph."""
        return sum(_same(x, value) for x in self)

    def copy(self) -> MutableSequence[Expression]:
        """Another sequence of the same values."""
        return self[:]

    __copy__ = copy

    def __getstate__(self) -> Any:
        raise TypeError("expressions are handles into a live graph and cannot be pickled or copied in depth")

    def __add__(self, other: Iterable[Expression]) -> MutableSequence[Expression]:
        if isinstance(other, Expressions):
            unchanged = self.items is None and other.items is None
            if unchanged and self.graph is other.graph and self.shape is other.shape:
                return Expressions(self.graph, self.shape, [*self.indices, *other.indices])
        elif not isinstance(other, list):
            return NotImplemented
        return [*self, *other]

    def __radd__(self, other: list[Expression]) -> list[Expression]:
        return [*other, *self] if isinstance(other, list) else NotImplemented

    def __mul__(self, times: int) -> list[Expression]:
        return list(self) * times

    __rmul__ = __mul__

    def __repr__(self) -> str:
        return repr(list(self))

    # Changes: from here on it is a plain list inside.

    def _list(self) -> list[Expression]:
        if self.items is None:
            self.items = list(self)
            del self.indices
        return self.items

    def __setitem__(self, key: Any, value: Any) -> None:
        self._list()[key] = value

    def __delitem__(self, key: int | slice) -> None:
        del self._list()[key]

    def insert(self, index: int, value: Expression) -> None:
        """Put a value before this position."""
        size = len(self)
        self._list().insert(max(-size, min(index, size)), value)

    def sort(self, *, key: Callable[[Expression], Any], reverse: bool = False) -> None:
        """Sort in place; expressions have no order of their own, so a key is needed."""
        self._list().sort(key=key, reverse=reverse)


def _same(x: Expression, value: object) -> bool:
    """Whether this is the same value of the same graph; a sequence does not keep the objects that it made."""
    return x is value or (isinstance(value, Expression) and x.index == value.index and x.graph is value.graph)
