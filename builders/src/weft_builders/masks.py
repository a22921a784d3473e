"""Dropout masks of recurrent builders: drawn once a graph, the same at every step (Gal & Ghahramani 2016)."""

from __future__ import annotations

from collections.abc import Sequence

from weft_core.expression import Expression
from weft_core.graph import ComputationGraph, current
from weft_core.ops.noise import random_bernoulli

LayerMasks = tuple[Expression, Expression]


class RecurrentDropout:
    """Rates, and per graph one mask for the input and one for the previous output of every layer.

    Masks are drawn at the first step in a graph with the batch size of its input; one of batch size 1 serves all batch
    sizes. A later sequence of another batch size has masks of its own.
    """

    def __init__(self, sizes: Sequence[tuple[int, int]]) -> None:
        self.input_rate = self.hidden_rate = 0.0
        self._sizes = sizes
        self._drawn: dict[ComputationGraph, dict[int, list[LayerMasks]]] = {}

    @property
    def active(self) -> bool:
        return self.input_rate > 0 or self.hidden_rate > 0

    def set_rates(self, input_rate: float, hidden_rate: float) -> None:
        """Raises ValueError for a rate outside of [0, 1]."""
        for rate in (input_rate, hidden_rate):
            check_rate(rate)
        self.input_rate, self.hidden_rate = float(input_rate), float(hidden_rate)

    def draw(self, batch: int) -> None:
        """New masks in the current graph, in the place of all that it had."""
        self._of(current()).clear()
        self.masks(current(), batch)

    def masks(self, graph: ComputationGraph, batch: int) -> list[LayerMasks]:
        """The masks of a graph, per layer."""
        drawn = self._of(graph)
        found = drawn.get(batch) or drawn.get(1)
        if found is None:
            rates = self.input_rate, self.hidden_rate
            found = [(_mask(rows, rates[0], batch), _mask(h, rates[1], batch)) for rows, h in self._sizes]
            drawn[batch] = found
        return found

    def _of(self, graph: ComputationGraph) -> dict[int, list[LayerMasks]]:
        if graph not in self._drawn:
            self._drawn = {g: masks for g, masks in self._drawn.items() if not g.is_stale}
        return self._drawn.setdefault(graph, {})


def _mask(rows: int, rate: float, batch: int) -> Expression:
    return random_bernoulli((rows,), 1 - rate, 1 / (1 - rate) if rate < 1 else 0.0, batch)


def check_rate(rate: float) -> None:
    """Raise ValueError for a dropout rate outside of [0, 1]."""
    if not 0 <= rate <= 1:
        raise ValueError(f"a dropout rate is a probability from 0 to 1, got {rate}")
