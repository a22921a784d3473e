"""The part of a parameter store that a subcollection holds, for trainers of subcollections."""

from __future__ import annotations

from weft_core.collection import ParameterCollection
from weft_core.store import DenseSlot, LookupTable, ParameterStore, owner


def part_of(collection: ParameterCollection) -> ParameterStore:
    """The arenas of the collection's root, with the slots of this collection only."""
    root = collection.store
    part = ParameterStore.__new__(ParameterStore)
    part.values, part.gradients, part.used = root.values, root.gradients, root.used
    slots = [owner(p.shape.parameter) for p in collection.parameters_list()]
    part.dense = [slot for slot in slots if isinstance(slot, DenseSlot)]
    tables = [owner(p.shape.parameter) for p in collection.lookup_parameters_list()]
    part.tables = [table for table in tables if isinstance(table, LookupTable)]
    return part
