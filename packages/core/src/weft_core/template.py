"""Templates: a traced program as one instruction, appended to tapes with its operands filled in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .compound import Inner, compound, inners, is_alias
from .differentiate import GENERATED
from .graph import ComputationGraph
from .shape import Shape
from .signature import ALIAS, COMPOUND, Signature
from .trace import CONSTANT, DATA, PLACE, SETTING, Node, Program, Value


class Template:
    """One instruction for all of a program, and what a call fills in.

    `results` are the places of the program's outputs from the start of the instruction (0 for those that are `passed`:
    operands and parameters), `shapes` their shapes.
    """

    __slots__ = (
        "chunk", "data", "length", "moving", "passed", "places", "results", "shapes", "signature", "single", "slots",
        "bounds", "settings", "staged",
    )  # fmt: skip

    def __init__(self, program: Program) -> None:
        self.single = program.single
        self.data = program.data
        self.bounds = program.bounds
        self.shapes = tuple(value.shape for value in program.outputs)
        # Outputs that are not computed here: operands, counted from 1, parameters, and the zero value.
        self.passed = [(k, v.index, v.parameter) for k, v in enumerate(program.outputs) if v.node is None]
        computed = list(dict.fromkeys(value for value in program.outputs if value.node is not None))
        nodes = reaching(program.nodes, computed)
        if len(nodes) == 1 and not is_alias(nodes[0].signature):
            node = nodes[0]
            signature, read, payload = node.signature, node.operands, node.payload
            results = {value: value.index for value in computed}
        elif nodes:
            signature, read, payload = compounded(nodes, computed)
            results = {value: k for k, value in enumerate(computed)}
        self.signature: Signature | None = signature if nodes else None
        self.results = tuple(results[v] if v.node is not None else 0 for v in program.outputs)
        self.chunk: list[int] = []
        # Slots of the instruction that name an operand of the call, and that move with its place or its data.
        self.slots: list[tuple[int, int]] = []
        self.places: list[tuple[int, int]] = []
        self.staged: list[tuple[int, int]] = []
        # Slots that hold a whole number among the settings.
        self.settings: list[tuple[int, int]] = []
        if nodes:
            self._fill(signature, read, payload)
        self.length = len(self.chunk)
        # Whether a call fills in more than operands.
        self.moving = bool(self.places or self.staged)

    def _fill(self, signature: Signature, read: Sequence[Value], payload: Sequence[tuple[int, int]]) -> None:
        self.chunk = [signature.id, *(min(value.index, 0) for value in read)]
        self.slots = [(1 + k, value.index - 1) for k, value in enumerate(read) if value.index > 0]
        for kind, number in payload:
            slot = len(self.chunk)
            if kind == PLACE:
                self.places.append((slot, number))
            elif kind == DATA:
                self.staged.append((slot, number))
            elif kind == SETTING:
                self.settings.append((slot, number))
            self.chunk.append(number)
        self.chunk += [0] * (signature.length - len(self.chunk))

    def generated(self) -> list[str]:
        """Names of the operations that were written for this program."""
        if self.signature is None:
            return []
        inside = inners(self.signature) if self.signature.flags & COMPOUND else []
        names = [s.operation.name for s in (self.signature, *(inner.signature for inner in inside))]
        return [name for name in names if name.startswith(GENERATED)]

    def serves(self, numbers: Sequence[int]) -> bool:
        """Whether this is the template for these whole numbers among the settings."""
        return all(low <= number < high for number, (low, high) in zip(numbers, self.bounds))

    def move(self, chunk: list[int], start: int, graph: ComputationGraph) -> None:
        """Fill in what counts from the place of the instruction; stage its numbers."""
        for slot, number in self.places:
            chunk[slot] = start + number
        if self.staged:
            base = len(graph.data)
            graph.data.extend(self.data)
            for slot, number in self.staged:
                chunk[slot] = base + number

    def move_all(self, chunk: list[int], start: int, steps: int, graph: ComputationGraph) -> None:
        """`move` for `steps` instructions one after another."""
        length = self.length
        for slot, number in self.places:
            chunk[slot::length] = range(start + number, start + number + steps * length, length)
        if self.staged:
            base, many = len(graph.data), len(self.data)
            graph.data.extend(self.data * steps)
            for slot, number in self.staged:
                chunk[slot::length] = range(base + number, base + number + steps * many, many)

    def is_like(self, other: Template) -> bool:
        """Whether the two differ in payload at most: the same instruction for other settings."""
        return (
            self.signature is other.signature
            and (self.results, self.shapes, self.passed) == (other.results, other.shapes, other.passed)
            and (self.slots, self.places, self.staged) == (other.slots, other.places, other.staged)
            and self.settings == other.settings
            and self.data == other.data
        )

    def varying(self, others: Sequence[Template]) -> list[int]:
        """Slots in which like templates differ."""
        return [slot for slot in range(self.length) if any(t.chunk[slot] != self.chunk[slot] for t in others)]

    def repeat(
        self,
        graph: ComputationGraph,
        steps: int,
        inputs: Sequence[Sequence[int]],
        states: Sequence[int] = (),
        constants: Sequence[int] = (),
    ) -> range:
        """Append the instruction `steps` times; returns where each of them starts.

        The operands are: one of every sequence of `inputs` a step; the `states`, in later steps the results of the
        step before; the same `constants` in all steps.
        """
        code = graph.code
        start, length = len(code), self.length
        end = start + steps * length
        columns: list[Sequence[int]] = list(inputs)
        for state, offset in zip(states, self.results):
            columns.append([state, *range(start + offset, end - length, length)])
        columns.extend([constant] * steps for constant in constants)
        chunk = self.chunk * steps
        for slot, k in self.slots:
            chunk[slot::length] = columns[k]
        self.move_all(chunk, start, steps, graph)
        code += chunk
        return range(start, end, length)


def reaching(nodes: Sequence[Node], outputs: Iterable[Value]) -> list[Node]:
    """The nodes that the outputs need, in order."""
    wanted = {value.node for value in outputs}
    kept = []
    for node in reversed(nodes):
        if node in wanted:
            kept.append(node)
            wanted.update(value.node for value in node.operands)
    return kept[::-1]


def compounded(nodes: Sequence[Node], outputs: Sequence[Value]) -> tuple[Signature, list[Value], list[tuple[int, int]]]:
    """One signature for several instructions, with the operands it reads and its payload.

    An instruction whose result is a part of its operand's memory is not executed: others read that memory.
    """
    hidden: list[Shape] = []
    executed: list[Node] = []
    aliases: dict[Value, tuple[Value, int]] = {}
    view_of_saved: dict[tuple[Node, int], int] = {}
    for node in nodes:
        fixed = all(kind == CONSTANT for kind, _ in node.payload)
        if is_alias(node.signature) and fixed and not any(value in outputs for value in node.results):
            shift, step = node.signature.alias
            shift += step * node.payload[0][1] if step else 0
            source, before = aliases.get(node.operands[0], (node.operands[0], 0))
            aliases[node.results[0]] = source, before + shift
            continue
        executed.append(node)
    place: dict[Value, int] = {value: k for k, value in enumerate(outputs)}
    for node in executed:
        for value in node.results:
            if value not in place:
                place[value] = len(outputs) + len(hidden)
                hidden.append(value.shape)
        for k, shape in enumerate(node.signature.saved):
            view_of_saved[node, k] = len(outputs) + len(hidden)
            hidden.append(shape)
    results = len(outputs) + len(hidden)
    sources = [aliases.get(value, (value, 0))[0] for node in executed for value in node.operands]
    read = list(dict.fromkeys(value for value in sources if value.node is None and not value.is_parameter))
    place.update((value, results + k) for k, value in enumerate(read))
    shapes: dict[Shape, int] = {}
    for node in executed:
        for shape in (*(v.shape for v in node.operands if v.is_parameter), *node.signature.parameters):
            shapes.setdefault(shape, results + len(read) + len(shapes))

    def view(value: Value) -> tuple[int, int]:
        source, shift = aliases.get(value, (value, 0))
        return (shapes[source.shape] if source.is_parameter else place[source]), shift

    parts: list[Inner] = []
    payload: list[tuple[int, int]] = []
    places = 0
    for node in executed:
        views = [view(value) for value in node.results]
        views += [(view_of_saved[node, k], 0) for k in range(len(node.signature.saved))]
        views += [view(value) for value in node.operands]
        views += [(shapes[shape], 0) for shape in node.signature.parameters]
        parts.append(Inner(as_executed(node.signature), len(payload), tuple(views)))
        for kind, number in node.payload:
            # Every place needs a number of its own within the instruction, which is at least as long as its payload.
            payload.append((kind, places if kind == PLACE else number))
            places += kind == PLACE
    signature = compound.bind(
        parts, [value.shape for value in outputs], hidden, [value.shape for value in read], list(shapes), len(payload)
    )
    return signature, read, payload


_executed: dict[int, Signature] = {}


def as_executed(signature: Signature) -> Signature:
    """The signature itself, or for a part of its operand's memory one that copies it."""
    if not is_alias(signature):
        return signature
    made = _executed.get(signature.id)
    if made is None:
        made = _executed[signature.id] = Signature(
            signature.operation, signature.operands, signature.attributes, signature.results, signature.saved,
            signature.payload, signature.flags & ~ALIAS, signature.parameters,
        )  # fmt: skip
    return made
