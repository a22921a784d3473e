"""Fusing: the instructions of a traced program rewritten as fewer, larger ones with the same results.

1. A slice of an elementwise result becomes the elementwise operation of slices.
2. Sums of products with parameters and of biases become one linear operation, with the loss that alone reads it; a
   product with a concatenation becomes one product for each part of it.
3. Elementwise operations that no other operation separates become one pointwise program (`differentiate.py`).
4. A program whose operands are the gates of linear operations takes these in: one gated operation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from .compound import is_alias
from .differentiate import Graph, GraphNode, derive
from .elementwise import Elementwise
from .expression import Expression
from .gated import Gated, Layout, Product
from .operation import operations
from .ops.attributes import number
from .ops.softmax_loss import SoftmaxLoss
from .shape import Shape
from .signature import Signature
from .template import reaching
from .trace import CONSTANT, DATA, Node, Program, Value


def fused(program: Program) -> Program:
    """The program with fewer, larger instructions."""
    computed = [value for value in program.outputs if value.node is not None]
    rewriting = _Rewriting(reaching(program.nodes, computed), list(program.outputs), program.data)
    rewriting.push_slices_up()
    rewriting.join_sums()
    rewriting.group_elementwise()
    return replace(program, nodes=rewriting.ordered(), outputs=rewriting.outputs)


@dataclass(eq=False)
class _Linear:
    """Parts of one linear operation: products with the gate row they begin at, and biases."""

    products: list[tuple[Value, Shape, int, int]] = field(default_factory=list)  # operand, weight, row, column
    biases: list[tuple[Shape, int]] = field(default_factory=list)

    def add(self, other: _Linear, row: int = 0) -> None:
        """Take in the parts of another one, its rows from `row` on."""
        self.products += [(x, w, at + row, column) for x, w, at, column in other.products]
        self.biases += [(b, at + row) for b, at in other.biases]

    def operands(self) -> list[Value]:
        return list(dict.fromkeys(x for x, *_ in self.products))

    def bind(
        self, operation: Gated, states: Sequence[Value], settings: Sequence[float]
    ) -> tuple[Signature, list[Value]]:
        """The signature of an operation with these products, and its operands."""
        operands = self.operands()
        weights = list(dict.fromkeys(w for _, w, *_ in self.products))
        layout = Layout(
            tuple(Product(operands.index(x), weights.index(w), row, column) for x, w, row, column in self.products),
            tuple(row for _, row in self.biases),
        )
        shapes, biases = [x.shape for x in operands], [b for b, _ in self.biases]
        signature = operation.bind_layout(shapes, [s.shape for s in states], weights, biases, layout, settings)
        return signature, [*operands, *states]


def is_linear(node: Node | None) -> bool:
    """Whether this is a sum of products of parameters and vectors."""
    if node is None or not isinstance(node.signature.operation, Gated) or not node.signature.operation.linear:
        return False
    return len(node.signature.results[0].dims) == 1 and not any(x.is_parameter for x in node.operands)


def linear_of(node: Node) -> _Linear:
    """The parts of a linear operation."""
    operation, signature = node.signature.operation, node.signature
    assert isinstance(operation, Gated)
    layout, weights = operation.layout(signature), operation.weights(signature)
    parameters = signature.parameters
    products = [(node.operands[p.operand], parameters[p.weight], p.row, p.column) for p in layout.products]
    return _Linear(products, list(zip(parameters[weights:], layout.biases, strict=True)))


def elementwise_of(node: Node, data: Sequence[float]) -> GraphNode | None:
    """The formula of an elementwise operation without broadcasting, or of a sum; None for any other."""
    operation, signature = node.signature.operation, node.signature
    result = signature.results[0]
    if any(x.size != result.size for x in signature.operands) or not signature.operands:
        return None
    if operation.name == "esum":
        names = tuple(f"x{k}" for k in range(len(node.operands)))
        return GraphNode(names, " + ".join(names), dict.fromkeys(names, "dy"), {})
    if not isinstance(operation, Elementwise):
        return None
    numbers = dict(zip(operation.settings, map(number, signature.attributes), strict=True))
    for name, (kind, place) in zip(operation.scalars, node.payload, strict=True):
        if kind != DATA:
            return None
        numbers[name] = data[place]
    return GraphNode(operation.operands, operation.formula, operation.derivatives, numbers)


class _Rewriting:
    """A program under change: nodes in an order in which operands come first, and the values it returns."""

    def __init__(self, nodes: list[Node], outputs: list[Value], data: Sequence[float]) -> None:
        self.nodes = nodes
        self.outputs = outputs
        self.data = data

    def uses(self) -> Counter[Value]:
        """How often every value is read or returned."""
        counts = Counter(value for node in self.nodes for value in node.operands)
        counts.update(self.outputs)
        return counts

    def replace(self, old: Value, new: Value) -> None:
        """Read another value in the place of this one."""
        for node in self.nodes:
            node.operands = [new if value is old else value for value in node.operands]
        self.outputs = [new if value is old else value for value in self.outputs]

    def ordered(self) -> list[Node]:
        """The nodes that are still needed, operands first."""
        done: dict[Node, None] = {}

        def visit(node: Node) -> None:
            if node not in done:
                for value in node.operands:
                    if value.node is not None:
                        visit(value.node)
                done[node] = None

        for value in self.outputs:
            if value.node is not None:
                visit(value.node)
        return list(done)

    # 1. Slices of elementwise results.

    def push_slices_up(self) -> None:
        """`f(x)[a:b]` becomes `f(x[a:b])` where nothing else reads `f(x)`: slices end up beside the products."""
        for node in reversed(self.nodes[:]):
            result = node.results[0]
            readers = [n for n in self.nodes if result in n.operands]
            if not readers or result in self.outputs or not all(_is_slice(n) for n in readers):
                continue
            if elementwise_of(node, self.data) is None or any(
                x.shape is not result.shape or x.is_parameter for x in node.operands
            ):
                continue
            for reader in readers:
                slices = [Node(reader.signature, [x], list(reader.payload)) for x in node.operands]
                shape = reader.results[0].shape
                operands = [Expression(None, 0, shape)] * len(slices)  # type: ignore[arg-type]
                signature = node.signature.operation.signature(operands, node.signature.attributes)[2]
                made = Node(signature, [s.results[0] for s in slices], list(node.payload))
                at = self.nodes.index(reader)
                self.nodes[at : at + 1] = [*slices, made]
                self.replace(reader.results[0], made.results[0])
            self.nodes.remove(node)
        self._share_slices()

    def _share_slices(self) -> None:
        """Slices of one value that are the same become one."""
        first: dict[tuple[Value, int, tuple[tuple[int, int], ...]], Node] = {}
        for node in self.nodes[:]:
            if _is_slice(node):
                key = node.operands[0], node.signature.id, tuple(node.payload)
                if key in first:
                    self.replace(node.results[0], first[key].results[0])
                    self.nodes.remove(node)
                else:
                    first[key] = node

    # 2. Linear operations.

    def join_sums(self) -> None:
        """`W x + U y + b` is one linear operation, however it was written."""
        uses = self.uses()
        for node in self.nodes[:]:
            if node.signature.operation.name not in ("add", "esum") or elementwise_of(node, self.data) is None:
                continue
            shape = node.results[0].shape
            biases = [x for x in node.operands if x.is_parameter]
            terms = [x for x in node.operands if not x.is_parameter]
            if not terms or not all(is_linear(x.node) and uses[x] == 1 and x.shape is shape for x in terms):
                continue
            whole = _Linear()
            for x in terms:
                assert x.node is not None
                whole.add(linear_of(x.node))
            whole.biases += [(b.shape, 0) for b in biases]
            self._become(node, *whole.bind(_affine(), (), ()))
        self._join_losses()
        for node in self.nodes:
            if is_linear(node):
                self._split_concatenations(node)

    def _join_losses(self) -> None:
        """The loss of logits that nothing else reads takes in their product, so that logits stay in the cache."""
        loss = operations["softmax_loss"]
        assert isinstance(loss, SoftmaxLoss)
        uses = self.uses()
        for node in self.nodes[:]:
            if node.signature.operation.name != "pickneglogsoftmax" or not is_linear(node.operands[0].node):
                continue
            (logits,) = node.operands
            assert logits.node is not None
            linear = linear_of(logits.node)
            if uses[logits] > 1 or len(linear.products) > 1 or len(linear.biases) > 1:
                continue
            ((x, weight, _, _),) = linear.products
            bias = linear.biases[0][0] if linear.biases else None
            if weight.dims[1] == x.shape.rows and x.shape.batch == logits.shape.batch:
                node.signature, node.operands = loss.bind(x.shape, weight, bias), [x]
        self.nodes = self.ordered()

    def _become(self, node: Node, signature: Signature, operands: list[Value]) -> None:
        node.signature, node.operands, node.payload = signature, operands, []
        self.nodes = self.ordered()

    def _split_concatenations(self, node: Node) -> None:
        """A product with a concatenation of vectors is a sum of products with its parts."""
        linear = linear_of(node)
        whole = _Linear(biases=linear.biases)
        for x, w, row, column in linear.products:
            parts = _vector_parts(x)
            for part in parts or [x]:
                whole.products.append((part, w, row, column))
                column += part.shape.rows
        if len(whole.products) > len(linear.products):
            node.signature, node.operands = whole.bind(_affine(), (), ())

    # 3. and 4. Elementwise programs.

    def group_elementwise(self) -> None:
        """Every group of elementwise operations becomes one instruction, with the gates that only it reads."""
        self.nodes = self.ordered()
        stage: dict[Value, int] = {}
        groups: dict[tuple[int, int, int], list[Node]] = {}
        for node in self.nodes:
            above = max((stage.get(value, 0) for value in node.operands), default=0)
            formula = elementwise_of(node, self.data)
            if formula is None and not is_alias(node.signature):
                above += 1
            elif formula is not None:
                shape = node.results[0].shape
                groups.setdefault((above, shape.size, shape.batch), []).append(node)
            stage.update(dict.fromkeys(node.results, above))
        for members in groups.values():
            self._fuse(members)
        self.nodes = self.ordered()

    def _fuse(self, members: list[Node]) -> None:
        inside = set(members)
        results = [value for node in members for value in node.results if not self._only_read_by(value, inside)]
        # Other dims of a value of the group are the value itself: a pointwise program knows no dims.
        operands_of = {node: [_same_memory(x, inside) for x in node.operands] for node in members}
        inputs = list(dict.fromkeys(x for xs in operands_of.values() for x in xs if x.node not in inside))
        gates, linear = self._gates(inputs, inside, members[0].results[0].shape)
        if len(members) == 1 and not gates:
            return
        states = [x for x in inputs if x not in gates]
        graph = Graph(
            gates,
            states,
            results,
            [(node.results[0], elementwise_of(node, self.data), operands_of[node]) for node in members],  # type: ignore[misc]
        )
        operation, settings = derive(graph)
        if gates:
            signature, operands = linear.bind(operation, states, settings)
        else:
            signature = operation.bind([], [x.shape for x in states], [], None, settings)
            operands = states
        made = Node(signature, operands)
        for old, new in zip(results, made.results, strict=True):
            # A result keeps its dims: a column and a vector of equal size are one to a pointwise program.
            assert old.shape.total == new.shape.total
            new.shape = old.shape
            self.replace(old, new)
        self.nodes = [*(n for n in self.nodes if n not in inside), made]
        self.nodes = self.ordered()

    def _gates(self, inputs: Sequence[Value], inside: set[Node], shape: Shape) -> tuple[list[Value], _Linear]:
        """The inputs that are rows of linear operations read by this group only, and these operations as one."""
        sources: dict[Node, dict[int, Value]] = {}
        if any(x.shape.dims != shape.dims for x in inputs):
            # A column among vectors: the program takes it, gates would not.
            return [], _Linear()
        for x in inputs:
            source, row = _source(x)
            if is_linear(source.node) and source.shape.batch == shape.batch:
                assert source.node is not None
                sources.setdefault(source.node, {})[row] = x
        gates: list[Value] = []
        whole = _Linear()
        hidden = shape.rows
        for node, parts in sources.items():
            rows = node.results[0].shape.rows
            if sorted(parts) != list(range(0, rows, hidden)) or not self._only_read_by(node.results[0], inside):
                continue
            whole.add(linear_of(node), len(gates) * hidden)
            gates += [parts[row] for row in sorted(parts)]
        return gates, whole

    def _only_read_by(self, value: Value, inside: set[Node]) -> bool:
        """Whether a value is read by these nodes only, also as other dims of it or through slices."""
        if value in self.outputs:
            return False
        readers = [n for n in self.nodes if value in n.operands]
        return all(n in inside or (_is_part(n) and self._only_read_by(n.results[0], inside)) for n in readers)


def _affine() -> Gated:
    operation = operations["affine"]
    assert isinstance(operation, Gated)
    return operation


def _is_slice(node: Node) -> bool:
    """Whether this is a run of a vector, as a part of its memory."""
    return (
        is_alias(node.signature)
        and all(kind == CONSTANT for kind, _ in node.payload)
        and node.signature.operation.name in ("pick_range", "pick")
        and len(node.operands[0].shape.dims) == 1
    )


def _is_whole(node: Node) -> bool:
    """Whether this is the same memory with other dims."""
    (x, *_), result = node.operands, node.results[0].shape
    return is_alias(node.signature) and (x.shape.size, x.shape.batch) == (result.size, result.batch)


def _is_part(node: Node) -> bool:
    return _is_slice(node) or _is_whole(node)


def _same_memory(x: Value, inside: set[Node]) -> Value:
    """The value of one of these nodes that this one is with other dims; or else itself."""
    source = x
    while source.node is not None and source.node not in inside and _is_whole(source.node):
        source = source.node.operands[0]
    return source if source.node in inside else x


def _source(x: Value) -> tuple[Value, int]:
    """The vector that this value is a run of, and its first row."""
    row = 0
    while x.node is not None and _is_slice(x.node):
        shift, step = x.node.signature.alias
        row += shift + (step * x.node.payload[0][1] if step else 0)
        x = x.node.operands[0]
    return x, row


def _vector_parts(x: Value) -> list[Value]:
    """The vectors that this one is the concatenation of; empty where it is none."""
    node = x.node
    if node is None or node.signature.operation.name != "concatenate" or node.signature.attributes != (0,):
        return []
    if any(len(part.shape.dims) != 1 or part.is_parameter for part in node.operands):
        return []
    return node.operands
