"""States of several builders as one: each builder reads the output of the one below."""

from __future__ import annotations

from collections.abc import Iterable, MutableSequence, Sequence

from weft_core.expression import Expression

from .state import RNNState


class StackedRNNState:
    """States of several builders, the lowest first; each takes the output of the one below as its input.

        state = StackedRNNState([lower.initial_state(), upper.initial_state()])

    `prev` is the state that this one was made from. Raises ValueError for no states, TypeError for other things.
    """

    __slots__ = ("_previous", "states")

    def __init__(self, states: Sequence[RNNState], prev: StackedRNNState | None = None) -> None:
        self.states = list(states)
        if not self.states:
            raise ValueError("StackedRNNState: needs at least one state")
        for state in self.states:
            if not isinstance(state, RNNState):
                raise TypeError(
                    f"StackedRNNState: takes states of builders, got {type(state).__name__}; "
                    "use builder.initial_state()"
                )
        self._previous = prev

    def add_input(self, x: Expression) -> StackedRNNState:
        """The state one step further; raises `ShapeError` where an input does not fit."""
        new: list[RNNState] = []
        for state in self.states:
            new.append(state.add_input(x))
            x = _output(new[-1])
        return StackedRNNState(new, self)

    def add_inputs(self, xs: Iterable[Expression]) -> list[StackedRNNState]:
        """The states after each of these inputs."""
        columns: list[list[RNNState]] = []
        for state in self.states:
            columns.append(state.add_inputs(xs))
            xs = [_output(new) for new in columns[-1]]
        made: list[StackedRNNState] = []
        for row in zip(*columns):
            made.append(StackedRNNState(row, made[-1] if made else self))
        return made

    def transduce(self, xs: Iterable[Expression]) -> MutableSequence[Expression]:
        """The outputs of the top builder after each of these inputs."""
        first, *above = self.states
        outputs = first.transduce(xs)
        for state in above:
            outputs = state.transduce(outputs)
        return outputs

    def output(self) -> Expression | None:
        """Output of the top builder; None for the start of a sequence."""
        return self.states[-1].output()

    def h(self) -> list[tuple[Expression, ...]]:
        """Outputs of all layers, one tuple per builder."""
        return [state.h() for state in self.states]

    def s(self) -> list[tuple[Expression, ...]]:
        """Whole states, one tuple per builder."""
        return [state.s() for state in self.states]

    def prev(self) -> StackedRNNState | None:
        """The state that this one was made from; None for the start."""
        return self._previous


def _output(state: RNNState) -> Expression:
    """The output of a state after a step, which has one."""
    output = state.output()
    assert output is not None
    return output
