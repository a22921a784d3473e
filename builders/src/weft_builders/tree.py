"""Tree builders: LSTM units whose previous states are the children of a node (Tai, Socher & Manning 2015)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple, TypeVar

from weft_core.cell import Cell
from weft_core.collection import ParameterCollection
from weft_core.errors import ShapeError
from weft_core.expression import Expression
from weft_core.graph import current
from weft_core.operation import check_expressions
from weft_core.ops.list_reductions import esum
from weft_core.parameters import Parameters
from weft_core.shape import shape_of

from . import cells
from .arguments import subcollection, whole_number
from .state import zero_state


class TreeState(NamedTuple):
    """Output `h` and memory `c` of a node, `{hidden_dim}` each."""

    h: Expression
    c: Expression


Builder = TypeVar("Builder", bound="TreeBuilder")


class TreeBuilder:
    """What all tree builders have: sizes and a collection of their own."""

    collection_name: ClassVar[str]
    # How many arguments of the constructor stand before the collection.
    sizes: ClassVar[int] = 2

    def __init__(self, input_dim: int, hidden_dim: int, pc: ParameterCollection) -> None:
        self.input_dim = whole_number(self.whoami(), "input_dim", input_dim)
        self.hidden_dim = whole_number(self.whoami(), "hidden_dim", hidden_dim)
        self._collection = subcollection(self.whoami(), pc, self.collection_name)
        self._parameters: list[Parameters] = []
        # Arguments of the constructor, without the collection.
        self.spec: tuple[Any, ...] = self.input_dim, self.hidden_dim

    def _add(self, *dims: int) -> Parameters:
        """A parameter: a matrix Glorot, a vector zero at first."""
        parameter = self._collection.add_parameters(dims, init=None if len(dims) == 2 else 0.0)
        self._parameters.append(parameter)
        return parameter

    def _check(self, rows: int, operands: Sequence[Expression]) -> None:
        """Raise `ShapeError` for an operand of other dims. Cells call it, so it runs once for every new shape."""
        for x in operands:
            if x.shape.dims != (rows,):
                raise ShapeError(f"{self.whoami()}: expected an input or a state of shape {{{rows}}}, got {x.shape}")

    def _zero(self, like: Expression) -> Expression:
        """A state of zeros beside this expression."""
        return zero_state(like.graph or current(), shape_of((self.hidden_dim,), like.shape.batch))

    def get_parameters(self) -> list[Parameters]:
        """The parameters, in order of creation."""
        return list(self._parameters)

    def param_collection(self) -> ParameterCollection:
        """The builder's own collection."""
        return self._collection

    @classmethod
    def from_spec(cls: type[Builder], spec: Sequence[Any], pc: ParameterCollection) -> Builder:
        """A builder made from a `spec`, with new parameters in `pc`."""
        make: Callable[..., Builder] = cls
        return make(*spec[: cls.sizes], pc, *spec[cls.sizes :])

    def whoami(self) -> str:
        """Name of the class."""
        return type(self).__name__


class NaryTreeLSTMBuilder(TreeBuilder):
    """The N-ary tree LSTM: children have places, each place its own matrices.

        i, o = logistic, u = tanh, f_k = logistic(... + forget_bias), each of its rows of Wx x + sum_l U_l h_l + b
        c = i u + sum_k f_k c_k,  h = o tanh(c)

    `leaf(x)` is the same unit without children, with parameters of its own. Rows are i, o, u, f_1 ... f_N; parameters
    in order: Wleaf `{3H,I}`, bleaf `{3H}`, U_1 ... U_N `{(3+N)H,H}`, b `{(3+N)H}`, and unless `inner_inputs` is False,
    Wx `{(3+N)H,I}`.
    """

    collection_name = "nary-tree-lstm-builder"
    sizes = 3

    def __init__(
        self,
        N: int,
        input_dim: int,
        hidden_dim: int,
        pc: ParameterCollection,
        forget_bias: float = 1.0,
        inner_inputs: bool = True,
    ) -> None:
        self.N, self.forget_bias = whole_number(self.whoami(), "N", N), float(forget_bias)
        if self.N < 1:
            raise ValueError(f"NaryTreeLSTMBuilder: a node has at least one child, got N = {N}")
        super().__init__(input_dim, hidden_dim, pc)
        self.spec = self.N, self.input_dim, self.hidden_dim, self.forget_bias, bool(inner_inputs)
        self._unit = cells.nary_tree_node(self.N)
        inputs, hidden, rows = self.input_dim, self.hidden_dim, (3 + self.N) * self.hidden_dim
        self._leaf_weight, self._leaf_bias = self._add(3 * hidden, inputs), self._add(3 * hidden)
        self._child_weights = [self._add(rows, hidden) for _ in range(self.N)]
        self._bias = self._add(rows)
        self._input_weight = self._add(rows, inputs) if inner_inputs else None
        self._leaf = Cell(self._leaf_step)
        self._node = Cell(self._node_step)

    def _leaf_step(self, x: Expression) -> tuple[Expression, ...]:
        self._check(self.input_dim, [x])
        return cells.tree_leaf([(self._leaf_weight, x)], self._leaf_bias)

    def _node_step(self, *operands: Expression) -> tuple[Expression, ...]:
        """Operands are the children's h, their c, and x where the node has one."""
        hs, cs, xs = operands[: self.N], operands[self.N : 2 * self.N], operands[2 * self.N :]
        self._check(self.hidden_dim, (*hs, *cs))
        self._check(self.input_dim, xs)
        products = list(zip(self._child_weights, hs))
        products += [(self._input_weight, x) for x in xs if self._input_weight is not None]
        return self._unit(products, self._bias, cs, forget_bias=self.forget_bias)

    def leaf(self, x: Expression) -> TreeState:
        """The state of a leaf with input `{input_dim}`."""
        return TreeState(*self._leaf(x))

    def compose(self, children_states: Sequence[TreeState | None], x: Expression | None = None) -> TreeState:
        """The state of a node with N children, None for one that is missing, and perhaps an input.

        Raises ValueError for another number of children or none at all without an input, and for an input where the
        builder was made with `inner_inputs=False`; `ShapeError` for other shapes.
        """
        if len(children_states) != self.N:
            raise ValueError(
                f"compose: a node has {self.N} children, got {len(children_states)}; give None for a missing one"
            )
        if x is not None and self._input_weight is None:
            raise ValueError("compose: this builder was made with inner_inputs=False, its inner nodes take no x")
        if None in children_states:
            given = [x, *(state.h for state in children_states if state is not None)]
            like = next((e for e in given if e is not None), None)
            if like is None:
                raise ValueError("compose: a node needs a child or an input")
            zero = self._zero(like)
            children_states = [TreeState(zero, zero) if state is None else state for state in children_states]
        hs, cs = zip(*children_states)
        return TreeState(*(self._node(*hs, *cs) if x is None else self._node(*hs, *cs, x)))


class ChildSumTreeLSTMBuilder(TreeBuilder):
    """The child-sum tree LSTM: any number of children, in no order.

        s = sum_k h_k,  f_k = logistic(Wf x + Uf h_k + bf + forget_bias)
        i, o = logistic, u = tanh, each of its rows of W x + U s + b
        c = i u + sum_k f_k c_k,  h = o tanh(c)

    Rows are i, o, u; parameters in order: W `{3H,I}`, U `{3H,H}`, b `{3H}`, Wf `{H,I}`, Uf `{H,H}`, bf `{H}`.
    """

    collection_name = "child-sum-tree-lstm-builder"

    def __init__(self, input_dim: int, hidden_dim: int, pc: ParameterCollection, forget_bias: float = 0.0) -> None:
        super().__init__(input_dim, hidden_dim, pc)
        self.forget_bias = float(forget_bias)
        self.spec = self.input_dim, self.hidden_dim, self.forget_bias
        inputs, hidden = self.input_dim, self.hidden_dim
        self._w, self._u, self._b = self._add(3 * hidden, inputs), self._add(3 * hidden, hidden), self._add(3 * hidden)
        self._wf, self._uf, self._bf = self._add(hidden, inputs), self._add(hidden, hidden), self._add(hidden)
        self._leaf = Cell(self._leaf_step)
        self._with_input = Cell(partial(self._step, True))
        self._without_input = Cell(partial(self._step, False))

    def _step(self, has_input: bool, *operands: Expression) -> tuple[Expression, ...]:
        """Operands are x where the node has one, then h and c of every child in turn."""
        xs, parts = (operands[:1], operands[1:]) if has_input else ((), operands)
        self._check(self.input_dim, xs)
        self._check(self.hidden_dim, parts)
        hs, cs = parts[::2], parts[1::2]
        kept = [
            cells.child_memory(
                [*((self._wf, x) for x in xs), (self._uf, h)], self._bf, [c], forget_bias=self.forget_bias
            )[0]
            for h, c in zip(hs, cs)
        ]
        products = [*((self._w, x) for x in xs), (self._u, esum(hs))]
        return cells.child_sum_node(products, self._b, [esum(kept)])

    def _leaf_step(self, x: Expression, h: Expression, kept: Expression) -> tuple[Expression, ...]:
        self._check(self.input_dim, [x])
        return cells.child_sum_node([(self._w, x), (self._u, h)], self._b, [kept])

    def node(self, x: Expression | None, children_states: Sequence[TreeState] = ()) -> TreeState:
        """The state of a node from its input, or None, and its children; without children it is a leaf.

        Raises ValueError for a node without both, `ShapeError` for other shapes.
        """
        parts = [part for state in children_states for part in state]
        if x is None:
            if not parts:
                raise ValueError("node: a node needs an input or a child")
            return TreeState(*self._without_input(*parts))
        if parts:
            return TreeState(*self._with_input(x, *parts))
        # The instruction of an inner node, with zeros for what comes from children: leaves and nodes run together.
        check_expressions(self.whoami(), [x])
        zero = self._zero(x)
        return TreeState(*self._leaf(x, zero, zero))
