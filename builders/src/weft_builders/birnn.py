"""Bidirectional recurrent networks: one builder runs forward, one backward, position by position side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableSequence, Sequence
from typing import Any

from weft_core.cell import Cell
from weft_core.collection import ParameterCollection
from weft_core.expression import Expression
from weft_core.operation import graph_of
from weft_core.ops.structure import concatenate
from weft_core.sequence import Expressions

from .arguments import subcollection, whole_number
from .recurrent import RecurrentBuilder
from .sections import equal_runs, joined, results
from .state import RNNState

Directions = tuple[RecurrentBuilder, RecurrentBuilder]


def side_by_side(x: Expression, y: Expression) -> tuple[Expression, ...]:
    """One vector of two."""
    return (concatenate([x, y]),)


class BiRNNBuilder:
    """Layers of two builders, of which the second reads the sequence backward (Schuster & Paliwal 1997).

    Every layer gives `concatenate([forward_t, backward_t])`, `{hidden_dim}`. The builders are
    `rnn_builder_factory(1, rows of the input, hidden_dim // 2, collection)`, forward before backward in each layer;
    or `builder_layers`, a list of pairs that is taken as it is, whatever the other arguments are.
    Raises ValueError for no layers, for an odd `hidden_dim`, and for layers that are no pairs.
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
        num_layers = whole_number("BiRNNBuilder", "num_layers", num_layers)
        input_dim = whole_number("BiRNNBuilder", "input_dim", input_dim)
        hidden_dim = whole_number("BiRNNBuilder", "hidden_dim", hidden_dim)
        if builder_layers is None and (num_layers < 1 or hidden_dim < 2 or hidden_dim % 2):
            raise ValueError(
                f"BiRNNBuilder: needs at least one layer and an even hidden_dim, got {num_layers} and {hidden_dim}"
            )
        if builder_layers is not None and (not builder_layers or any(len(pair) != 2 for pair in builder_layers)):
            raise ValueError("BiRNNBuilder: builder_layers is a list of pairs (forward builder, backward builder)")
        self.spec = num_layers, input_dim, hidden_dim, rnn_builder_factory, builder_layers
        self.model = subcollection("BiRNNBuilder", model, "birnn")
        if builder_layers is None:
            half = hidden_dim // 2
            rows = [input_dim] + [2 * half] * (num_layers - 1)
            builder_layers = [
                (rnn_builder_factory(1, n, half, self.model), rnn_builder_factory(1, n, half, self.model)) for n in rows
            ]
        self.builder_layers: list[Directions] = list(builder_layers)
        self._join = Cell(side_by_side)
        # Builders of another kind may know expressions only.
        self._by_places = all(isinstance(builder, RecurrentBuilder) for builder in self._builders())

    def transduce(self, es: Iterable[Expression]) -> MutableSequence[Expression]:
        """The outputs of the last layer, one per position; of inputs of one shape they are `Expressions`."""
        return self._through(self.builder_layers, es)

    def add_inputs(self, es: Iterable[Expression]) -> list[tuple[RNNState, RNNState]]:
        """Forward and backward state of the last layer, one pair per position."""
        *below, (forward, backward) = self.builder_layers
        xs = self._through(below, es)
        return list(zip(forward.initial_state().add_inputs(xs), backward.initial_state().add_inputs(xs[::-1])[::-1]))

    def _through(self, layers: Sequence[Directions], es: Iterable[Expression]) -> MutableSequence[Expression]:
        """What these layers make of the inputs, layer by layer."""
        runs = equal_runs("BiRNNBuilder", es)
        if len(runs) == 1 and self._by_places:
            batch = runs[0].shape.batch
            if all([builder.starts_plainly(batch) for builder in self._builders()]):
                return self._through_at(layers, runs[0])
        xs = joined(runs)
        for forward, backward in layers:
            lefts = forward.initial_state().transduce(xs)
            rights = backward.initial_state().transduce(xs[::-1])
            xs = self._joined(lefts, rights[::-1])
        return xs

    def _through_at(self, layers: Sequence[Directions], xs: Expressions) -> Expressions:
        """All layers by places on the tape."""
        graph, indices, shape = xs.graph, xs.indices, xs.shape
        for forward, backward in layers:
            lefts, left = forward.outputs_at(graph, indices, shape)
            rights, right = backward.outputs_at(graph, indices[::-1], shape)
            template = self._join.template((left, right))
            starts = template.repeat(graph, len(lefts), [lefts, rights[::-1]])
            first, shape = template.results[0], template.shapes[0]
            indices = range(starts.start + first, starts.stop + first, starts.step)
        return Expressions(graph, shape, indices)

    def _joined(self, lefts: Sequence[Expression], rights: Sequence[Expression]) -> MutableSequence[Expression]:
        """Both directions side by side, all positions in one go."""
        runs = equal_runs("BiRNNBuilder", lefts) + equal_runs("BiRNNBuilder", rights)
        if len(runs) != 2:
            return [self._join(left, right)[0] for left, right in zip(lefts, rights)]
        template = self._join.template((runs[0].shape, runs[1].shape))
        graph = graph_of("BiRNNBuilder", runs)
        return results(graph, template, template.repeat(graph, len(lefts), [run.indices for run in runs]))

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

    @classmethod
    def from_spec(cls, spec: Sequence[Any], model: ParameterCollection) -> BiRNNBuilder:
        """A builder made from a `spec`, with new parameters in `model`; builders that it names are made anew, too."""
        num_layers, input_dim, hidden_dim, factory, builder_layers = spec
        if builder_layers is not None:
            builder_layers = [tuple([type(b).from_spec(b.spec, model) for b in pair]) for pair in builder_layers]
        return cls(num_layers, input_dim, hidden_dim, model, factory, builder_layers)

    def whoami(self) -> str:
        """Name of the class."""
        return type(self).__name__
