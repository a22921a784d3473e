"""The N-ary tree LSTM with peepholes, as DyNet's C++ has it: gates see the memories of the children."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from weft_core.cell import Cell
from weft_core.collection import ParameterCollection
from weft_core.expression import Expression
from weft_core.gated import Gated, Layout, Product
from weft_core.initializers import GlorotInitializer
from weft_core.operation import check_expressions, graph_of
from weft_core.parameters import LookupParameters
from weft_core.shape import Shape

from . import cells
from .arguments import whole_number
from .tree import TreeBuilder, TreeState

# One product of a gated operation: operand, weight, first row of the gates, first column of the weight.
Term = tuple[Expression, Shape, int, int]


class StackedTreeState:
    """The state of a node in every layer; `h` and `c` are those of the top one."""

    __slots__ = ("layers",)

    def __init__(self, layers: Sequence[TreeState]) -> None:
        self.layers = tuple(layers)

    @property
    def h(self) -> Expression:
        """Output of the top layer."""
        return self.layers[-1].h

    @property
    def c(self) -> Expression:
        """Memory of the top layer."""
        return self.layers[-1].c


class PeepholeTreeLSTMBuilder(TreeBuilder):
    """The `NaryTreeLSTMBuilder` of DyNet's C++: an N-ary tree LSTM with peepholes, of several layers.

        i = logistic(Wi x + bi + sum_j Hi_j h_j + Ci_j c_j),  g = tanh(Wc x + bc + sum_j Hc_j h_j)
        f_k = logistic(Wf x + bf + 1 + sum_j Hf_jk h_j + Cf_jk c_j)
        c = i g + sum_k f_k c_k
        o = logistic(Wo x + bo + sum_j Ho_j h_j + Co_j c_j),  h = o tanh(c)

    A node has any number of children j; those from the N-th on share its matrices. Parameters per layer, in DyNet's
    order: Wi `{H,I}`, tables Hi and Ci of N matrices `{H,H}`, bi `{H}`; Wf, tables Hf and Cf of N^2, matrix jk in row
    `j N + k`, bf; Wo, Ho, Co, bo; Wc, Hc, bc. Higher layers read the outputs of the layer below, at the same node.
    """

    collection_name = "nary-tree-lstm-builder"
    sizes = 4

    def __init__(self, N: int, layers: int, input_dim: int, hidden_dim: int, pc: ParameterCollection) -> None:
        self.N = whole_number(self.whoami(), "N", N)
        self.layers = whole_number(self.whoami(), "layers", layers)
        if self.N < 1 or self.layers < 1:
            raise ValueError(f"PeepholeTreeLSTMBuilder: needs N and layers of at least 1, got {N} and {layers}")
        super().__init__(input_dim, hidden_dim, pc)
        self.spec = self.N, self.layers, self.input_dim, self.hidden_dim
        self._tables: list[LookupParameters] = []
        rows = [self.input_dim] + [self.hidden_dim] * (self.layers - 1)
        self._nodes = [Cell(partial(self._step, _Layer(self, n)), self.whoami()) for n in rows]

    def _add_table(self, matrices: int) -> LookupParameters:
        """A table of square matrices, each of them Glorot."""
        table = self._collection.add_lookup_parameters(
            (matrices, self.hidden_dim, self.hidden_dim), init=GlorotInitializer(True)
        )
        self._tables.append(table)
        return table

    def _step(self, layer: _Layer, x: Expression, *children: Expression) -> tuple[Expression, ...]:
        """Operands are x, then h and c of every child in turn."""
        self._check(layer.rows, [x])
        self._check(self.hidden_dim, children)
        return layer.node(x, children[::2], children[1::2])

    def node(self, x: Expression, children_states: Sequence[StackedTreeState] = ()) -> StackedTreeState:
        """The state of a node from its input and its children, in order; without children it is a leaf.

        Raises TypeError for what is no expression or state, ValueError for a state of another number of layers,
        `ShapeError` for other shapes.
        """
        check_expressions(self.whoami(), [x])
        for state in children_states:
            if not isinstance(state, StackedTreeState):
                raise TypeError(f"{self.whoami()}: a child is a state that node() returned, got {type(state).__name__}")
            if len(state.layers) != self.layers:
                raise ValueError(
                    f"{self.whoami()}: a child has {len(state.layers)} layers, this builder has {self.layers}"
                )
        made: list[TreeState] = []
        for k, cell in enumerate(self._nodes):
            made.append(TreeState(*cell(x, *[part for state in children_states for part in state.layers[k]])))
            x = made[-1].h
        return StackedTreeState(made)

    def get_lookup_parameters(self) -> list[LookupParameters]:
        """The tables of matrices, in order of creation."""
        return list(self._tables)


class _Layer:
    """The parameters of a layer, and the operation of one of its nodes."""

    def __init__(self, builder: PeepholeTreeLSTMBuilder, rows: int) -> None:
        self.rows, self.hidden, self.places = rows, builder.hidden_dim, builder.N
        vector, matrix, n = self.hidden, (self.hidden, rows), builder.N
        self.weights: dict[str, Shape] = {}
        self.tables: dict[str, Shape] = {}
        self.biases: dict[str, Shape] = {}
        for gate, matrices in (("i", n), ("f", n * n), ("o", n), ("u", n)):
            self.weights[gate] = builder._add(*matrix).shape
            self.tables["h" + gate] = side_by_side(builder._add_table(matrices))
            if gate != "u":
                self.tables["c" + gate] = side_by_side(builder._add_table(matrices))
            self.biases[gate] = builder._add(vector).shape

    def node(self, x: Expression, hs: Sequence[Expression], cs: Sequence[Expression]) -> tuple[Expression, ...]:
        """One gated operation: rows of the gates are i, o, u, and f of every child."""
        size, last = self.hidden, self.places - 1
        gates = ["i", "o", "u", *"f" * len(hs)]
        terms: list[Term] = [(x, self.weights[gate], k * size, 0) for k, gate in enumerate(gates)]
        for j, (h, c) in enumerate(zip(hs, cs, strict=True)):
            for k, gate in enumerate(gates):
                matrix = min(j, last)
                if gate == "f":
                    matrix = matrix * self.places + min(k - 3, last)
                terms.append((h, self.tables["h" + gate], k * size, matrix * size))
                if gate != "u":
                    terms.append((c, self.tables["c" + gate], k * size, matrix * size))
        biases = [(self.biases[gate], k * size) for k, gate in enumerate(gates)]
        operation = cells.nary_tree_node(len(hs)) if hs else cells.tree_leaf
        return record(operation, terms, biases, cs)


def side_by_side(table: LookupParameters) -> Shape:
    """A table of matrices `{H,H}` as one parameter `{H,H rows}`: the same memory, matrix after matrix."""
    rows, columns = table.row_dims
    return Shape((rows, columns * table.rows), 1, table.shape.parameter, trainable=True)


def record(
    operation: Gated, terms: Sequence[Term], biases: Sequence[tuple[Shape, int]], states: Sequence[Expression]
) -> tuple[Expression, ...]:
    """Record a gated operation whose products and biases stand at rows of their own."""
    operands = list(dict.fromkeys(x for x, *_ in terms))
    weights = list(dict.fromkeys(w for _, w, *_ in terms))
    products = tuple(Product(operands.index(x), weights.index(w), row, column) for x, w, row, column in terms)
    signature = operation.bind_layout(
        [x.shape for x in operands],
        [c.shape for c in states],
        weights,
        [bias for bias, _ in biases],
        Layout(products, tuple(row for _, row in biases)),
    )
    graph = graph_of(operation.name, (*operands, *states))
    index = len(graph.code)
    chunk = [signature.id, *[x.index for x in (*operands, *states)]]
    graph.code.extend(chunk + [0] * (signature.length - len(chunk)))
    return tuple(Expression(graph, index + k, shape) for k, shape in enumerate(signature.results))
