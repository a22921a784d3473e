"""Long short-term memory with one matrix for all gates: plain, with normalised layers, with noisy weights."""

from __future__ import annotations

import math
from typing import Any

from weft_core.collection import ParameterCollection
from weft_core.expression import Expression
from weft_core.ops.activations import tanh
from weft_core.ops.arithmetic import cmult
from weft_core.ops.noise import noise
from weft_core.ops.normalisation import layer_norm
from weft_core.ops.products import affine_transform
from weft_core.parameters import Parameters

from . import cells
from .recurrent import RecurrentBuilder


class VanillaLSTMBuilder(RecurrentBuilder):
    """Long short-term memory (Hochreiter & Schmidhuber 1997) with forget gate, without peepholes.

        i, f, o = logistic of their rows of a (f plus `forget_bias`), g = tanh of its rows
        a = Wx x + Wh h_prev + b,  c = f c_prev + i g,  h = o tanh(c)

    Parameters per layer Wx `{4H,I}`, Wh `{4H,H}`, b `{4H}`, rows i, f, o, g.

    With `ln_lstm=True` its layers are normalised (Ba, Kiros, Hinton 2016), with gains and biases gh, bh, gx, bx `{4H}`,
    gc, bc `{H}` per layer, in this order after the others, in the subcollection `layer-norm`:

        a = layer_norm(Wx x, gx, bx) + layer_norm(Wh h_prev, gh, bh) + b,  h = o tanh(layer_norm(c, gc, bc))

    Without an initial state the first step leaves out the term of h_prev, which for zeros would be bh.
    """

    collection_name = "vanilla-lstm-builder"
    components = 2

    def __init__(
        self,
        layers: int,
        input_dim: int,
        hidden_dim: int,
        model: ParameterCollection,
        ln_lstm: bool = False,
        forget_bias: float = 1.0,
    ) -> None:
        self.ln_lstm, self.forget_bias = bool(ln_lstm), float(forget_bias)
        self.starts_from_zero = not self.ln_lstm
        self._normalisation: ParameterCollection | None = None
        super().__init__(layers, input_dim, hidden_dim, model)

    def parameter_dims(self, rows: int, hidden: int) -> list[tuple[int, ...]]:
        return [(4 * hidden, rows), (4 * hidden, hidden), (4 * hidden,)]

    def add_layer(self, rows: int, hidden: int) -> list[Parameters]:
        weights = super().add_layer(rows, hidden)
        return [*weights, *self._add_normalisation(hidden)] if self.ln_lstm else weights

    def _add_normalisation(self, hidden: int) -> list[Parameters]:
        """Gains of one and biases of zero: of the product with h, of that with x, of c."""
        if self._normalisation is None:
            # The names of the weights stay those of the LSTM without.
            self._normalisation = self._collection.add_subcollection("layer-norm")
        sizes = (4 * hidden, 4 * hidden, hidden)
        return [self._normalisation.add_parameters((n,), init=value) for n in sizes for value in (1.0, 0.0)]

    def layer_step(
        self, parameters: tuple[Expression, ...], x: Expression, *states: Expression
    ) -> tuple[Expression, ...]:
        if self.ln_lstm:
            return self._normalised_step(parameters, x, *states)
        (wx, wh, b, *_), (h, c) = parameters, states
        if wx.shape.parameter >= 0:
            return cells.lstm([(wx, x), (wh, h)], b, [c], forget_bias=self.forget_bias)
        c, o = cells.lstm_memory(affine_transform([b, wx, x, wh, h]), c, self.forget_bias)
        return cmult(o, tanh(c)), c

    def _normalised_step(
        self, parameters: tuple[Expression, ...], x: Expression, *states: Expression
    ) -> tuple[Expression, ...]:
        (wx, wh, b, *_), (gh, bh, gx, bx, gc, bc) = parameters, parameters[-6:]
        a = layer_norm(wx * x, gx, bx) + b
        if states:
            a = a + layer_norm(wh * states[0], gh, bh)
        c, o = cells.lstm_memory(a, states[1] if states else None, self.forget_bias)
        return cmult(o, tanh(layer_norm(c, gc, bc))), c

    @property
    def spec(self) -> tuple[Any, ...]:
        return (*super().spec, self.ln_lstm, self.forget_bias)


LSTMBuilder = VanillaLSTMBuilder


class CompactVanillaLSTMBuilder(VanillaLSTMBuilder):
    """The vanilla LSTM with forget bias 1, under the name that DyNet gave to its compact implementation."""

    collection_name = "compact-vanilla-lstm-builder"

    def __init__(self, layers: int, input_dim: int, hidden_dim: int, model: ParameterCollection) -> None:
        self.weightnoise_std = 0.0
        super().__init__(layers, input_dim, hidden_dim, model)

    def set_weightnoise(self, std: float) -> None:
        """Add normal noise of this standard deviation to Wx, Wh and b; 0 adds none.

        It is drawn once a graph, the same for all its steps and sequences (Graves, Mohamed, Hinton 2013). Gradients are
        those at the noisy weights. Raises ValueError for a negative or infinite deviation.
        """
        if not 0 <= std < math.inf:
            raise ValueError(f"set_weightnoise: a standard deviation is a finite number from 0 on, got {std}")
        self.weightnoise_std = float(std)
        self.computes_weights = self.weightnoise_std > 0
        self._computed.forget()

    def computed_weights(self, parameters: tuple[Expression, ...]) -> tuple[Expression, ...]:
        return tuple([noise(p, self.weightnoise_std) for p in parameters])

    @property
    def spec(self) -> tuple[Any, ...]:
        return self.layers, self.input_dim, self.hidden_dim
