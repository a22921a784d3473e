"""Long short-term memory whose forget gate is one minus its input gate, with and without peepholes."""

from __future__ import annotations

import warnings

from weft_core.expression import Expression
from weft_core.ops.activations import logistic, tanh
from weft_core.ops.arithmetic import cmult
from weft_core.ops.products import affine_transform

from .masks import check_rate
from .recurrent import RecurrentBuilder


class CoupledLSTMBuilder(RecurrentBuilder):
    """An LSTM with peepholes (Gers & Schmidhuber 2000) whose forget gate is `1 - i` (Greff et al. 2017).

        i = logistic(Wix x + Wih h_prev + Wic c_prev + bi),  g = tanh(Wcx x + Wch h_prev + bc)
        c = (1 - i) c_prev + i g
        o = logistic(Wox x + Woh h_prev + Woc c + bo),  h = o tanh(c)

    Parameters per layer Wix, Wih, Wic, bi, Wox, Woh, Woc, bo, Wcx, Wch, bc; peepholes are full matrices `{H,H}`.
    Dropout has a third mask, with the hidden rate, for c_prev and c in the peepholes; the memory itself is not dropped.
    """

    collection_name = "lstm-builder"
    components = 2

    def parameter_dims(self, rows: int, hidden: int) -> list[tuple[int, ...]]:
        candidate: list[tuple[int, ...]] = [(hidden, rows), (hidden, hidden), (hidden,)]
        gate: list[tuple[int, ...]] = [(hidden, rows), (hidden, hidden), (hidden, hidden), (hidden,)]
        return [*gate, *gate, *candidate]

    def mask_sizes(self, rows: int, hidden: int) -> tuple[int, ...]:
        return rows, hidden, hidden

    def layer_step(
        self, parameters: tuple[Expression, ...], x: Expression, *states: Expression
    ) -> tuple[Expression, ...]:
        h, c = states
        return self._step(parameters, x, h, c, None)

    def masked_step(
        self, parameters: tuple[Expression, ...], masks: tuple[Expression, ...], x: Expression, *states: Expression
    ) -> tuple[Expression, ...]:
        (h, c), (input_mask, hidden_mask, memory_mask) = states, masks
        return self._step(parameters, cmult(x, input_mask), cmult(h, hidden_mask), c, memory_mask)

    def _step(
        self, parameters: tuple[Expression, ...], x: Expression, h: Expression, c: Expression, mask: Expression | None
    ) -> tuple[Expression, ...]:
        wix, wih, wic, bi, wox, woh, woc, bo, wcx, wch, bc = parameters
        seen = c if mask is None else cmult(c, mask)
        i = logistic(affine_transform([bi, wix, x, wih, h, wic, seen]))
        c = cmult(1 - i, c) + cmult(i, tanh(affine_transform([bc, wcx, x, wch, h])))
        seen = c if mask is None else cmult(c, mask)
        o = logistic(affine_transform([bo, wox, x, woh, h, woc, seen]))
        return cmult(o, tanh(c)), c


class FastLSTMBuilder(RecurrentBuilder):
    """The coupled LSTM without peepholes: one product for each matrix, no gate waits for another.

        i, o = logistic, g = tanh, each of its own W x + U h_prev + b
        c = (1 - i) c_prev + i g,  h = o tanh(c)

    Parameters per layer Wix, Wih, pi, bi, Wox, Woh, po, bo, Wcx, Wch, bc. As in DyNet the peepholes pi and po `{H,1}`
    are there, so that models fit, but nothing reads them; and there is no dropout.
    """

    collection_name = "fast-lstm-builder"
    components = 2

    def parameter_dims(self, rows: int, hidden: int) -> list[tuple[int, ...]]:
        candidate: list[tuple[int, ...]] = [(hidden, rows), (hidden, hidden), (hidden,)]
        gate: list[tuple[int, ...]] = [(hidden, rows), (hidden, hidden), (hidden, 1), (hidden,)]
        return [*gate, *gate, *candidate]

    def layer_step(
        self, parameters: tuple[Expression, ...], x: Expression, *states: Expression
    ) -> tuple[Expression, ...]:
        wix, wih, _, bi, wox, woh, _, bo, wcx, wch, bc = parameters
        h, c = states
        i = logistic(affine_transform([bi, wix, x, wih, h]))
        o = logistic(affine_transform([bo, wox, x, woh, h]))
        c = cmult(1 - i, c) + cmult(i, tanh(affine_transform([bc, wcx, x, wch, h])))
        return cmult(o, tanh(c)), c

    def set_dropout(self, rate: float) -> None:
        """No effect, as in DyNet; a rate above 0 gives a warning. Raises ValueError outside of [0, 1]."""
        check_rate(rate)
        if rate > 0:
            warnings.warn(
                "a FastLSTMBuilder has no dropout, the rate has no effect; use a VanillaLSTMBuilder or a "
                "CoupledLSTMBuilder, or drop its inputs and outputs with dropout()",
                stacklevel=2,
            )

    def set_dropouts(self, input_rate: float, hidden_rate: float) -> None:
        """Raises TypeError: there is no dropout."""
        raise TypeError("a FastLSTMBuilder has no dropout; use a VanillaLSTMBuilder or a CoupledLSTMBuilder")

    def set_dropout_masks(self, batch_size: int = 1) -> None:
        """Raises TypeError: there is no dropout."""
        raise TypeError("a FastLSTMBuilder has no dropout, there are no masks to set")
