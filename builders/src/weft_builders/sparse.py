"""Long short-term memory with weights that are switched off by masks."""

from __future__ import annotations

import numpy as np

from weft_core.expression import Expression
from weft_core.ops.arithmetic import cmult
from weft_core.parameters import Parameters

from .lstm import VanillaLSTMBuilder


class SparseLSTMBuilder(VanillaLSTMBuilder):
    """The vanilla LSTM of the matrices `Wx mask_x` and `Wh mask_h`, element by element (See, Luong, Manning 2016).

    Parameters per layer Wx, Wh, b, mask_x, mask_h, then those of `ln_lstm`. Masks are constants, 1 at first, that
    `set_sparsity` changes; they are saved with the weights. A weight whose mask is 0 keeps its value, without gradient.
    """

    computes_weights = True

    def add_layer(self, rows: int, hidden: int) -> list[Parameters]:
        wx, wh, b = self.parameter_dims(rows, hidden)
        weights = [self.add_parameter(dims) for dims in (wx, wh)]
        # DyNet's order of creation, by which its files are read.
        masks = [self._collection.add_parameters(dims, init=1.0) for dims in (wx, wh)]
        for mask in masks:
            mask.set_updated(False)
        bias = self.add_parameter(b)
        return [*weights, bias, *masks, *(self._add_normalisation(hidden) if self.ln_lstm else [])]

    def parameters_of_layer(self, layer: int, update: bool) -> tuple[Expression, ...]:
        wx, wh, b, mask_x, mask_h, *rest = self._parameters[layer]
        return (
            *[p.expr(update) for p in (wx, wh, b)],
            mask_x.expr(False),
            mask_h.expr(False),
            *[p.expr(update) for p in rest],
        )

    def computed_weights(self, parameters: tuple[Expression, ...]) -> tuple[Expression, ...]:
        wx, wh, _, mask_x, mask_h, *_ = parameters
        return cmult(wx, mask_x), cmult(wh, mask_h)

    def get_parameter_expressions(self) -> list[list[Expression]]:
        """Of every layer the weights as they are used, `Wx mask_x` and `Wh mask_h`, then the other parameters."""
        layers = [self.parameters_of_layer(k, True) for k in range(self.layers)]
        return [[*self.computed_weights(layer), layer[2], *layer[5:]] for layer in layers]

    def set_sparsity(self, fraction: float) -> None:
        """Switch off this fraction of the weights of all Wx and Wh: those of least magnitude; all others on.

        Weights that are off count as 0. It holds for the steps that are recorded from here on.
        Raises ValueError outside of [0, 1].
        """
        if not 0 <= fraction <= 1:
            raise ValueError(f"set_sparsity: the fraction of weights that are off is from 0 to 1, got {fraction}")
        pairs = [(layer[k], layer[k + 3]) for layer in self._parameters for k in (0, 1)]
        magnitudes = np.concatenate([np.abs(w.values * mask.values).ravel() for w, mask in pairs])
        on = np.ones(len(magnitudes), np.float32)
        on[np.argsort(magnitudes, kind="stable")[: int(fraction * len(magnitudes))]] = 0
        start = 0
        for w, mask in pairs:
            mask.set_value(on[start : start + w.values.size].reshape(w.values.shape))
            start += w.values.size
        self._computed.forget()
