"""Tree builders that read a node as a sequence: its input, then the outputs of its children."""

from __future__ import annotations

from collections.abc import Sequence

from weft_core.collection import ParameterCollection
from weft_core.expression import Expression
from weft_core.ops.structure import concatenate

from .arguments import whole_number
from .lstm import VanillaLSTMBuilder
from .tree import TreeBuilder


class SequentialTreeBuilder(TreeBuilder):
    """What both have: LSTMs that run over x and the outputs of the children."""

    sizes = 3

    def __init__(self, layers: int, input_dim: int, hidden_dim: int, pc: ParameterCollection, directions: int) -> None:
        hidden_dim = whole_number(self.whoami(), "hidden_dim", hidden_dim)
        if input_dim != hidden_dim:
            raise ValueError(
                f"{self.whoami()}: the outputs of children are read like inputs, so input_dim and hidden_dim must be "
                f"equal, got {input_dim} and {hidden_dim}"
            )
        if hidden_dim % directions:
            raise ValueError(f"{self.whoami()}: two directions share hidden_dim, which must be even, got {hidden_dim}")
        super().__init__(input_dim, hidden_dim, pc)
        self.layers = whole_number(self.whoami(), "layers", layers)
        self.spec = self.layers, self.input_dim, self.hidden_dim
        size = self.hidden_dim // directions
        self._lstms = [VanillaLSTMBuilder(layers, input_dim, size, self._collection) for _ in range(directions)]
        self._parameters = self._collection.parameters_list()

    def set_dropout(self, rate: float) -> None:
        """Dropout of the LSTMs, `VanillaLSTMBuilder.set_dropout`."""
        for lstm in self._lstms:
            lstm.set_dropout(rate)

    def disable_dropout(self) -> None:
        """No dropout."""
        self.set_dropout(0.0)


class UnidirectionalTreeLSTMBuilder(SequentialTreeBuilder):
    """The output of a node is that of an LSTM after x and the outputs of its children, in order.

    Its collection holds that of a `VanillaLSTMBuilder`. `input_dim` and `hidden_dim` must be equal (ValueError).
    """

    collection_name = "unidirectional-tree-lstm-builder"

    def __init__(self, layers: int, input_dim: int, hidden_dim: int, pc: ParameterCollection) -> None:
        super().__init__(layers, input_dim, hidden_dim, pc, 1)

    def node(self, x: Expression, children: Sequence[Expression] = ()) -> Expression:
        """The output `{hidden_dim}` of a node from its input and the outputs of its children; a leaf has none.

        Raises `ShapeError` for other shapes.
        """
        return self._lstms[0].initial_state().transduce([x, *children])[-1]


class BidirectionalTreeLSTMBuilder(SequentialTreeBuilder):
    """The output of a node is that of two LSTMs after x and the outputs of its children, in order and in reverse.

    Each LSTM has half of `hidden_dim`, both are concatenated. The collection holds those of two `VanillaLSTMBuilder`.
    `input_dim` and `hidden_dim` must be equal, and even (ValueError).
    """

    collection_name = "bidirectional-tree-lstm-builder"

    def __init__(self, layers: int, input_dim: int, hidden_dim: int, pc: ParameterCollection) -> None:
        super().__init__(layers, input_dim, hidden_dim, pc, 2)

    def node(self, x: Expression, children: Sequence[Expression] = ()) -> Expression:
        """The output `{hidden_dim}` of a node from its input and the outputs of its children; a leaf has none.

        Raises `ShapeError` for other shapes.
        """
        orders = (children, children[::-1])
        ends = [lstm.initial_state().transduce([x, *order])[-1] for lstm, order in zip(self._lstms, orders)]
        return concatenate(ends)
