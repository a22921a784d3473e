"""Update rules: how a trainer changes parameters, written once as a formula and compiled by each backend."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .errors import FormulaError
from .formula import check_names, numpy_function
from .store import BLOCK, DenseSlot, LookupTable, ParameterStore

if TYPE_CHECKING:
    from .lazy import UpdateLog


@dataclass
class RuleState:
    """Moments of a rule: one array per state name, with the layout of the arena, and one per look-up table."""

    dense: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    tables: dict[tuple[int, str], NDArray[np.float32]] = field(default_factory=dict)
    # What a backend has prepared for these arrays; it must notice when they are other arrays.
    prepared: object = field(default=None, repr=False, compare=False)
    # Settings of the updates that rows of look-up tables may have missed; None where every table is updated at once.
    missed: UpdateLog | None = field(default=None, repr=False, compare=False)

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
            self.tables[key] = np.zeros(table.memory.shape, np.float32)
        return self.tables[key]

    def clear(self) -> None:
        """All moments back to zero."""
        for array in (*self.dense.values(), *self.tables.values()):
            array.fill(0)


@dataclass(frozen=True)
class Idle:
    """A rule's step with gradient zero: `program` is the rule's for g = 0, empty when nothing changes.

    `shrinks` is true where an idle step moves `w` by at most as much as the idle step before it did: a formula over
    the settings and, as `last_<setting>`, those of the step before. `decays` names each moment with the setting that
    multiplies it. With both, a row whose `w` has come to rest needs no more single steps.
    """

    program: str
    shrinks: str = ""
    decays: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class UpdateRule:
    """`program` assigns the new `w` and state from `w`, `g` (the gradient, already scaled), state and settings.

    `idle` says what it comes to without a gradient; None: to be worked out from the program.
    """

    name: str
    program: str
    state: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    idle: Idle | None = None

    def __post_init__(self) -> None:
        check_names(self.program, ("w", "g", *self.state, *self.settings))
        check_names(self.idle_program, ("w", *self.state, *self.settings))
        if self.idle is not None and self.idle.shrinks:
            check_names(f"shrinks = {self.idle.shrinks}", (*self.settings, *self.last_settings))
            if {moment for moment, _ in self.idle.decays} != set(self.state):
                raise FormulaError(f"rule {self.name!r}: an idle step that shrinks names the decay of every moment")

    @property
    def idle_program(self) -> str:
        """The program of a step with gradient zero, which does not read `g`; empty when nothing changes."""
        return "g = 0\n" + self.program if self.idle is None else self.idle.program

    @property
    def last_settings(self) -> tuple[str, ...]:
        return tuple(f"last_{name}" for name in self.settings)

    def apply(
        self,
        state: RuleState,
        store: ParameterStore,
        settings: dict[str, float],
        scale: float,
        sparse: bool,
    ) -> None:
        """The reference: one NumPy pass over updated spans and touched rows; clears the gradients that it used.

        Rows that it changes are current: `weft_core.lazy` sees to that.
        """
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
            values, gradients = table.memory[rows], table.gradients[rows]
            update(values, gradients, parts)
            table.memory[rows] = values
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
        return np.arange(len(table.memory), dtype=np.int64)
    return table.touched[: table.meta[0]]
