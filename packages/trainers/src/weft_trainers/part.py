"""The parts of a collection that an update treats alike: parameters with one weight decay."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from weft_core.collection import ParameterCollection
from weft_core.lazy import clear_arrears
from weft_core.parameters import StoredParameter
from weft_core.rules import RuleState
from weft_core.store import DenseSlot, Floats, LookupTable, ParameterStore, Slot, owner


@dataclass(frozen=True)
class Part:
    """Parameters of one weight decay, with the moments of a trainer and its log of missed updates."""

    store: ParameterStore
    decay: float
    state: RuleState

    def tables(self) -> tuple[int, ...]:
        """Which look-up tables it has."""
        return tuple(table.id for table in self.store.tables)


def members(collection: ParameterCollection) -> list[StoredParameter]:
    """All parameters of a collection, then all its look-up tables, each in order of creation."""
    return [*collection.parameters_list(), *collection.lookup_parameters_list()]


def slots_of(store: ParameterStore) -> list[Slot]:
    """Everything in a store."""
    return [*store.dense, *store.tables]


def beside(state: RuleState, name: str, store: ParameterStore, slot: Slot) -> Floats:
    """What a state holds of one parameter: a flat view, memory order."""
    if isinstance(slot, LookupTable):
        return state.table(name, slot).reshape(-1)
    return state.arena(name, store)[slot.offset : slot.offset + slot.size]


def part_of(root: ParameterStore, parameters: Iterable[StoredParameter]) -> ParameterStore:
    """The arenas of a root, with the slots of these parameters only."""
    part = ParameterStore.__new__(ParameterStore)
    part.value_arena, part.gradient_arena, part.used = root.value_arena, root.gradient_arena, root.used
    slots = [owner(p.shape.parameter) for p in parameters]
    part.dense = [slot for slot in slots if isinstance(slot, DenseSlot)]
    part.tables = [slot for slot in slots if isinstance(slot, LookupTable)]
    return part


def parts_of(
    collection: ParameterCollection, whole: ParameterStore, parameters: Iterable[StoredParameter], state: RuleState
) -> list[Part]:
    """These parameters, which are all that `whole` holds, by weight decay. All parts share the moments of `state`."""
    alike: dict[float, list[StoredParameter]] = {}
    for parameter in parameters:
        alike.setdefault(collection.weight_decay_of(parameter), []).append(parameter)
    if len(alike) < 2:
        return [Part(whole, decay, state) for decay in alike]
    return [
        Part(part_of(collection.store, some), decay, RuleState(state.dense, state.tables) if place else state)
        for place, (decay, some) in enumerate(alike.items())
    ]


def renewed(old: list[Part], new: list[Part], whole: ParameterStore) -> list[Part]:
    """The new parts, each with the state of the old one in its place.

    Where tables have gone from one to another, all their rows are made current first: each part has its own log.
    """
    if [part.tables() for part in old] != [part.tables() for part in new]:
        clear_arrears(whole)
    states = [part.state for part in old]
    return [Part(p.store, p.decay, s) for p, s in zip(new, [*states, *(p.state for p in new[len(states) :])])]
