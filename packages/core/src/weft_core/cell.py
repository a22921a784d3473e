"""Cells: a function of expressions whose calls record one instruction, whatever is inside."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from .expression import Expression
from .fuse import fused
from .graph import ComputationGraph
from .operation import graph_of
from .recorder import ABSENT, Recorder, form_of
from .sequence import Expressions
from .shape import Shape
from .symbol import Symbol
from .template import Template
from .trace import TraceTape, trace

CellFunction = Callable[..., Any]
_new = object.__new__
# Stands for an expression in the key of a call, before the shapes of all expressions.
_EXPRESSION = object()
_INT = {int}
# A cell with ever new structures, such as one over lists of any length, is fused this many times: compiling takes long.
MAX_PROGRAMS = 16


class Cell:
    """A function of expressions and settings, traced once per operand shapes and settings.

    A call records one instruction, in which elementwise operations are one loop and the products of gates stand side
    by side; gradients are derived once. `map` records the calls for all positions of sequences in one go. Parameters
    may be captured or given; lists of expressions may be given. What is inside may depend on shapes and settings only.
    Raises `WeftError` for a function that depends on more, that looks at values, or that looks up rows.
    """

    # `__call__` is an attribute of every cell: a recorder written for its arguments.
    __slots__ = ("__call__", "__dict__", "__weakref__")

    def __init__(self, function: CellFunction, name: str | None = None) -> None:
        self.function = function
        self.name = name if name else str(getattr(function, "__qualname__", type(function).__name__))
        # By shapes and settings; several where they serve different whole numbers.
        self.templates: dict[Any, list[Template]] = {}
        # Operations that fusing has made.
        self._programs: set[str] = set()
        # Of maps: by the same keys, those that serve all positions of every map of this kind.
        self._maps: dict[Any, Template] = {}
        # For each number of arguments the recorder of the first form of calls; calls of another form take the long way.
        self._recorders: dict[int, Recorder] = {}
        self.__call__ = self._first_call  # type: ignore[method-assign]

    def __set_name__(self, owner: type, name: str) -> None:
        self._attribute = name

    def __get__(self, instance: Any, owner: type | None = None) -> Cell:
        """As a method: every object has a cell of its own."""
        if instance is None:
            return self
        bound = Cell(functools.partial(self.function, instance), self.name)
        instance.__dict__[self._attribute] = bound
        return bound

    if TYPE_CHECKING:

        def __call__(self, *operands: Any, **named: Any) -> Any:
            """Record one instruction; returns what the function returns, an expression or a tuple of them."""

    def _first_call(self, *operands: Any, **named: Any) -> Any:
        return self._call(operands, named)

    def _call(self, operands: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """The first call of its kind, and every one with keywords or lists."""
        arguments = _Arguments(self.name, operands, named)
        graph = graph_of(self.name, arguments.expressions)
        if isinstance(graph, TraceTape):
            return self.function(*operands, **named)
        template = self._template(arguments)
        if not named:
            self._prepare(template, operands)
        return self._record(template, graph, arguments)

    def _prepare(self, template: Template, given: tuple[Any, ...]) -> None:
        """Let the recorder handle the next call like this one."""
        if any(isinstance(x, (list, tuple, Expressions)) for x in given):
            return
        form = form_of(template, given)
        if form is None:
            return
        recorder = self._recorders.get(len(given))
        if recorder is None:
            miss = functools.partial(self._miss, len(given))
            recorder = self._recorders[len(given)] = Recorder(form, self.name, self.function, miss)
            if len(self._recorders) == 1:
                self.__call__ = recorder.record  # type: ignore[method-assign]
        recorder.learn(form, template, given)

    def _miss(self, expected: int, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """A call that the recorder for so many arguments does not know."""
        given = tuple([x for x in given if x is not ABSENT])
        if len(given) != expected and not named and len(given) in self._recorders:
            return self._recorders[len(given)].record(*given)
        return self._call(given, named)

    def _template(self, arguments: _Arguments) -> Template:
        for template in self.templates.get(arguments.key, ()):
            if template.serves(arguments.numbers):
                return template
        key = arguments.key_with_numbers() if arguments.numbers else arguments.key
        if key not in self.templates:
            program = trace(
                self.function, self.name, arguments.expressions, arguments.numbers, arguments.with_expressions
            )
            template = Template(program if len(self._programs) >= MAX_PROGRAMS else fused(program))
            self._programs.update(template.generated())
            self.templates.setdefault(arguments.key if template.bounds else key, []).append(template)
            return template
        return self.templates[key][0]

    def template(self, shapes: tuple[Shape, ...]) -> Template:
        """The template for operands of these shapes, given by position; none of them a parameter."""
        try:
            return self.templates[shapes][0]
        except KeyError:
            operands = [Expression(None, 0, shape) for shape in shapes]  # type: ignore[arg-type]
            return self._template(_Arguments(self.name, tuple(operands), {}))

    def _record(self, template: Template, graph: ComputationGraph, arguments: _Arguments) -> Any:
        code = graph.code
        start = len(code)
        chunk = template.chunk[:]
        indices = [x.index for x in arguments.expressions]
        for slot, k in template.slots:
            chunk[slot] = indices[k]
        for slot, k in template.settings:
            chunk[slot] = arguments.numbers[k]
        if template.moving:
            template.move(chunk, start, graph)
        code += chunk
        made = []
        for offset, shape in zip(template.results, template.shapes):
            result: Expression = _new(Expression)
            result.graph = graph
            result.index = start + offset
            result.shape = shape
            made.append(result)
        for k, index, parameter in template.passed:
            if parameter is not None:
                made[k] = parameter
            elif index > 0:
                made[k] = arguments.expressions[index - 1]
            else:
                made[k].index = index
        return made[0] if template.single else tuple(made)

    def map(self, *operands: Any, **named: Any) -> Any:
        """Record one call for each position of the sequences among the arguments, in one go.

        Sequences (list, tuple, range, `Expressions`) hold expressions or settings and have equal lengths; other
        arguments are the same for all calls. Returns `Expressions`, or a tuple of them where the function returns one.

            losses = loss.map(contexts, tags)

        Raises ValueError for sequences of different lengths, or none.
        """
        known = None if named else self._known_map(operands)
        if known is not None:
            return self._record_map(*known)
        columns = _Columns(self.name, operands, named)
        kinds = columns.kinds()
        if kinds is None:
            return self._map_each(columns)
        graph = graph_of(self.name, kinds.distinct[0].expressions)
        if isinstance(graph, TraceTape):
            return self._map_each(columns)
        templates = [self._template(arguments) for arguments in kinds.distinct]
        first = templates[0]
        if first.passed or not all(first.is_like(other) and kinds.is_served_by(other) for other in templates):
            return self._map_each(columns)
        if not named and len(templates) == 1:
            self._maps[kinds.distinct[0].key] = first
        varying = [
            (slot, [templates[number].chunk[slot] for number in kinds.which]) for slot in first.varying(templates)
        ]
        return self._record_map(first, graph, columns.length, kinds.indices, kinds.numbers, varying)

    def _known_map(self, operands: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """What `_record_map` takes, for sequences alone, of kinds that were mapped before; None for all others."""
        shapes, rest = [], []
        indices, numbers = [], []
        graph, lengths = None, set()
        for x in operands:
            kind = x.__class__
            if kind is Expressions and x.items is None:
                shapes.append(x.shape)
                indices.append(x.indices)
                rest.append(_EXPRESSION)
                if graph is None:
                    graph = x.graph
                elif graph is not x.graph:
                    return None
            elif kind is list and x and x[0].__class__ is int and set(map(type, x)) == _INT:
                numbers.append(x)
                rest.append(int)
            else:
                return None
            lengths.add(len(x))
        template = self._maps.get((*shapes, None, *rest) if numbers else tuple(shapes))
        if template is None or graph is None or len(lengths) != 1:
            return None
        for column, (low, high) in zip(numbers, template.bounds):
            if min(column) < low or max(column) >= high:
                return None
        return template, graph, lengths.pop(), indices, numbers

    def _record_map(
        self,
        template: Template,
        graph: ComputationGraph,
        steps: int,
        indices: Sequence[Sequence[int]],
        numbers: Sequence[Sequence[int]],
        varying: Sequence[tuple[int, Sequence[int]]] = (),
    ) -> Any:
        """Append the instruction of all positions at once."""
        code = graph.code
        start, length = len(code), template.length
        chunk = template.chunk * steps
        for slot, k in template.slots:
            chunk[slot::length] = indices[k]
        for slot, k in template.settings:
            chunk[slot::length] = numbers[k]
        for slot, column in varying:
            chunk[slot::length] = column
        if template.moving:
            template.move_all(chunk, start, steps, graph)
        code += chunk
        end = start + steps * length
        made = [
            Expressions(graph, shape, range(start + offset, end + offset, length))
            for offset, shape in zip(template.results, template.shapes)
        ]
        return made[0] if template.single else tuple(made)

    def _map_each(self, columns: _Columns) -> Any:
        """Call by call: operands of several shapes, or settings that change the structure."""
        made = [self(*given, **named) for given, named in columns.calls()]
        if isinstance(made[0], Expression):
            return made
        return tuple(list(column) for column in zip(*made))


class _Arguments:
    """The arguments of a call: its expressions and whole numbers in order, and a key of shapes and other settings."""

    def __init__(self, name: str, given: Sequence[Any], named: dict[str, Any]) -> None:
        self.given, self.named = given, named
        self.expressions: list[Expression] = []
        self.numbers: list[int] = []
        parts = [self._part(x) for x in given]
        parts += [(key, self._part(x)) for key, x in sorted(named.items())]
        shapes = tuple([x.shape for x in self.expressions])
        self.key: Any = shapes if all(part is _EXPRESSION for part in parts) else (*shapes, None, *parts)
        try:
            hash(self.key)
        except TypeError:
            raise TypeError(
                f"the cell {name} takes expressions, lists of expressions and hashable settings (numbers, strings, "
                f"tuples); got {', '.join(type(x).__name__ for x in (*given, *named.values()))}"
            ) from None

    def _part(self, x: Any) -> Any:
        if isinstance(x, Expression):
            self.expressions.append(x)
            return _EXPRESSION
        if x.__class__ is int:
            self.numbers.append(x)
            return int
        if isinstance(x, (list, tuple, Expressions)):
            return tuple([self._nested(item) for item in x])
        return type(x), x

    def _nested(self, x: Any) -> Any:
        """A part of a list: numbers in lists are settings like others."""
        return (int, x) if x.__class__ is int else self._part(x)

    def key_with_numbers(self) -> Any:
        """The key of these whole numbers alone."""
        return self.key, tuple(self.numbers)

    def with_expressions(
        self, expressions: Iterator[Expression], symbols: Sequence[Symbol] | None
    ) -> tuple[list[Any], dict[str, Any]]:
        """The arguments with other expressions, and symbols for whole numbers, in the place of these."""
        numbers = iter(symbols or self.numbers)

        def other(x: Any) -> Any:
            return next(numbers) if x.__class__ is int else _replaced(x, expressions)

        return [other(x) for x in self.given], {key: other(x) for key, x in sorted(self.named.items())}


def _replaced(x: Any, expressions: Iterator[Expression]) -> Any:
    if isinstance(x, Expression):
        return next(expressions)
    if isinstance(x, (list, tuple, Expressions)):
        items = [_replaced(item, expressions) for item in x]
        return tuple(items) if isinstance(x, tuple) else items
    return x


class _Kinds:
    """The calls of a map by kind: arguments of the first call of each, and which kind each position has.

    `indices` are the places of every expression operand, `numbers` the values of every whole number, by position.
    """

    def __init__(
        self,
        distinct: list[_Arguments],
        which: list[int],
        indices: list[Sequence[int]],
        numbers: list[Sequence[int]],
    ) -> None:
        self.distinct, self.which, self.indices, self.numbers = distinct, which, indices, numbers

    def is_served_by(self, template: Template) -> bool:
        """Whether the template is for all the numbers."""
        return len(template.bounds) == len(self.numbers) and all(
            template.serves(ends) for ends in zip(*[(min(column), max(column)) for column in self.numbers])
        )


class _Columns:
    """The arguments of a map: sequences, and what is the same at all positions."""

    def __init__(self, name: str, given: Sequence[Any], named: dict[str, Any]) -> None:
        self.name, self.given, self.named = name, given, named
        everything = (*given, *named.values())
        lengths = {len(x) for x in everything if _is_sequence(x)}
        if len(lengths) != 1:
            raise ValueError(
                f"map of the cell {name} needs sequences of one length among its arguments, got "
                f"{[len(x) if _is_sequence(x) else type(x).__name__ for x in everything]}"
            )
        (self.length,) = lengths

    def calls(self) -> Iterable[tuple[list[Any], dict[str, Any]]]:
        """The arguments of every call."""
        for k in range(self.length):
            yield (
                [x[k] if _is_sequence(x) else x for x in self.given],
                {key: x[k] if _is_sequence(x) else x for key, x in self.named.items()},
            )

    def kinds(self) -> _Kinds | None:
        """The distinct calls; None for an empty map and where a sequence of expressions has several shapes."""
        if not self.length:
            raise ValueError(f"map of the cell {self.name}: the sequences are empty; give at least one position")
        indices: list[Sequence[int]] = []
        numbers: list[Sequence[int]] = []
        settings: list[Sequence[Any]] = []
        # In the order of the arguments: what the first call has, and which column of settings it is from.
        head: list[tuple[Any, int | None]] = []
        for x in (*self.given, *[x for _, x in sorted(self.named.items())]):
            column = None
            if not _is_sequence(x):
                first = x
                if isinstance(x, Expression):
                    indices.append([x.index] * self.length)
                elif x.__class__ is int:
                    numbers.append([x] * self.length)
            else:
                first = x[0]
                if isinstance(first, Expression):
                    places = _places(self.name, x)
                    if places is None:
                        return None
                    indices.append(places)
                elif isinstance(first, (list, tuple)):
                    return None
                elif set(map(type, x)) == {int}:
                    numbers.append(x)
                else:
                    column = len(settings)
                    settings.append(x)
            head.append((first, column))
        rows = list(zip(*settings)) if settings else [()] * self.length
        kinds = {row: k for k, row in enumerate(dict.fromkeys(rows))}
        names, split = sorted(self.named), len(self.given)
        distinct = []
        for row in kinds:
            values = [x if column is None else row[column] for x, column in head]
            distinct.append(_Arguments(self.name, values[:split], dict(zip(names, values[split:]))))
        return _Kinds(distinct, [kinds[row] for row in rows], indices, numbers)


def _places(name: str, xs: Sequence[Expression]) -> Sequence[int] | None:
    """Where these expressions are on the tape; None where they have several shapes."""
    if isinstance(xs, Expressions) and xs.items is None:
        return xs.indices
    shape = xs[0].shape
    if any(not isinstance(x, Expression) or x.shape is not shape for x in xs):
        return None
    graph_of(name, xs)
    return [x.index for x in xs]


def _is_sequence(x: Any) -> bool:
    return isinstance(x, (list, tuple, range, Expressions))


def cell(function: CellFunction) -> Cell:
    """Make a function of expressions a `Cell`: each call records one instruction. Use it as `@dy.cell`.

    @dy.cell
    def score(context, tag):
        return dy.pickneglogsoftmax(O * dy.tanh(H * context), tag)

    losses = score.map(contexts, tags)
    """
    if not callable(function):
        raise TypeError(f"cell takes a function, got {type(function).__name__}")
    return Cell(function)
