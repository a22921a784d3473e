"""Pointwise programs from elementwise operations: forward as written, backward derived from their formulas.

Each operation is a formula with the derivatives of its operands (`elementwise.py`). The backward program goes through
the operations in reverse: the gradient of a value is the sum of what its readers pass on. What it needs of the forward
pass is read where it is kept, as a gate, a state or a result, and computed again elsewhere.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .formula import FUNCTIONS, names, parse
from .gated import Gated
from .operation import operations
from .trace import Value

# How the names of operations begin that are written here.
GENERATED = "cell_"


@dataclass(frozen=True)
class GraphNode:
    """An elementwise operation: names of its operands, formula, derivatives, and the numbers that it uses."""

    operands: tuple[str, ...]
    formula: str
    derivatives: Mapping[str, str]
    numbers: Mapping[str, float]


@dataclass
class Graph:
    """Elementwise operations in order, each with its result and operands; what they read, and which results count."""

    gates: Sequence[Value]
    states: Sequence[Value]
    results: Sequence[Value]
    nodes: Sequence[tuple[Value, GraphNode, Sequence[Value]]]


def derive(graph: Graph) -> tuple[Gated, tuple[float, ...]]:
    """The gated operation of a graph and its settings; equal programs share one operation."""
    writer = _Writer(graph)
    forward, backward = writer.forward(), writer.backward()
    operation = _operation(
        " ".join(f"g{k}" for k in range(len(graph.gates))),
        " ".join(f"s{k}" for k in range(len(graph.states))),
        " ".join(f"r{k}" for k in range(len(graph.results))),
        forward,
        backward,
        len(writer.settings),
    )
    return operation, tuple(writer.settings)


@functools.cache
def _operation(gates: str, states: str, results: str, forward: str, backward: str, settings: int) -> Gated:
    text = "|".join((gates, states, results, forward, backward))
    name = GENERATED + hashlib.sha256(text.encode()).hexdigest()[:16]
    if name in operations:
        made = operations[name]
        assert isinstance(made, Gated)
        return made
    return Gated(name, gates, states, results, forward, backward, {f"k{k}": 0.0 for k in range(settings)})


class _Rename(ast.NodeTransformer):
    def __init__(self, new: Mapping[str, str]) -> None:
        self.new = new

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in FUNCTIONS and node.id not in self.new:
            return node
        return ast.Name(self.new.get(node.id, node.id), node.ctx)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        node.args = [self.visit(argument) for argument in node.args]
        return node


def renamed(formula: str, new: Mapping[str, str]) -> str:
    """A formula with other names."""
    return ast.unparse(_Rename(new).visit(parse(formula)))


class _Writer:
    """The two programs of a graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.settings: list[float] = []
        self.node_of = {value: (node, operands) for value, node, operands in graph.nodes}
        self.readers: dict[Value, list[Value]] = {}
        for value, _, operands in graph.nodes:
            for x in operands:
                self.readers.setdefault(x, []).append(value)
        # The value that is kept in the place of each gate: the gate itself, or its activation.
        self.kept = {self._activation(gate): f"g{k}" for k, gate in enumerate(graph.gates)}
        self.names: dict[Value, str] = {value: f"v{k}" for k, (value, *_) in enumerate(graph.nodes)}
        self.names.update((x, f"g{k}") for k, x in enumerate(graph.gates))
        self.names.update((x, f"s{k}") for k, x in enumerate(graph.states))
        self.names.update(self.kept)
        self.numbers = {value: self._numbered(node) for value, node, _ in graph.nodes}

    def _numbered(self, node: GraphNode) -> dict[str, str]:
        """Names of the settings that stand for the numbers of an operation."""
        made = {}
        for name, number in node.numbers.items():
            made[name] = f"k{len(self.settings)}"
            self.settings.append(float(number))
        return made

    def _activation(self, gate: Value) -> Value:
        """The function at the end of a row of operations that read only this gate.

        No derivative may need what is lost: the gate, and the results before the function.
        """
        best = current = gate
        while len(self.readers.get(current, [])) == 1 and current not in self.graph.results:
            (reader,) = self.readers[current]
            node, operands = self.node_of[reader]
            used = names(node.derivatives[node.operands[0]])
            if len(operands) != 1 or node.operands[0] in used:
                break
            current = reader
            if any(isinstance(part, ast.Call) for part in ast.walk(parse(node.formula))):
                best = current
            if "y" in used:
                break
        return best

    def _line(self, value: Value, target: str) -> str:
        node, operands = self.node_of[value]
        new = dict(zip(node.operands, (self.names[x] for x in operands), strict=True))
        return f"{target} = {renamed(node.formula, {**new, **self.numbers[value]})}"

    def forward(self) -> str:
        """Every operation in order; then the results."""
        lines = [self._line(value, self.names[value]) for value, *_ in self.graph.nodes]
        lines += [f"r{k} = {self.names[value]}" for k, value in enumerate(self.graph.results)]
        return "\n".join(lines)

    def backward(self) -> str:
        """The gradients of gates and states."""
        known = {x: name for x, name in self.names.items() if x in self.graph.states}
        known.update(self.kept)
        known.update((value, f"r{k}") for k, value in enumerate(self.graph.results) if value not in known)
        again: list[str] = []

        def name_of(value: Value) -> str:
            """The name of a value in the backward pass; computed again where it was not kept."""
            if value not in known:
                node, operands = self.node_of[value]
                new = dict(zip(node.operands, (name_of(x) for x in operands), strict=True))
                again.append(f"{self.names[value]} = {renamed(node.formula, {**new, **self.numbers[value]})}")
                known[value] = self.names[value]
            return known[value]

        passed: dict[Value, list[str]] = {}
        for k, value in enumerate(self.graph.results):
            passed.setdefault(value, []).append(f"dr{k}")
        lines: list[str] = []
        for count, (value, node, operands) in enumerate(reversed(self.graph.nodes)):
            if value not in passed:
                continue
            total = f"a{count}"
            lines.append(f"{total} = {' + '.join(passed[value])}")
            for operand, x in zip(node.operands, operands, strict=True):
                text = node.derivatives[operand]
                used = names(text)
                new = {"dy": total, **self.numbers[value]}
                new.update((n, name_of(o)) for n, o in zip(node.operands, operands, strict=True) if n in used)
                if "y" in used:
                    new["y"] = name_of(value)
                passed.setdefault(x, []).append(f"({renamed(text, new)})")
        lines += [f"dg{k} = {' + '.join(passed.get(x, ['0']))}" for k, x in enumerate(self.graph.gates)]
        lines += [f"ds{k} = {' + '.join(passed.get(x, ['0']))}" for k, x in enumerate(self.graph.states)]
        return "\n".join([*again, *lines])
