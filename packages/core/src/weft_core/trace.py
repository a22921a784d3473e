"""Tracing: a function of expressions as a program, a list of instructions over its operands.

The function runs twice, on tapes that begin at different places. What is the same in both runs is structure; what
moves with the tape is a place on it, or a place among the staged numbers. Anything else that differs is
something the function must not depend on, and is refused.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from .errors import WeftError
from .expression import Expression
from .graph import ComputationGraph, recording_on
from .shape import Shape
from .signature import COMPOUND, SCATTERS, Signature, signatures
from .symbol import Symbol

# How far the second tape is ahead of the first: numbers that no index comes near by chance.
CODE_SHIFT, DATA_SHIFT = 9973, 7919

# What a payload integer is: itself, or counted from the place of the instruction or of the staged numbers, or the
# number of a setting whose value it is.
CONSTANT, PLACE, DATA, SETTING = range(4)


@dataclass(eq=False)
class Value:
    """What an instruction reads or computes: result `index` of `node`.

    Without a node: an operand of the function (`index` counts from 1), the zero value (0), a parameter (negative).
    """

    shape: Shape
    index: int
    node: Node | None = None
    # A parameter that the function returns.
    parameter: Expression | None = None

    @property
    def is_parameter(self) -> bool:
        return self.node is None and self.index < 0


@dataclass(eq=False)
class Node:
    """One instruction of a program; payload integers are pairs of what they count from and how much."""

    signature: Signature
    operands: list[Value]
    payload: list[tuple[int, int]] = field(default_factory=list)
    results: list[Value] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.results:
            self.results = [Value(shape, k, self) for k, shape in enumerate(self.signature.results)]


@dataclass
class Program:
    """A traced function: its instructions in order, the values it returns, and the numbers that it staged."""

    nodes: list[Node]
    outputs: list[Value]
    data: list[float]
    # Whether the function returned one expression, not a sequence of them.
    single: bool
    # For whole numbers among the settings: the bounds in which the program is the same.
    bounds: list[tuple[float, float]] = field(default_factory=list)


class TraceTape(ComputationGraph):
    """A tape that only records. It has no number, which would shift the random streams, and no values."""

    __slots__ = ("first",)

    traced = True

    def __init__(self, operands: int, ahead: bool) -> None:
        self.first = 1 + operands + (CODE_SHIFT if ahead else 0)
        self.code = [0] * self.first
        self.data = array("f", bytes(4 * DATA_SHIFT if ahead else 0))
        self.number = 0
        self.autobatch = True
        self.dead = []
        self._marks = []
        self._previous = None

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise WeftError(
            "a cell must not look at values while it is traced: its structure may depend on shapes and settings only; "
            "take the decision outside and pass the result as a setting, or call the function without @dy.cell"
        )

    forward = invalidate = rewrite = checkpoint = revert = _refuse


# Arguments of a call with other expressions, and symbols, in the place of its own.
Arguments = Callable[[Iterator[Expression], Sequence[Symbol] | None], tuple[list[Any], dict[str, Any]]]


def trace(
    function: Callable[..., Any],
    name: str,
    operands: Sequence[Expression],
    numbers: Sequence[int],
    arguments: Arguments,
) -> Program:
    """The program of `function`. A parameter among the operands is part of it.

    `numbers` are the whole numbers among the settings. Where the function only hands them on, one run has symbols in
    their place, and the program is that for all numbers within its `bounds`; otherwise it has no bounds.
    Raises `WeftError` where two runs differ, where the function returns anything but expressions made of its operands
    and parameters, and for look-ups.
    """
    second = _run(function, name, operands, arguments, None, True)
    if numbers:
        symbols = [Symbol(value, k) for k, value in enumerate(numbers)]
        try:
            program = _program(name, _run(function, name, operands, arguments, symbols, False), second)
        except Exception:
            # What a symbol cannot do, the number can; an error that is not the symbol's comes again below.
            program = None
        if program is not None and not any(symbol.escaped for symbol in symbols):
            program.bounds = [(symbol.low, symbol.high) for symbol in symbols]
            return program
    return _program(name, _run(function, name, operands, arguments, None, False), second)


_Run = tuple[TraceTape, list[Expression], bool]


def _program(name: str, first: _Run, second: _Run) -> Program:
    """What two runs have in common; raises `WeftError` where they differ."""
    (tape, outputs, single), (other, other_outputs, _) = first, second
    data = tape.data.tolist()
    same = (
        len(tape.code) + CODE_SHIFT == len(other.code)
        and data == other.data.tolist()[DATA_SHIFT:]
        and [_place(x, tape) for x in outputs] == [_place(x, other) for x in other_outputs]
    )
    if not same:
        raise _differs(name)
    nodes: list[Node] = []
    values: dict[int, Value] = {}
    position = tape.first
    while position < len(tape.code):
        signature = signatures[tape.code[position]]
        node = _node(name, signature, position, tape, other, values)
        nodes.append(node)
        values.update((position + k, value) for k, value in enumerate(node.results))
        position += signature.length
    returned = [_value(x.index, x.shape, tape, values) for x in outputs]
    for value, x in zip(returned, outputs, strict=True):
        value.parameter = x if x.index < 0 else None
    return Program(nodes, returned, data, single)


def _run(
    function: Callable[..., Any],
    name: str,
    operands: Sequence[Expression],
    arguments: Arguments,
    symbols: Sequence[Symbol] | None,
    ahead: bool,
) -> _Run:
    tape = TraceTape(len(operands), ahead)
    inside = (x if x.shape.parameter >= 0 else Expression(tape, 1 + k, x.shape) for k, x in enumerate(operands))
    given, named = arguments(inside, symbols)
    with recording_on(tape):
        made = function(*given, **named)
    single = isinstance(made, Expression)
    outputs = [made] if single else made
    if not isinstance(outputs, (list, tuple)) or not outputs or not all(isinstance(x, Expression) for x in outputs):
        raise WeftError(
            f"the cell {name} must return an expression or a tuple of expressions, got {type(made).__name__}"
        )
    if any(x.graph is not tape and x.graph is not None for x in outputs):
        raise WeftError(
            f"the cell {name} returns an expression of another graph: it may use its operands and parameters only; "
            "pass every other expression as an operand"
        )
    return tape, list(outputs), single


def _place(x: Expression, tape: TraceTape) -> tuple[bool, int, Shape]:
    """Where an output is, whatever the tape's start."""
    computed = x.index >= tape.first
    return computed, x.index - tape.first if computed else x.index, x.shape


def _value(index: int, shape: Shape, tape: TraceTape, values: dict[int, Value]) -> Value:
    """The value at an index of the tape; operands and parameters are made when first met, zeros for every use."""
    if index == 0:
        return Value(shape, 0)
    if index not in values:
        values[index] = Value(shape, index)
    return values[index]


def _node(
    name: str, signature: Signature, position: int, tape: TraceTape, other: TraceTape, values: dict[int, Value]
) -> Node:
    """The instruction at a position, compared with that of the other run."""
    if signature.flags & SCATTERS:
        raise WeftError(
            f"the cell {name} looks up a row of a table: look rows up outside and give them to the cell as operands"
        )
    if signature.flags & COMPOUND:
        raise WeftError(
            f"the cell {name} runs a builder over a whole sequence, whose steps are cells themselves: run it outside "
            "and give the cell its results, or use add_input"
        )
    end = position + 1 + len(signature.operands)
    code, ahead = tape.code, other.code[CODE_SHIFT + position : CODE_SHIFT + position + signature.length]
    if ahead[0] != signature.id:
        raise _differs(name)
    for slot in range(position + 1, end):
        moved = CODE_SHIFT if code[slot] >= tape.first else 0
        if ahead[slot - position] != code[slot] + moved:
            raise _differs(name)
    operands = [_value(code[position + 1 + k], shape, tape, values) for k, shape in enumerate(signature.operands)]
    payload = []
    for slot in range(end, end + signature.payload):
        symbol: Any = code[slot]
        if isinstance(symbol, Symbol):
            if ahead[slot - position] != symbol.value:
                raise _differs(name)
            payload.append((SETTING, symbol.number))
            continue
        moved = ahead[slot - position] - code[slot]
        if moved == 0:
            payload.append((CONSTANT, code[slot]))
        elif moved == CODE_SHIFT:
            payload.append((PLACE, code[slot] - position))
        elif moved == DATA_SHIFT:
            payload.append((DATA, code[slot]))
        else:
            raise _differs(name)
    return Node(signature, operands, payload)


def _differs(name: str) -> WeftError:
    return WeftError(
        f"the cell {name} was traced twice and recorded different instructions: its structure may depend on the shapes "
        "of its operands and on its settings only, not on counters, random numbers or other state; pass what "
        "changes as a setting or as an operand, or call the function without @dy.cell"
    )
