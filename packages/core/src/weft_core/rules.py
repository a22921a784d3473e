"""Update rules: how a trainer changes parameters, written once as a formula and compiled by each backend."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .formula import check_names, numpy_function
from .store import BLOCK, DenseSlot, LookupTable, ParameterStore


@dataclass
class RuleState:
    """Moments of a rule: one array per state name, with the layout of the arena, and one per look-up table."""

    dense: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    tables: dict[tuple[int, str], NDArray[np.float32]] = field(default_factory=dict)
    # What a backend has prepared for these arrays; it must notice when they are other arrays.
    prepared: object = field(default=None, repr=False, compare=False)

    def arena(self, name: str, store: ParameterStore) -> NDArray[np.float32]:
        """State beside the parameter arena, zeros where the arena has grown."""
        array = self.dense.get(name)
        if array is None or len(array) < len(store.values):
            grown = np.zeros(len(store.values), np.float32)
            if array is not None:
                grown[: len(array)] = array
            self.dense[name] = array = grown
        return array

    def table(self, name: str, table: LookupTable) -> NDArray[np.float32]:
        """State beside a look-up table."""
        key = (table.id, name)
        if key not in self.tables:
            self.tables[key] = np.zeros_like(table.values)
        return self.tables[key]

    def clear(self) -> None:
        """All moments back to zero."""
        for array in (*self.dense.values(), *self.tables.values()):
            array.fill(0)


@dataclass(frozen=True)
class UpdateRule:
    """`program` assigns the new `w` and state from `w`, `g` (the gradient, already scaled), state and settings."""

    name: str
    program: str
    state: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_names(self.program, ("w", "g", *self.state, *self.settings))

    def apply(
        self,
        state: RuleState,
        store: ParameterStore,
        settings: dict[str, float],
        scale: float,
        sparse: bool,
    ) -> None:
        """The reference: one NumPy pass over updated spans and touched rows; clears the gradients that it used."""
        function = numpy_function(("w", "g", *self.state, *self.settings), self.program, ("w", *self.state))
        numbers = [np.float32(settings[name]) for name in self.settings]

        def update(w: NDArray[np.float32], g: NDArray[np.float32], moments: list[NDArray[np.float32]]) -> None:
            new = function(w, np.float32(scale) * g, *moments, *numbers)
            for target, value in zip((w, *moments), new, strict=True):
                target[...] = value
            g[...] = 0

        for start, end in updated_spans(store):
            span = slice(start, end)
            update(store.values[span], store.gradients[span], [state.arena(n, store)[span] for n in self.state])
        for table in store.tables:
            if not table.updated:
                continue
            rows = touched_rows(table, sparse)
            moments = [state.table(n, table) for n in self.state]
            parts = [m[rows] for m in moments]
            values, gradients = table.values[rows], table.gradients[rows]
            update(values, gradients, parts)
            table.values[rows] = values
            for moment, part in zip(moments, parts, strict=True):
                moment[rows] = part
            table.clear_gradients()


def spans(slots: Iterable[DenseSlot]) -> list[tuple[int, int]]:
    """Maximal runs of the arena that these parameters fill, each with its padding of zeros."""
    runs: list[tuple[int, int]] = []
    for slot in slots:
        end = slot.offset + -(-slot.size // BLOCK) * BLOCK
        start = runs.pop()[0] if runs and runs[-1][1] == slot.offset else slot.offset
        runs.append((start, end))
    return runs


def updated_spans(store: ParameterStore) -> list[tuple[int, int]]:
    """The runs of the arena whose parameters are not frozen."""
    return spans(slot for slot in store.dense if slot.updated)


def touched_rows(table: LookupTable, sparse: bool) -> NDArray[np.int64]:
    """Rows that an update changes: the touched ones, or all (dense updates, or a gradient of the whole table)."""
    if not sparse or table.meta[3]:
        return np.arange(len(table.values), dtype=np.int64)
    return table.touched[: table.meta[0]]
