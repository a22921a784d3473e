"""The part of a parameter store that a subcollection holds, for trainers of subcollections."""

from __future__ import annotations

import numpy as np

from weft_core.parameters import ParameterCollection
from weft_core.store import DenseSlot, LookupTable, ParameterStore, owner, parameter_arrays


def part_of(collection: ParameterCollection) -> ParameterStore:
    """The arenas of the collection's root, with the slots of this collection only."""
    root = collection.store
    part = ParameterStore.__new__(ParameterStore)
    part.values, part.gradients, part.used = root.values, root.gradients, root.used
    slots = [owner(p.shape.parameter) for p in collection.parameters_list()]
    part.dense = [slot for slot in slots if isinstance(slot, DenseSlot)]
    if part.dense:
        # An update treats a store without frozen parameters as one span; this one has gaps.
        part.dense.append(DenseSlot(id=-1, offset=0, size=0, updated=False))
    tables = [owner(p.shape.parameter) for p in collection.lookup_parameters_list()]
    part.tables = [table for table in tables if isinstance(table, LookupTable)]
    return part


def squared_norm(collection: ParameterCollection) -> float:
    """Sum of squares of the gradients of a collection."""
    members = (*collection.parameters_list(), *collection.lookup_parameters_list())
    gradients = (parameter_arrays(p.shape.parameter)[1] for p in members)
    return sum(float(np.square(g, dtype=np.float64).sum()) for g in gradients)
