"""The base of recurrent builders: a stack of layers that owns its parameters and runs over sequences."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, MutableSequence, Sequence
from functools import partial
from typing import Any, ClassVar, TypeVar

from weft_core.cell import Cell
from weft_core.collection import ParameterCollection
from weft_core.errors import ShapeError
from weft_core.expression import Expression
from weft_core.graph import ComputationGraph, current
from weft_core.operation import check_expressions, graph_of
from weft_core.ops.arithmetic import cmult
from weft_core.ops.inputs import inputTensor
from weft_core.ops.noise import dropout
from weft_core.ops.structure import reshape
from weft_core.parameters import Parameters
from weft_core.planner import ZERO_FLOATS
from weft_core.sequence import Expressions
from weft_core.shape import Shape, shape_of
from weft_core.template import Template

from .masks import LayerMasks, RecurrentDropout
from .state import Layers, RNNState, zero_state

StepFunction = Callable[..., tuple[Expression, ...]]
Builder = TypeVar("Builder", bound="RecurrentBuilder")
# What a run over a sequence leaves of one layer: where every step starts on the tape.
Track = tuple[Template, range]


class RecurrentBuilder(ABC):
    """A stack of `layers` recurrent layers; layer 0 takes inputs `{input_dim}`, the others `{hidden_dim}`.

    A subclass names its parameters' dims and gives one step of one layer as a function of expressions.
    """

    collection_name: ClassVar[str]
    # Components of the state of a layer, the output h first.
    components: ClassVar[int] = 1

    def __init__(self, layers: int, input_dim: int, hidden_dim: int, model: ParameterCollection) -> None:
        self.layers, self.input_dim, self.hidden_dim = int(layers), int(input_dim), int(hidden_dim)
        if self.layers < 1:
            raise ValueError(f"{self.whoami()}: needs at least one layer, got {layers}")
        self._collection = model.add_subcollection(self.collection_name)
        rows = [self.input_dim] + [self.hidden_dim] * (self.layers - 1)
        self._parameters = [
            [self._add(dims) for dims in self.parameter_dims(rows[k], self.hidden_dim)] for k in range(self.layers)
        ]
        self._dropout = RecurrentDropout([(rows[k], self.hidden_dim) for k in range(self.layers)])
        # Rate of a dropout that is drawn anew at every step.
        self._step_rate = 0.0
        self._made_cells: dict[tuple[bool, bool], list[Cell]] = {}

    @abstractmethod
    def parameter_dims(self, rows: int, hidden: int) -> list[tuple[int, ...]]:
        """Dims of the parameters of a layer, in order; matrices are Glorot, vectors zero at first."""

    @abstractmethod
    def layer_step(
        self, parameters: tuple[Expression, ...], x: Expression, *states: Expression
    ) -> tuple[Expression, ...]:
        """One step of a layer: the new state from input and state."""

    def _add(self, dims: tuple[int, ...]) -> Parameters:
        return self._collection.add_parameters(dims, init=None if len(dims) == 2 else 0.0)

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
        return [list(parameters) for parameters in self._parameters]

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
        masks = self._masks(graph, x.shape.batch)
        new: list[tuple[Expression, ...]] = []
        states_of = layers or self._zero_states(graph, x.shape.batch)
        for k, cell in enumerate(self._cells(update, bool(masks))):
            if self._step_rate:
                x = dropout(x, self._step_rate)
            states = cell(x, *states_of[k], *masks[k]) if masks else cell(x, *states_of[k])
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
        """Whether a run from the start draws no masks, and its states are the zero value of the tape."""
        return not (self._step_rate or self._dropout.active or self.hidden_dim * batch > ZERO_FLOATS)

    def outputs_at(
        self, graph: ComputationGraph, indices: Sequence[int], shape: Shape, update: bool = True
    ) -> tuple[Sequence[int], Shape]:
        """Outputs from the start, where it is plain, of inputs of one shape at these places of the tape.

        Places and shape of the outputs.
        """
        hidden, zeros = (shape_of((self.hidden_dim,), shape.batch),) * self.components, (0,) * self.components
        for cell in self._cells(update, False):
            template = cell.template((shape, *hidden))
            starts = template.repeat(graph, len(indices), [indices], zeros)
            first, shape = template.results[0], template.shapes[0]
            indices = range(starts.start + first, starts.stop + first, starts.step)
        return indices, shape

    def _sections(self, layers: Layers | None, runs: list[Expressions], update: bool) -> Iterator[Section]:
        """Run over the inputs in sections, each with the same signatures at all its steps."""
        while runs:
            run = runs.pop(0)
            if layers is not None and len(run) > 1 and not self._settled(layers, run.shape.batch):
                runs.insert(0, Expressions(run.graph, run.shape, run.indices[1:]))
                run = Expressions(run.graph, run.shape, run.indices[:1])
            section = self._section(layers, run, update)
            yield section
            if runs:
                layers = [section.states(k, last=True)[0] for k in range(self.layers)]

    def _settled(self, layers: Layers, batch: int) -> bool:
        """Whether states have the shape of those computed from them; a given state may have another batch size."""
        hidden = shape_of((self.hidden_dim,), batch)
        return all(s.shape is hidden for states in layers for s in states)

    def _section(self, layers: Layers | None, xs: Expressions, update: bool) -> Section:
        graph = xs.graph
        masks = self._masks(graph, xs.shape.batch)
        states_of = layers or self._zero_states(graph, xs.shape.batch)
        tracks: list[Track] = []
        for k, cell in enumerate(self._cells(update, bool(masks))):
            if self._step_rate:
                (xs,) = equal_runs(self.whoami(), self._dropped(xs))
            states, constants = states_of[k], masks[k] if masks else ()
            graph_of(self.whoami(), (xs, *states, *constants))
            template = cell.template((xs.shape, *[s.shape for s in states], *[m.shape for m in constants]))
            starts = template.repeat(
                graph, len(xs), [xs.indices], [s.index for s in states], [m.index for m in constants]
            )
            tracks.append((template, starts))
            xs = results(graph, template, starts)
        return Section(graph, tracks, xs)

    def _cells(self, update: bool, masked: bool) -> list[Cell]:
        """One step of every layer; operands are the input, the states, and with dropout the two masks."""
        cells = self._made_cells.get((update, masked))
        if cells is None:
            steps: list[StepFunction] = []
            for parameters in self._parameters:
                step = partial(self.layer_step, tuple(p.expr(update) for p in parameters))
                steps.append(partial(masked_step, step) if masked else step)
            steps[0] = partial(self._first_step, steps[0])
            cells = [Cell(step, self.whoami()) for step in steps]
            self._made_cells[update, masked] = cells
        return cells

    def _first_step(self, step: StepFunction, x: Expression, *rest: Expression) -> tuple[Expression, ...]:
        """The step of the first layer checks its input, once for every new shape; a column becomes a vector."""
        if x.shape.dims != (self.input_dim,):
            if x.shape.rows != self.input_dim or not x.shape.is_vector:
                raise ShapeError(f"{self.whoami()} takes inputs of shape {{{self.input_dim}}}, got {x.shape}")
            x = reshape(x, (self.input_dim,))
        return step(x, *rest)

    def _masks(self, graph: ComputationGraph, batch: int) -> list[LayerMasks]:
        return self._dropout.masks(graph, batch) if self._dropout.active else []

    def _dropped(self, xs: MutableSequence[Expression]) -> MutableSequence[Expression]:
        return [dropout(x, self._step_rate) for x in xs] if self._step_rate else xs

    def _zero_states(self, graph: ComputationGraph, batch: int) -> Layers:
        zero = zero_state(graph, shape_of((self.hidden_dim,), batch))
        return [(zero,) * self.components] * self.layers


class Section:
    """What was appended for a stretch of a sequence: per layer, where every step starts on the tape; the outputs."""

    __slots__ = ("graph", "outputs", "tracks")

    def __init__(self, graph: ComputationGraph, tracks: list[Track], outputs: Expressions) -> None:
        self.graph = graph
        self.tracks = tracks
        self.outputs = outputs

    def states(self, layer: int, last: bool = False) -> list[tuple[Expression, ...]]:
        """The state of a layer after each step, or after the last step only."""
        template, starts = self.tracks[layer]
        graph, parts = self.graph, list(zip(template.results, template.shapes))
        return [
            tuple([Expression(graph, start + r, shape) for r, shape in parts])
            for start in (starts[-1:] if last else starts)
        ]


def results(graph: ComputationGraph, template: Template, starts: range) -> Expressions:
    """The first result of a template at every place where it starts."""
    first = template.results[0]
    return Expressions(graph, template.shapes[0], range(starts.start + first, starts.stop + first, starts.step))


def masked_step(step: StepFunction, x: Expression, h: Expression, *rest: Expression) -> tuple[Expression, ...]:
    """A step whose input and previous output are multiplied by the last two operands, the masks."""
    *states, input_mask, hidden_mask = rest
    return step(cmult(x, input_mask), cmult(h, hidden_mask), *states)


def equal_runs(name: str, xs: Iterable[Expression]) -> list[Expressions]:
    """The inputs as runs of equal shape: nearly always one. Raises TypeError for what is not an expression."""
    if type(xs) is Expressions and xs.items is None:
        return [xs] if xs else []
    given = list(xs)
    try:
        shapes = [x.shape for x in given]
    except AttributeError:
        check_expressions(name, given)
        raise
    if not given:
        return []
    if shapes.count(shapes[0]) == len(shapes):
        runs = [given]
    else:
        runs = [list(run) for _, run in itertools.groupby(given, key=lambda x: x.shape)]
    check_expressions(name, [run[0] for run in runs])
    return [Expressions(graph_of(name, run), run[0].shape, [x.index for x in run]) for run in runs]


def joined(parts: Sequence[Expressions]) -> MutableSequence[Expression]:
    """The items of all parts: places where they have one shape, else a list."""
    if len(parts) == 1:
        return parts[0]
    if len({part.shape for part in parts}) == 1:
        return Expressions(parts[0].graph, parts[0].shape, [index for part in parts for index in part.indices])
    return [x for part in parts for x in part]
