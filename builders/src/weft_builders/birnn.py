"""Bidirectional recurrent networks: one builder runs forward, one backward, position by position side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from weft_core.collection import ParameterCollection
from weft_core.expression import Expression
from weft_core.operation import graph_of
from weft_core.ops.structure import concatenate

from .recurrent import RecurrentBuilder
from .state import RNNState
from .template import Cell

Directions = tuple[RecurrentBuilder, RecurrentBuilder]


def side_by_side(x: Expression, y: Expression) -> tuple[Expression, ...]:
    """One vector of two."""
    return (concatenate([x, y]),)


class BiRNNBuilder:
    """Layers of two builders, of which the second reads the sequence backward (Schuster & Paliwal 1997).

    Every layer gives `concatenate([forward_t, backward_t])`, `{hidden_dim}`. The builders are
    `rnn_builder_factory(1, rows of the input, hidden_dim // 2, collection)`; or `builder_layers`, a list of pairs.
    Raises ValueError for no layers and for an odd `hidden_dim`.
    """

    def __init__(
        self,
        num_layers: int,
        input_dim: int,
        hidden_dim: int,
        model: ParameterCollection,
        rnn_builder_factory: Callable[..., Any],
        builder_layers: Sequence[Directions] | None = None,
    ) -> None:
        if num_layers < 1 or hidden_dim % 2:
            raise ValueError(
                f"BiRNNBuilder: needs at least one layer and an even hidden_dim, got {num_layers} and {hidden_dim}"
            )
        self.spec = num_layers, input_dim, hidden_dim, rnn_builder_factory, builder_layers
        self.model = model.add_subcollection("birnn")
        if builder_layers is None:
            rows = [input_dim] + [hidden_dim] * (num_layers - 1)
            builder_layers = [
                (
                    rnn_builder_factory(1, n, hidden_dim // 2, self.model),
                    rnn_builder_factory(1, n, hidden_dim // 2, self.model),
                )
                for n in rows
            ]
        self.builder_layers: list[Directions] = list(builder_layers)
        self._join = Cell(side_by_side)
        # Builders of another kind may know expressions only.
        self._by_places = all(isinstance(builder, RecurrentBuilder) for builder in self._builders())

    def transduce(self, es: Sequence[Expression]) -> list[Expression]:
        """The outputs of the last layer, one per position."""
        return self._transduce_at(es) or self._transduce_each(es)

    def _transduce_at(self, es: Sequence[Expression]) -> list[Expression] | None:
        """For inputs of one shape: all layers by places on the tape, expressions only for the results."""
        if not es or any([x.shape is not es[0].shape for x in es]) or not self._by_places:
            return None
        graph, shape = graph_of("BiRNNBuilder", es), es[0].shape
        indices: Sequence[int] = [x.index for x in es]
        for forward, backward in self.builder_layers:
            lefts = forward.outputs_at(graph, indices, shape)
            rights = backward.outputs_at(graph, indices[::-1], shape) if lefts else None
            if lefts is None or rights is None:
                return None
            template = self._join.template((lefts[1], rights[1]))
            indices = template.repeat(graph.code, len(es), [lefts[0], rights[0][::-1]])
            shape = template.shapes[0]
        return [Expression(graph, index, shape) for index in indices]

    def _transduce_each(self, es: Sequence[Expression]) -> list[Expression]:
        """Layer by layer through expressions: inputs of several shapes, dropout masks, other builders."""
        for forward, backward in self.builder_layers:
            es = self._joined(forward.initial_state().transduce(es), backward.initial_state().transduce(es[::-1])[::-1])
        return list(es)

    def add_inputs(self, es: Sequence[Expression]) -> list[tuple[RNNState, RNNState]]:
        """Forward and backward state of the last layer, one pair per position."""
        *below, (forward, backward) = self.builder_layers
        for left, right in below:
            es = self._joined(left.initial_state().transduce(es), right.initial_state().transduce(es[::-1])[::-1])
        return list(zip(forward.initial_state().add_inputs(es), backward.initial_state().add_inputs(es[::-1])[::-1]))

    def _joined(self, lefts: list[Expression], rights: list[Expression]) -> list[Expression]:
        """Both directions side by side, all positions in one go."""
        left_shapes, right_shapes = {x.shape for x in lefts}, {x.shape for x in rights}
        if len(left_shapes) != 1 or len(right_shapes) != 1:
            return [self._join(left, right)[0] for left, right in zip(lefts, rights)]
        template = self._join.template((left_shapes.pop(), right_shapes.pop()))
        graph = graph_of("BiRNNBuilder", [*lefts, *rights])
        starts = template.repeat(graph.code, len(lefts), [[x.index for x in lefts], [x.index for x in rights]])
        shape = template.shapes[0]
        return [Expression(graph, start, shape) for start in starts]

    def set_dropout(self, rate: float) -> None:
        """Set the dropout of all builders."""
        for builder in self._builders():
            builder.set_dropout(rate)

    def disable_dropout(self) -> None:
        """No dropout in all builders."""
        for builder in self._builders():
            builder.disable_dropout()

    def _builders(self) -> list[RecurrentBuilder]:
        return [builder for directions in self.builder_layers for builder in directions]

    def param_collection(self) -> ParameterCollection:
        """The builder's own collection."""
        return self.model

    @staticmethod
    def from_spec(spec: Sequence[Any], model: ParameterCollection) -> BiRNNBuilder:
        """A builder made from a `spec`, with new parameters in `model`."""
        num_layers, input_dim, hidden_dim, factory, builder_layers = spec
        return BiRNNBuilder(num_layers, input_dim, hidden_dim, model, factory, builder_layers)

    def whoami(self) -> str:
        """Name of the class."""
        return "BiRNNBuilder"
