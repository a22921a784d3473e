"""Recurrent builders whose state is their output: the simple network and the gated recurrent unit."""

from __future__ import annotations

from weft_core.expression import Expression

from . import cells
from .recurrent import RecurrentBuilder


class SimpleRNNBuilder(RecurrentBuilder):
    """`h = tanh(Wx x + Wh h_prev + b)` (Elman 1990); parameters per layer Wx, Wh, b."""

    collection_name = "simple-rnn-builder"

    def parameter_dims(self, rows: int, hidden: int) -> list[tuple[int, ...]]:
        return [(hidden, rows), (hidden, hidden), (hidden,)]

    def layer_step(
        self, parameters: tuple[Expression, ...], x: Expression, *states: Expression
    ) -> tuple[Expression, ...]:
        wx, wh, b = parameters
        return cells.rnn([(wx, x), (wh, states[0])], b)


class GRUBuilder(RecurrentBuilder):
    """The gated recurrent unit (Cho et al. 2014).

        z = logistic(Wzx x + Wzh h_prev + bz),  r = logistic(Wrx x + Wrh h_prev + br)
        h = (1 - z) h_prev + z tanh(Whx x + Whh (r h_prev) + bh)

    Parameters per layer Wzx, Wzh, bz, Wrx, Wrh, br, Whx, Whh, bh. Dropout as in DyNet: a new mask at every step for
    the input of every layer and for the output of the top layer, none for the recurrence.
    """

    collection_name = "gru-builder"

    def parameter_dims(self, rows: int, hidden: int) -> list[tuple[int, ...]]:
        return [(hidden, rows), (hidden, hidden), (hidden,)] * 3

    def layer_step(
        self, parameters: tuple[Expression, ...], x: Expression, *states: Expression
    ) -> tuple[Expression, ...]:
        return cells.gru_step(parameters, x, states[0])

    def set_dropout(self, rate: float) -> None:
        """Drop inputs of layers and the output with this probability at every step anew.

        Raises ValueError outside of [0, 1).
        """
        if not 0 <= rate < 1:
            raise ValueError(f"the dropout rate of a GRUBuilder is from 0 to below 1, got {rate}")
        self._step_rate = float(rate)

    def set_dropouts(self, input_rate: float, hidden_rate: float) -> None:
        """Raises TypeError: a GRU has one rate."""
        raise TypeError("a GRUBuilder has no dropout of previous outputs; use set_dropout(rate)")

    def set_dropout_masks(self, batch_size: int = 1) -> None:
        """Raises TypeError: a GRU has no masks that last."""
        raise TypeError("a GRUBuilder draws a new mask at every step; there are no masks to set")

    def disable_dropout(self) -> None:
        """No dropout."""
        self._step_rate = 0.0
