"""Operations: shape rule, NumPy reference, and recording on the tape."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .errors import OperandError, WeftError
from .expression import Expression
from .graph import ComputationGraph, current
from .sequence import Expressions
from .shape import Shape
from .signature import Signature

Attribute: TypeAlias = int | float | str | bool | tuple[int, ...]
Array: TypeAlias = NDArray[np.floating[Any]]
# Signature id and result shape by the shapes of two operands: quicker to find than by a pair.
Pairs: TypeAlias = dict[Shape, dict[Shape, tuple[int, Shape]]]

_new = object.__new__


@dataclass(slots=True)
class Call:
    """What a reference forward or gradient sees besides its arrays.

    `payload` has one row per instruction; `data` is the graph's staged input; `seed` and `graph` key the random
    numbers, together with the position of the instruction, which a random operation carries in its payload.
    """

    signature: Signature
    payload: NDArray[np.int64]
    data: NDArray[np.float32]
    seed: int
    graph: int

    @property
    def attributes(self) -> tuple[Attribute, ...]:
        return self.signature.attributes

    @property
    def batch(self) -> int:
        return self.signature.batch

    def indices(self) -> NDArray[np.int64]:
        """One payload integer per example: given per example, or per instruction and repeated."""
        if self.payload.shape[1] == self.batch:
            return self.payload.reshape(-1)
        return np.repeat(self.payload[:, 0], self.batch)


class Operation(ABC):
    """An operation of the catalogue.

    The reference works on arrays of shape `dims + (N,)`, the last axis the examples of all instructions that run
    together; an operand that is the same for all of them has `N = 1`. A `per_node` operation mixes
    examples, and is called for one instruction at a time with the batch as last axis. An operation that `scatters`
    returns the gradient of the rows of its first operand, a look-up table, that its payload names.
    """

    name: str
    per_node = False
    scatters = False

    def __init__(self, name: str | None = None) -> None:
        if name is not None:
            self.name = name
        self.table: dict[Any, tuple[int, Shape, Signature]] = {}
        if operations.setdefault(self.name, self) is not self:
            raise WeftError(f"an operation named {self.name!r} exists already; choose another name")

    @abstractmethod
    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        """The signature for these operand shapes; raises `ShapeError` with a sentence."""

    @abstractmethod
    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        """Results, hidden ones last."""

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        """Gradients of the operands (None: no gradient). Sums over repeated examples are done by the caller."""
        return (None,) * len(operands)

    def signature(
        self, operands: Sequence[Any], attributes: tuple[Attribute, ...] = ()
    ) -> tuple[int, Shape, Signature]:
        """Look up or make the signature for these operands."""
        check_expressions(self.name, operands)
        shapes = tuple(x.shape for x in operands)
        # Recorders have tables of their own, but instructions alike have one signature, or they would not batch.
        entry = self.table.get((attributes, *shapes))
        if entry is None:
            made = self.infer(shapes, attributes)
            self.table[(attributes, *shapes)] = entry = (made.id, made.results[0], made)
        return entry

    def record(
        self, operands: Sequence[Expression], attributes: tuple[Attribute, ...] = (), payload: Sequence[int] = ()
    ) -> Expression:
        """Append one instruction to the tape; returns its first result."""
        try:
            sid, shape, signature = self.table[(attributes, *[x.shape for x in operands])]
        except (KeyError, AttributeError):
            sid, shape, signature = self.signature(operands, attributes)
        graph = graph_of(self.name, operands)
        code = graph.code
        index = len(code)
        code.append(sid)
        code.extend([x.index for x in operands])
        code.extend(payload)
        missing = signature.length - (len(code) - index)
        if missing:
            code.extend([0] * missing)
        return Expression(graph, index, shape)


operations: dict[str, Operation] = {}


def check_expressions(name: str, operands: Iterable[Any]) -> None:
    """Raise `OperandError`, a TypeError, for an operand that is not an expression."""
    for x in operands:
        if not isinstance(x, Expression):
            raise OperandError(
                f"{name}: operands must be expressions, got {type(x).__name__}; "
                "wrap arrays with inputTensor, numbers with scalarInput or constant"
            )


def graph_of(name: str, operands: Iterable[Expression | Expressions]) -> ComputationGraph:
    """The graph that these operands live in; parameters live in all, alone in the current one."""
    graph = None
    for x in operands:
        other = x.graph
        if other is not None and other is not graph:
            if graph is not None:
                raise mixed_graphs(name, graph, other)
            graph = other
    return graph or current()


def mixed_graphs(name: str, graph: ComputationGraph, other: ComputationGraph) -> Exception:
    """The exception for operands of two graphs: stale, or live in another graph."""
    for g in (graph, other):
        if g.is_stale:
            try:
                len(g.code)
            except WeftError as stale:
                return stale
    if graph.traced or other.traced:
        return WeftError(f"{name}: a cell uses an expression from outside; pass this expression as an operand, too")
    return WeftError(f"{name}: operands belong to two computation graphs; an instruction uses values of one graph")


def unary_function(operation: Operation, attributes: tuple[Attribute, ...] = ()) -> Callable[[Expression], Expression]:
    """A recorder for one operand: one look-up, two appends."""
    table: dict[Shape, tuple[int, Shape]] = {}

    def function(x: Expression) -> Expression:
        try:
            sid, shape = table[x.shape]
        except (KeyError, AttributeError):
            sid, shape, _ = operation.signature((x,), attributes)
            table[x.shape] = sid, shape
        result: Expression = _new(Expression)
        result.graph = graph = x.graph or current()
        result.shape = shape
        code = graph.code
        result.index = len(code)
        code.append(sid)
        code.append(x.index)
        return result

    return function


def axis_function(operation: Operation) -> Callable[[Expression, int], Expression]:
    """A recorder for one operand and an axis, the operation's only attribute: one look-up, two appends."""

    def function(x: Expression, d: int = 0) -> Expression:
        try:
            sid, shape, _ = operation.table[(d,), x.shape]
        except (KeyError, AttributeError, TypeError):
            sid, shape, _ = operation.signature((x,), (int(d),))
        result: Expression = _new(Expression)
        result.graph = graph = x.graph or current()
        result.shape = shape
        code = graph.code
        result.index = len(code)
        code.append(sid)
        code.append(x.index)
        return result

    return function


def binary_function(
    operation: Operation, attributes: tuple[Attribute, ...] = ()
) -> Callable[[Expression, Expression], Expression]:
    """A recorder for two operands: two look-ups, three appends."""
    table: Pairs = {}

    def function(x: Expression, y: Expression) -> Expression:
        try:
            sid, shape = table[x.shape][y.shape]
        except (KeyError, AttributeError):
            sid, shape, _ = operation.signature((x, y), attributes)
            table.setdefault(x.shape, {})[y.shape] = sid, shape
        graph = x.graph or y.graph or current()
        if y.graph is not graph and y.graph is not None:
            raise mixed_graphs(operation.name, graph, y.graph)
        result: Expression = _new(Expression)
        result.graph = graph
        result.shape = shape
        code = graph.code
        result.index = len(code)
        code.append(sid)
        code.append(x.index)
        code.append(y.index)
        return result

    return function


def list_function(
    operation: Operation, attributes: tuple[Attribute, ...] = ()
) -> Callable[[Sequence[Expression]], Expression]:
    """A recorder for a list of operands; those of one shape have a key of two entries."""
    table: dict[tuple[object, ...], tuple[int, Shape]] = {}
    of_two = binary_function(operation, attributes)

    def of_many(xs: Sequence[Expression]) -> Expression:
        """Operands of several shapes, or with parameters among them, and the first use of a shape."""
        check_list(operation.name, xs)
        check_expressions(operation.name, xs)
        shapes = [x.shape for x in xs]
        first, count = shapes[0], len(shapes)
        key = (first, count) if shapes.count(first) == count else (*shapes, None)
        return append(graph_of(operation.name, xs), key, xs, [x.index for x in xs])

    def append(
        graph: ComputationGraph, key: tuple[object, ...], xs: Sequence[Expression], indices: Sequence[int]
    ) -> Expression:
        found = table.get(key)
        if found is None:
            check_list(operation.name, xs)
            found = table[key] = operation.signature(xs, attributes)[:2]
        code = graph.code
        index = len(code)
        code.append(found[0])
        code.extend(indices)
        return Expression(graph, index, found[1])

    def function(xs: Sequence[Expression]) -> Expression:
        if xs.__class__ is not list:
            if type(xs) is Expressions and xs.items is None:
                return append(xs.graph, (xs.shape, len(xs.indices)), xs, xs.indices)
            check_list(operation.name, xs)
        if len(xs) == 2:
            x, y = xs
            return of_two(x, y)
        indices: list[int] = []
        try:
            first = xs[0]
            graph, operand = first.graph or current(), first.shape
            for x in xs:
                if x.shape is not operand or x.graph is not graph:
                    return of_many(xs)
                indices.append(x.index)
            sid, shape = table[operand, len(indices)]
        except (KeyError, AttributeError, IndexError):
            return of_many(xs)
        result: Expression = _new(Expression)
        result.graph = graph
        result.shape = shape
        code = graph.code
        result.index = len(code)
        code.append(sid)
        code.extend(indices)
        return result

    return function


def check_list(name: str, xs: Sequence[Expression]) -> None:
    """Raise for an empty list, and for what is no list, tuple or sequence of expressions."""
    if not isinstance(xs, (list, tuple, Expressions)):
        raise OperandError(f"{name} takes one list of expressions, got {type(xs).__name__}")
    if not xs:
        raise ValueError(f"{name}: the list of expressions is empty; give at least one")


def name_function(function: Callable[..., Any], name: str, doc: str) -> None:
    """Give a recorder the name and documentation of its operation."""
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
