"""Update rules on the device: values, gradients and moments stay there, and so does all that an update reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from weft_core.rules import RuleState, UpdateRule, updated_parameters, updated_spans
from weft_core.store import FLOAT_BYTES, TOUCHED_COUNT, WHOLE_GRADIENT, LookupTable, ParameterStore, Slot, addresses

from .jobs import Job, Launch, row_ids, rows, run, vectors
from .rule_kernels import rule_kernels

if TYPE_CHECKING:
    from .residence import Residence


class PreparedUpdate:
    """A trainer's update of one store, good until `addresses.version` changes.

    It changes when parameters are added, frozen, or asked for on the host.
    """

    def __init__(self, residence: Residence, rule: UpdateRule, state: RuleState, store: ParameterStore) -> None:
        self.residence, self.rule, self.store = residence, rule, store
        self.kernels = rule_kernels(rule)
        self.tables = [table for table in store.tables if table.updated]
        self.whole, self.some, self.idle = Launch(residence), Launch(residence), Launch(residence)
        members: list[Slot] = [*store.dense, *self.tables]
        residence.require(slot.id for slot in members if slot.updated)
        self.memory = {table.id: self._memory(table, state) for table in self.tables}
        self.arena = Launch(residence)
        self.arena.send(self._jobs_of_arena(state))
        # All that has come to the device by now has changed it.
        self.version = addresses.version

    def fits(self, residence: Residence, rule: UpdateRule, store: ParameterStore) -> bool:
        """Whether it is the update of this store by this rule, and nothing has moved."""
        return (
            self.version == addresses.version
            and self.store is store
            and self.rule is rule
            and self.residence is residence
        )

    def _jobs_of_arena(self, state: RuleState) -> list[Job]:
        """Runs of parameters that are not frozen; each on its own where the rule ends in a softmax."""
        store, softmax = self.store, self.rule.softmax
        spans = updated_parameters(store) if softmax else updated_spans(store)
        if not spans:
            return []
        address_of = self.residence.address_of
        arrays = [address_of(store.value_arena), address_of(store.gradient_arena)]
        arrays += [self.residence.hold(state.arena_moment(m, store), "moments") for m in self.rule.state]
        jobs = []
        for start, end in spans:
            values, gradients, *moments = (array + FLOAT_BYTES * start for array in arrays)
            if softmax:
                jobs.append(vectors(values, gradients, 1, end - start, moments))
            else:
                jobs.append(run(values, gradients, end - start, moments))
        return jobs

    def _memory(self, table: LookupTable, state: RuleState) -> tuple[int, int, list[int]]:
        """Addresses of values, gradients and moments."""
        moments = [self.residence.hold(state.table_moment(m, table), "moments") for m in self.rule.state]
        address_of = self.residence.address_of
        return address_of(table.value_arena), address_of(table.gradient_arena), moments

    def _whole_table(self, table: LookupTable) -> Job:
        values, gradients, moments = self.memory[table.id]
        if self.rule.softmax:
            return vectors(values, gradients, table.rows, table.row_size, moments)
        return run(values, gradients, table.rows * table.row_size, moments)

    def _touched_rows(self, table: LookupTable) -> Job:
        values, gradients, moments = self.memory[table.id]
        ids = row_ids(table)
        if self.rule.softmax:
            return vectors(values, gradients, len(ids), table.row_size, moments, ids)
        return rows(values, gradients, table.row_size, moments, ids)

    def step(self, settings: dict[str, float], scale: float, sparse: bool) -> None:
        """The rule: for the arena, for whole tables, for touched rows; no row has a gradient afterwards."""
        numbers = self._bits(settings, scale)
        whole = [table for table in self.tables if not sparse or table.meta[WHOLE_GRADIENT]]
        some = [t for t in self.tables if sparse and t.meta[TOUCHED_COUNT] and not t.meta[WHOLE_GRADIENT]]
        self.whole.send([self._whole_table(table) for table in whole])
        self.some.send([self._touched_rows(table) for table in some])
        every, listed = ("vectors", "vectors") if self.rule.softmax else ("runs", "rows")
        self._launch(every, self.arena, numbers)
        self._launch(every, self.whole, numbers)
        self._launch(listed, self.some, numbers)
        for table in self.tables:
            table.forget_touched()

    def idle_step(self, settings: dict[str, float], scale: float) -> None:
        """The step with gradient zero, for rows that have none."""
        jobs = []
        for table in self.tables:
            if not table.meta[WHOLE_GRADIENT]:
                values, gradients, moments = self.memory[table.id]
                jobs.append(rows(values, gradients, table.row_size, moments, table.flags))
        self.idle.send(jobs)
        self._launch("idle", self.idle, self._bits(settings, scale))

    def _bits(self, settings: dict[str, float], scale: float) -> list[int]:
        """Scale and settings as float32, by their bits."""
        numbers = [np.float32(number) for number in (scale, *(settings[name] for name in self.rule.settings))]
        bits: list[int] = np.array(numbers).view(np.int32).tolist()
        return bits

    def _launch(self, kernel: str, launch: Launch, numbers: list[int]) -> None:
        if launch.tiles:
            self.kernels[kernel].launch(launch.tiles, launch.address, launch.count, *numbers)


def _prepared(residence: Residence, rule: UpdateRule, state: RuleState, store: ParameterStore) -> PreparedUpdate:
    prepared = state.prepared
    if not isinstance(prepared, PreparedUpdate) or not prepared.fits(residence, rule, store):
        state.prepared = prepared = PreparedUpdate(residence, rule, state, store)
    return prepared


def apply_rule(
    residence: Residence,
    rule: UpdateRule,
    state: RuleState,
    store: ParameterStore,
    settings: dict[str, float],
    scale: float,
    sparse: bool,
) -> None:
    """What `Backend.update` does; raises `OutOfDeviceMemory` before anything has changed."""
    _prepared(residence, rule, state, store).step(settings, scale, sparse)


def apply_rule_and_idle_steps(
    residence: Residence,
    rule: UpdateRule,
    state: RuleState,
    store: ParameterStore,
    settings: dict[str, float],
    scale: float,
) -> bool:
    """What `Backend.update_idle` does: a pass over all rows costs less than to remember what each has missed."""
    prepared = _prepared(residence, rule, state, store)
    prepared.idle_step(settings, scale)
    prepared.step(settings, scale, True)
    return True
