"""The base of recurrent builders: a stack of layers that owns its parameters and runs over sequences."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, MutableSequence, Sequence
from functools import partial
from typing import Any, ClassVar, TypeVar

from weft_core.cell import Cell
from weft_core.collection import ParameterCollection
from weft_core.errors import ShapeError
from weft_core.expression import Expression
from weft_core.graph import ComputationGraph, current, recording_on
from weft_core.operation import check_expressions, graph_of
from weft_core.ops.arithmetic import cmult
from weft_core.ops.inputs import inputTensor
from weft_core.ops.noise import dropout
from weft_core.ops.structure import reshape
from weft_core.parameters import Parameters
from weft_core.planner import ZERO_FLOATS
from weft_core.sequence import Expressions
from weft_core.shape import Shape, shape_of

from .arguments import subcollection, whole_number
from .masks import RecurrentDropout
from .per_graph import PerGraph, Shared
from .sections import Section, Track, equal_runs, joined, results
from .state import Layers, RNNState, zero_state

Builder = TypeVar("Builder", bound="RecurrentBuilder")


class RecurrentBuilder(ABC):
    """A stack of `layers` recurrent layers; layer 0 takes inputs `{input_dim}`, the others `{hidden_dim}`.

    A subclass names its parameters' dims and gives one step of one layer as a function of expressions.
    """

    collection_name: ClassVar[str]
    # Components of the state of a layer, the output h first.
    components: ClassVar[int] = 1
    # Whether a sequence without initial state starts from zeros; if not, its first step has no states.
    starts_from_zero: bool = True
    # Whether steps read weights that are computed from the parameters: `computed_weights`.
    computes_weights: bool = False

    def __init__(self, layers: int, input_dim: int, hidden_dim: int, model: ParameterCollection) -> None:
        self.layers = whole_number(self.whoami(), "layers", layers)
        self.input_dim = whole_number(self.whoami(), "input_dim", input_dim)
        self.hidden_dim = whole_number(self.whoami(), "hidden_dim", hidden_dim)
        if self.layers < 1:
            raise ValueError(f"{self.whoami()}: needs at least one layer, got {layers}")
        if self.input_dim < 1 or self.hidden_dim < 1:
            raise ValueError(
                f"{self.whoami()}: input_dim and hidden_dim are at least 1, got {input_dim} and {hidden_dim}"
            )
        self._collection = subcollection(self.whoami(), model, self.collection_name)
        rows = [self.input_dim] + [self.hidden_dim] * (self.layers - 1)
        self._parameters = [self.add_layer(rows[k], self.hidden_dim) for k in range(self.layers)]
        self._dropout = RecurrentDropout([self.mask_sizes(rows[k], self.hidden_dim) for k in range(self.layers)])
        # Rate of a dropout that is drawn anew at every step.
        self._step_rate = 0.0
        self._made_cells: dict[tuple[bool, bool, bool], list[Cell]] = {}
        self._computed = PerGraph()

    # What a subclass says about a layer.

    @abstractmethod
    def parameter_dims(self, rows: int, hidden: int) -> list[tuple[int, ...]]:
        """Dims of the parameters of a layer, in order; matrices are Glorot, vectors zero at first."""

    @abstractmethod
    def layer_step(
        self, parameters: tuple[Expression, ...], x: Expression, *states: Expression
    ) -> tuple[Expression, ...]:
        """One step of a layer: the new state from input and state."""

    def masked_step(
        self, parameters: tuple[Expression, ...], masks: tuple[Expression, ...], x: Expression, *states: Expression
    ) -> tuple[Expression, ...]:
        """One step with dropout: input and previous output are multiplied by their masks."""
        input_mask, hidden_mask = masks
        if states:
            states = (cmult(states[0], hidden_mask), *states[1:])
        return self.layer_step(parameters, cmult(x, input_mask), *states)

    def mask_sizes(self, rows: int, hidden: int) -> tuple[int, ...]:
        """Sizes of the dropout masks of a layer, that of its input first."""
        return rows, hidden

    def computed_weights(self, parameters: tuple[Expression, ...]) -> tuple[Expression, ...]:
        """Weights of a layer that are computed once a graph; steps get them for the first of the parameters."""
        return ()

    def add_layer(self, rows: int, hidden: int) -> list[Parameters]:
        """Make the parameters of a layer."""
        return [self.add_parameter(dims) for dims in self.parameter_dims(rows, hidden)]

    def add_parameter(self, dims: tuple[int, ...]) -> Parameters:
        """Make a parameter in the builder's collection: a matrix Glorot, a vector zero at first."""
        return self._collection.add_parameters(dims, init=None if len(dims) == 2 else 0.0)

    def parameters_of_layer(self, layer: int, update: bool) -> tuple[Expression, ...]:
        """The parameters of a layer as steps read them: without `update` all are constants."""
        return tuple([p.expr(update) for p in self._parameters[layer]])

    # What every builder has.

    def initial_state(self, vecs: Iterable[Expression] | None = None, update: bool = True) -> RNNState:
        """The start of a sequence; `vecs` as in `RNNState.set_s`, without them the state is zero.

        With `update=False` the steps from this state pass no gradient to the builder's parameters.
        """
        start = RNNState(self, None, None, None, bool(update))
        given = list(vecs) if vecs is not None else []
        return start.set_s(given) if given else start

    def initial_state_from_raw_vectors(self, vecs: Iterable[Any], update: bool = True) -> RNNState:
        """`initial_state` of arrays or lists of numbers."""
        return self.initial_state([inputTensor(vec) for vec in vecs], update)

    def set_dropout(self, rate: float) -> None:
        """Drop inputs of layers and previous outputs with this probability: masks of `RecurrentDropout`.

        Raises ValueError outside of [0, 1].
        """
        self._dropout.set_rates(rate, rate)

    def set_dropouts(self, input_rate: float, hidden_rate: float) -> None:
        """Like `set_dropout`, a rate for the inputs of layers, another for previous outputs."""
        self._dropout.set_rates(input_rate, hidden_rate)

    def set_dropout_masks(self, batch_size: int = 1) -> None:
        """Draw the masks of the current graph anew; of batch size 1, they are the same for all examples."""
        self._dropout.draw(batch_size)

    def disable_dropout(self) -> None:
        """Rates zero."""
        self._dropout.set_rates(0.0, 0.0)

    def get_parameters(self) -> list[list[Parameters]]:
        """The parameters of every layer."""
        return [list(parameters) for parameters in self._parameters]

    def get_parameter_expressions(self) -> list[list[Expression]]:
        """The parameters of every layer as expressions."""
        return [list(self.parameters_of_layer(k, True)) for k in range(self.layers)]

    def param_collection(self) -> ParameterCollection:
        """The builder's own collection."""
        return self._collection

    @property
    def spec(self) -> tuple[Any, ...]:
        """Arguments of the constructor, without the collection."""
        return self.layers, self.input_dim, self.hidden_dim

    @classmethod
    def from_spec(cls: type[Builder], spec: Sequence[Any], model: ParameterCollection) -> Builder:
        """A builder made from a `spec`, with new parameters in `model`."""
        layers, input_dim, hidden_dim, *rest = spec
        return cls(layers, input_dim, hidden_dim, model, *rest)

    def whoami(self) -> str:
        """Name of the class."""
        return type(self).__name__

    # Steps; states call these.

    def step(self, layers: Layers | None, x: Expression, update: bool) -> tuple[Layers, Expression]:
        """One step of all layers from their states: the new states, and the output."""
        check_expressions(self.whoami(), [x])
        graph = x.graph or current()
        masked = self._dropout.active
        shared = self._shared(graph, x.shape.batch, update) if masked or self.computes_weights else []
        new: list[tuple[Expression, ...]] = []
        states_of = layers or self._start_states(graph, x.shape.batch)
        for k, cell in enumerate(self._cells(update, masked, layers is None)):
            if self._step_rate:
                x = dropout(x, self._step_rate)
            states = cell(x, *states_of[k], *shared[k]) if shared else cell(x, *states_of[k])
            new.append(states)
            x = states[0]
        return new, dropout(x, self._step_rate) if self._step_rate else x

    def steps(
        self, layers: Layers | None, xs: Iterable[Expression], update: bool
    ) -> Iterator[tuple[Layers, Expression]]:
        """The states of all layers and the output, after each of the inputs."""
        for section in self._sections(layers, equal_runs(self.whoami(), xs), update):
            columns = [section.states(k) for k in range(self.layers)]
            yield from zip(zip(*columns), self._dropped(section.outputs))

    def outputs(self, layers: Layers | None, xs: Iterable[Expression], update: bool) -> MutableSequence[Expression]:
        """The output after each of the inputs; `Expressions` where all have one shape and no mask of their own."""
        runs = equal_runs(self.whoami(), xs)
        if layers is None and len(runs) == 1 and self.starts_plainly(runs[0].shape.batch):
            (run,) = runs
            indices, shape = self.outputs_at(run.graph, run.indices, run.shape, update)
            return Expressions(run.graph, shape, indices)
        return self._dropped(joined([section.outputs for section in self._sections(layers, runs, update)]))

    def starts_plainly(self, batch: int) -> bool:
        """Whether steps from the start share nothing and draw no masks, and its states are the tape's zero value."""
        special = self._step_rate or self._dropout.active or self.computes_weights or not self.starts_from_zero
        return not special and self.hidden_dim * batch <= ZERO_FLOATS

    def outputs_at(
        self, graph: ComputationGraph, indices: Sequence[int], shape: Shape, update: bool = True
    ) -> tuple[Sequence[int], Shape]:
        """Outputs from the start, where it is plain, of inputs of one shape at these places of the tape.

        Places and shape of the outputs.
        """
        hidden, zeros = (shape_of((self.hidden_dim,), shape.batch),) * self.components, (0,) * self.components
        for cell in self._cells(update, False, True):
            template = cell.template((shape, *hidden))
            starts = template.repeat(graph, len(indices), [indices], zeros)
            first, shape = template.results[0], template.shapes[0]
            indices = range(starts.start + first, starts.stop + first, starts.step)
        return indices, shape

    def _sections(self, layers: Layers | None, runs: list[Expressions], update: bool) -> Iterator[Section]:
        """Run over the inputs in sections, each with the same signatures at all its steps."""
        while runs:
            run = runs.pop(0)
            if len(run) > 1 and not self._settled(layers, run.shape.batch):
                runs.insert(0, Expressions(run.graph, run.shape, run.indices[1:]))
                run = Expressions(run.graph, run.shape, run.indices[:1])
            section = self._section(layers, run, update)
            yield section
            if runs:
                layers = [section.states(k, last=True)[0] for k in range(self.layers)]

    def _settled(self, layers: Layers | None, batch: int) -> bool:
        """Whether states have the shape of those computed from them; a given state may have another batch size."""
        if layers is None:
            return self.starts_from_zero
        hidden = shape_of((self.hidden_dim,), batch)
        return all(s.shape is hidden for states in layers for s in states)

    def _section(self, layers: Layers | None, xs: Expressions, update: bool) -> Section:
        graph = xs.graph
        shared = self._shared(graph, xs.shape.batch, update)
        states_of = layers or self._start_states(graph, xs.shape.batch)
        tracks: list[Track] = []
        for k, cell in enumerate(self._cells(update, self._dropout.active, layers is None)):
            if self._step_rate:
                (xs,) = equal_runs(self.whoami(), self._dropped(xs))
            states, constants = states_of[k], shared[k] if shared else ()
            graph_of(self.whoami(), (xs, *states, *constants))
            template = cell.template((xs.shape, *[s.shape for s in states], *[e.shape for e in constants]))
            starts = template.repeat(
                graph, len(xs), [xs.indices], [s.index for s in states], [e.index for e in constants]
            )
            tracks.append((template, starts))
            xs = results(graph, template, starts)
        return Section(graph, tracks, xs)

    def _cells(self, update: bool, masked: bool, start: bool) -> list[Cell]:
        """One step of every layer; operands are the input, the states, and what the steps of a graph share."""
        bare = start and not self.starts_from_zero
        cells = self._made_cells.get((update, masked, bare))
        if cells is None:
            states = 0 if bare else self.components
            steps = [
                partial(self._run, k, self.parameters_of_layer(k, update), states, len(sizes) if masked else 0)
                for k, sizes in enumerate(self._dropout.sizes)
            ]
            cells = self._made_cells[update, masked, bare] = [Cell(step, self.whoami()) for step in steps]
        return cells

    def _run(
        self, layer: int, parameters: tuple[Expression, ...], states: int, masks: int, x: Expression, *rest: Expression
    ) -> tuple[Expression, ...]:
        """A step of a layer, given as many states and masks, then the computed weights."""
        given, drawn, computed = rest[:states], rest[states : states + masks], rest[states + masks :]
        parameters = (*computed, *parameters[len(computed) :])
        if layer == 0:
            x = self._as_input(x)
        return self.masked_step(parameters, drawn, x, *given) if masks else self.layer_step(parameters, x, *given)

    def _as_input(self, x: Expression) -> Expression:
        """The input of the first layer, checked once for every new shape; a column becomes a vector."""
        if x.shape.dims == (self.input_dim,):
            return x
        if x.shape.rows != self.input_dim or not x.shape.is_vector:
            raise ShapeError(f"{self.whoami()} takes inputs of shape {{{self.input_dim}}}, got {x.shape}")
        return reshape(x, (self.input_dim,))

    def _shared(self, graph: ComputationGraph, batch: int, update: bool) -> Shared:
        """Per layer, its dropout masks and computed weights; empty where steps share nothing."""
        masks = self._dropout.masks(graph, batch) if self._dropout.active else []
        if not self.computes_weights:
            return masks
        weights = self._computed.find(graph, update)
        if weights is None:
            with recording_on(graph):
                weights = [self.computed_weights(self.parameters_of_layer(k, update)) for k in range(self.layers)]
            self._computed.keep(graph, update, weights)
        return [(*drawn, *made) for drawn, made in zip(masks, weights)] if masks else weights

    def _dropped(self, xs: MutableSequence[Expression]) -> MutableSequence[Expression]:
        return [dropout(x, self._step_rate) for x in xs] if self._step_rate else xs

    def _start_states(self, graph: ComputationGraph, batch: int) -> Layers:
        if not self.starts_from_zero:
            return [()] * self.layers
        zero = zero_state(graph, shape_of((self.hidden_dim,), batch))
        return [(zero,) * self.components] * self.layers
