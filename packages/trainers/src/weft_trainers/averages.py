"""Moving averages of weights: what is kept, how it is taken, and how it takes the weights' place."""

from __future__ import annotations

import math
import operator
from collections import defaultdict
from typing import Literal, TypeAlias

import numpy as np

from weft_core.rules import RuleState, spans
from weft_core.store import DenseSlot, Floats, ParameterStore, Slot, parameter_values

from .part import beside, slots_of

Kind: TypeAlias = Literal["exponential", "cumulative"]

_AVERAGE = "average"


class MovingAverage:
    """An average of every parameter, taken after the first of every `every` updates.

    exponential: `a = beta a + (1 - beta) w`, from a = 0; cumulative: `a = (n a + w) / (n + 1)`, the mean of all.
    `counts` holds the n of each parameter, by its id. Frozen parameters have averages, too.
    """

    def __init__(self, kind: Kind, beta: float = 0.0, every: int = 1) -> None:
        if kind not in ("exponential", "cumulative"):
            raise ValueError(f"a moving average is exponential or cumulative, not {kind!r}")
        if not 0 <= beta < 1:
            raise ValueError(f"exponential_moving_average: beta is the share that stays, 0 <= beta < 1, got {beta}")
        if operator.index(every) < 1:
            raise ValueError(f"a moving average is taken every so many updates, at least 1, got update_freq={every}")
        self.kind = kind
        self.beta = float(beta)
        self.every = operator.index(every)
        # Updates since the average was begun.
        self.updates = 0
        self.counts: dict[int, int] = {}
        self.swapped = False
        self._state = RuleState()
        self._weights: dict[int, Floats] | None = None

    @property
    def saved(self) -> bool:
        """Whether averages stand in for weights that are kept aside."""
        return self._weights is not None

    def way_back(self) -> str:
        """What to do about swapped weights."""
        if self.saved:
            return "call swap_params_to_weights() first"
        return (
            "they were swapped without save_weights; to go on from the averages, begin new ones with "
            "exponential_moving_average(beta) or cumulative_moving_average()"
        )

    def of(self, store: ParameterStore, slot: Slot) -> Floats:
        """The average of one parameter: a flat view, memory order."""
        return beside(self._state, _AVERAGE, store, slot)

    def take(self, store: ParameterStore) -> None:
        """Count an update of the store; where it is one of those, take the average."""
        self.updates += 1
        if (self.updates - 1) % self.every:
            return
        alike: defaultdict[int, list[DenseSlot]] = defaultdict(list)
        for slot in store.dense:
            alike[self.counts.get(slot.id, 0)].append(slot)
        arena = self._state.arena(_AVERAGE, store)
        for count, slots in alike.items():
            for start, end in spans(slots):
                self._blend(arena[start:end], store.seen_values(start, end), count)
        for table in store.tables:
            self._blend(self.of(store, table), table.seen_values().reshape(-1), self.counts.get(table.id, 0))
        for member in slots_of(store):
            self.counts[member.id] = self.counts.get(member.id, 0) + 1

    def _blend(self, average: Floats, weights: Floats, count: int) -> None:
        share = 1 - self.beta if self.kind == "exponential" else 1 / (count + 1)
        difference = weights - average
        difference *= np.float32(share)
        average += difference

    def swap_in(self, store: ParameterStore, save_weights: bool, bias_correction: bool) -> None:
        """Averages in the place of the weights; nothing happens when they are there already."""
        if self.swapped:
            return
        weights: dict[int, Floats] = {}
        for slot in slots_of(store):
            count = self.counts.get(slot.id, 0)
            if not count:
                continue
            values = parameter_values(slot.id)
            weights[slot.id] = values.copy()
            # The weights of an average that began with zero sum to 1 - beta^n.
            corrected = self.kind == "exponential" and bias_correction
            share = -math.expm1(count * math.log(self.beta)) if corrected and self.beta else 1.0
            np.divide(self.of(store, slot), np.float32(share), out=values)
        self.swapped = True
        self._weights = weights if save_weights else None

    def swap_out(self, store: ParameterStore) -> None:
        """The weights in their place again."""
        assert self._weights is not None
        for slot in slots_of(store):
            if slot.id in self._weights:
                parameter_values(slot.id)[...] = self._weights[slot.id]
        self.swapped, self._weights = False, None
