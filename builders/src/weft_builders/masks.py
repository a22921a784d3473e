"""Dropout masks of recurrent builders: drawn once a graph, the same at every step (Gal & Ghahramani 2016)."""

from __future__ import annotations

from collections.abc import Sequence

from weft_core.expression import Expression
from weft_core.graph import ComputationGraph, current, recording_on
from weft_core.ops.noise import random_bernoulli

from .per_graph import PerGraph, Shared


class RecurrentDropout:
    """Rates, and per graph the masks of every layer: of its input, of its previous output, and of what else it reads.

    Masks are drawn at the first step in a graph with the batch size of its input; one of batch size 1 serves all batch
    sizes. A later sequence of another batch size has masks of its own.
    """

    def __init__(self, sizes: Sequence[tuple[int, ...]]) -> None:
        self.input_rate = self.hidden_rate = 0.0
        self.sizes = sizes
        self._drawn = PerGraph()

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
        self._drawn.forget(current())
        self.masks(current(), batch)

    def masks(self, graph: ComputationGraph, batch: int) -> Shared:
        """The masks of a graph, per layer: that of the input has the input rate, all others the hidden rate."""
        found = self._drawn.find(graph, batch) or self._drawn.find(graph, 1)
        if found is None:
            with recording_on(graph):
                found = [
                    tuple(
                        _mask(rows, self.hidden_rate if k else self.input_rate, batch) for k, rows in enumerate(sizes)
                    )
                    for sizes in self.sizes
                ]
            self._drawn.keep(graph, batch, found)
        return found


def _mask(rows: int, rate: float, batch: int) -> Expression:
    return random_bernoulli((rows,), 1 - rate, 1 / (1 - rate) if rate < 1 else 0.0, batch)


def check_rate(rate: float) -> None:
    """Raise ValueError for a dropout rate outside of [0, 1]."""
    if not 0 <= rate <= 1:
        raise ValueError(f"a dropout rate is a probability from 0 to 1, got {rate}")
