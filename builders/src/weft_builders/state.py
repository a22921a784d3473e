"""States of recurrent builders: a place in a sequence, from which it goes on, also in several ways."""

from __future__ import annotations

from collections.abc import Iterable, MutableSequence, Sequence
from typing import TYPE_CHECKING

from weft_core.errors import ShapeError
from weft_core.expression import Expression
from weft_core.graph import ComputationGraph, current
from weft_core.operation import check_expressions
from weft_core.ops.inputs import record_input
from weft_core.planner import ZERO_FLOATS
from weft_core.shape import Shape, shape_of
from weft_core.store import FLOAT_BYTES

if TYPE_CHECKING:
    from .recurrent import RecurrentBuilder

# Per layer, the components of its state: (h,) or (h, c).
Layers = Sequence[tuple[Expression, ...]]


class RNNState:
    """A state of a builder; made by `initial_state()`, and by steps from another state."""

    __slots__ = ("_builder", "_output", "_previous", "_update", "layers")

    def __init__(
        self,
        builder: RecurrentBuilder,
        layers: Layers | None,
        output: Expression | None,
        previous: RNNState | None,
        update: bool,
    ) -> None:
        self.layers = layers
        self._builder = builder
        self._output = output
        self._previous = previous
        self._update = update

    def add_input(self, x: Expression) -> RNNState:
        """The state one step further; raises `ShapeError` for an input of another size than the builder's."""
        layers, output = self._builder.step(self.layers, x, self._update)
        return RNNState(self._builder, layers, output, self, self._update)

    def add_inputs(self, xs: Iterable[Expression]) -> list[RNNState]:
        """The states after each of these inputs."""
        states: list[RNNState] = []
        state = self
        for layers, output in self._builder.steps(self.layers, xs, self._update):
            state = RNNState(self._builder, layers, output, state, self._update)
            states.append(state)
        return states

    def transduce(self, xs: Iterable[Expression]) -> MutableSequence[Expression]:
        """The outputs of the top layer after each of these inputs; the quickest way to run over a sequence.

        Of inputs of one shape they are `Expressions`, a list that makes its items when they are asked for.
        """
        return self._builder.outputs(self.layers, xs, self._update)

    def output(self) -> Expression | None:
        """Output of the top layer; None for the start of a sequence."""
        return self._output

    def h(self) -> tuple[Expression, ...]:
        """Outputs of all layers; empty for the start of a sequence."""
        return tuple(states[0] for states in self.layers or ())

    def s(self) -> tuple[Expression, ...]:
        """The whole state: `h` of all layers; of LSTMs `c` of all layers, then `h` of all layers."""
        components = reversed(range(self._builder.components))
        return tuple(states[k] for k in components for states in self.layers or ())

    def prev(self) -> RNNState | None:
        """The state that this one was made from; None for the start."""
        return self._previous

    def b(self) -> RecurrentBuilder:
        """The builder."""
        return self._builder

    def set_h(self, es: Iterable[Expression] | None = None) -> RNNState:
        """A next state with these outputs, one per layer; the other half of an LSTM's state is that of this state.

        At the start of a sequence that half is zero. Raises `ShapeError` for another number or other shapes.
        """
        given = self._checked("set_h", es, (1,))
        return self._next([given, *self._components()[1:]])

    def set_s(self, es: Iterable[Expression] | None = None) -> RNNState:
        """A next state with this state, in the order of `s()`; for an LSTM also only `c`, `h` stays then.

        Raises `ShapeError` for another number or other shapes.
        """
        components = self._builder.components
        given = self._checked("set_s", es, (1, components))
        layers = self._builder.layers
        parts: list[Sequence[Expression] | None] = [given[k : k + layers] for k in range(0, len(given), layers)]
        # `s()` names the components last to first.
        return self._next([*self._components()[: components - len(parts)], *reversed(parts)])

    def _components(self) -> list[Sequence[Expression] | None]:
        """Per component, its value in every layer; None where this is the start."""
        if self.layers is None:
            return [None] * self._builder.components
        return [[states[k] for states in self.layers] for k in range(self._builder.components)]

    def _checked(self, name: str, es: Iterable[Expression] | None, times: tuple[int, ...]) -> list[Expression]:
        given = list(es) if es is not None else []
        check_expressions(name, given)
        layers, hidden = self._builder.layers, self._builder.hidden_dim
        if not layers or len(given) not in [k * layers for k in times]:
            wanted = " or ".join(dict.fromkeys(str(k * layers) for k in times))
            raise ShapeError(f"{name}: needs {wanted} expressions for {layers} layers, got {len(given)}")
        for e in given:
            if e.shape.dims != (hidden,):
                raise ShapeError(f"{name}: a state has shape {{{hidden}}}, got {e.shape}")
        return given

    def _next(self, components: Sequence[Sequence[Expression] | None]) -> RNNState:
        known = next(part for part in components if part is not None)
        full = [
            part or [zero_state(e.graph, shape_of(e.shape.dims, e.shape.batch)) for e in known] for part in components
        ]
        layers = list(zip(*full))
        return RNNState(self._builder, layers, layers[-1][0], self, self._update)


def zero_state(graph: ComputationGraph | None, shape: Shape) -> Expression:
    """Zeros as the state before the first step: the zero value of the tape, which costs no instruction.

    Beyond the size of the zero value, an input of zeros.
    """
    if shape.total <= ZERO_FLOATS:
        return Expression(graph, 0, shape)  # type: ignore[arg-type]
    return record_input(graph or current(), shape, bytes(FLOAT_BYTES * shape.total))
