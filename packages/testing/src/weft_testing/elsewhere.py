"""A stand-in for the memory of a device: it takes arrays away, so that who reads the host alone reads NaN."""

from __future__ import annotations

import numpy as np

from weft_core.extend import RuleState
from weft_core.residence import Floats, Movable
from weft_core.store import LookupTable, ParameterStore


class Elsewhere:
    """The newest numbers of one array; `fetched` counts the numbers that were copied to the host."""

    def __init__(self, movable: Movable) -> None:
        self.numbers = movable.here().copy()
        self.fetched = 0
        self.released = False
        movable.array.fill(np.nan)
        movable.leave(self)

    def fetch(self, array: Floats, start: int, stop: int) -> None:
        array[start:stop] = self.numbers[start:stop]
        self.fetched += array[start:stop].size

    def release(self) -> None:
        self.released = True


def take_away(store: ParameterStore, state: RuleState | None = None) -> dict[Movable, Elsewhere]:
    """Everything that a backend may keep in memory of its own: parameters, gradients, moments.

    Updates that rows of look-up tables have missed are made up for first: that is the duty of who takes them away.
    """
    owners: list[ParameterStore | LookupTable] = [store, *store.tables]
    for table in store.tables:
        table.clear_arrears()
    movables: list[Movable] = [arena for owner in owners for arena in (owner.value_arena, owner.gradient_arena)]
    if state is not None:
        movables += [*state.dense.found.values(), *state.tables.found.values()]
    return {movable: Elsewhere(movable) for movable in movables}
