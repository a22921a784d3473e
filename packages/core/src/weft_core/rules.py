"""Update rules: how a trainer changes parameters, written once as a formula and compiled by each backend."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from .errors import FormulaError
from .formula import assignments, check_names, names, numpy_function
from .residence import Movable
from .store import BLOCK, DenseSlot, Floats, LookupTable, ParameterStore, addresses

if TYPE_CHECKING:
    from .lazy import UpdateLog

# The setting that weight decay adds to a rule: what it leaves of `w`, 1 - lambda.
KEPT = "kept"


Key = TypeVar("Key", bound=Hashable)


class Moment(Movable):
    """An array beside parameters: an element for each of theirs."""

    __slots__ = ()

    def moved(self) -> None:
        addresses.version += 1


class Moments(Mapping[Key, Floats], Generic[Key]):
    """Moments by name. What is looked up is to be read and changed; `found` has them where they are."""

    def __init__(self) -> None:
        self.found: dict[Key, Moment] = {}

    def __getitem__(self, key: Key) -> Floats:
        return self.found[key].here()

    def __iter__(self) -> Iterator[Key]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def of_shape(self, key: Key, shape: tuple[int, ...]) -> Moment:
        """The moment, zeros where there was none or the first axis was shorter."""
        moment = self.found.get(key)
        if moment is None:
            moment = self.found[key] = Moment(np.zeros(shape, np.float32))
        elif len(moment.array) < shape[0]:
            grown, old = np.zeros(shape, np.float32), moment.here()
            grown[: len(old)] = old
            moment.replace(grown)
        return moment


@dataclass
class RuleState:
    """Moments of a rule: one array per state name, with the layout of the arena, and one per look-up table."""

    dense: Moments[str] = field(default_factory=Moments)
    tables: Moments[tuple[int, str]] = field(default_factory=Moments)
    # What a backend has prepared for these arrays; it must notice when they are other arrays.
    prepared: object = field(default=None, repr=False, compare=False)
    # Settings of the updates that rows of look-up tables may have missed; None where every table is updated at once.
    missed: UpdateLog | None = field(default=None, repr=False, compare=False)

    def arena_moment(self, name: str, store: ParameterStore) -> Moment:
        """State beside the parameter arena, wherever it is."""
        return self.dense.of_shape(name, (store.capacity,))

    def table_moment(self, name: str, table: LookupTable) -> Moment:
        """State beside a look-up table, wherever it is."""
        return self.tables.of_shape((table.id, name), (table.rows, table.row_size))

    def arena(self, name: str, store: ParameterStore) -> Floats:
        """State beside the parameter arena, to read and to change."""
        return self.arena_moment(name, store).here()

    def table(self, name: str, table: LookupTable) -> Floats:
        """State beside a look-up table, to read and to change."""
        return self.table_moment(name, table).here()

    def clear(self) -> None:
        """All moments back to zero."""
        for array in (*self.dense.values(), *self.tables.values()):
            array.fill(0)


@dataclass(frozen=True)
class Idle:
    """A rule's step with gradient zero: `program` is the rule's for g = 0, empty when nothing changes.

    `decays` names each moment with the setting that multiplies it, "" where it stays. `shrinks` is true where an idle
    step moves `w` by at most `kept` times as much as the idle step before it did: a formula over the settings, those of
    the step before as `last_<setting>`, and `kept`, what decay left of `w` after that step, 1 without weight decay.
    With both, a row whose `w` has come to rest needs no more single steps; with `decays` alone, a row whose `w` the
    program never moves needs none.
    `kept`: the setting that multiplies `w` after the program, where there is weight decay.
    """

    program: str
    shrinks: str = ""
    decays: tuple[tuple[str, str], ...] = ()
    kept: str = ""

    @property
    def steps(self) -> bool:
        """Whether single steps are needed: the program does more than to multiply moments."""
        assigned = {name for name, _ in assignments(self.program)} if self.program else set()
        return bool(assigned - {moment for moment, _ in self.decays})

    @property
    def rests(self) -> bool:
        """Whether what is left of an absence, from some step on, is one factor for each moment and for `w`."""
        return bool(self.shrinks) or not self.steps

    @property
    def whole_program(self) -> str:
        """The program with its weight decay."""
        return self.program.rstrip() + f"\nw = {self.kept} * w" if self.kept else self.program


@dataclass(frozen=True)
class UpdateRule:
    """`program` assigns the new `w` and state from `w`, `g` (the gradient, already scaled), state and settings.

    `idle` says what it comes to without a gradient; None: to be worked out from the program.
    `softmax`: what the program makes of `w` are logits; their softmax over each parameter, and over each row of a
    look-up table, is the new `w`.
    """

    name: str
    program: str
    state: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    idle: Idle | None = None
    softmax: bool = False

    def __post_init__(self) -> None:
        check_names(self.program, ("w", "g", *self.state, *self.settings))
        idle = self.idle_step
        check_names(idle.whole_program, ("w", *self.state, *self.settings))
        if idle.shrinks:
            check_names(f"shrinks = {idle.shrinks}", (*self.settings, *self.last_settings, KEPT))
        if (idle.shrinks or idle.decays) and {moment for moment, _ in idle.decays} != set(self.state):
            raise FormulaError(f"rule {self.name!r}: an idle step that comes to rest names the decay of every moment")

    @property
    def idle_step(self) -> Idle:
        """The step with gradient zero."""
        return Idle("g = 0\n" + self.program.lstrip()) if self.idle is None else self.idle

    @property
    def idle_program(self) -> str:
        """The program of a step with gradient zero, which does not read `g`; empty when nothing changes."""
        return self.idle_step.whole_program

    @property
    def last_settings(self) -> tuple[str, ...]:
        return tuple(f"last_{name}" for name in self.settings)

    def with_decay(self, *, rows_rest: bool) -> UpdateRule:
        """This rule followed by weight decay: `w` is multiplied by the setting `kept`.

        `rows_rest`: a row without a gradient only decays, its moments stay (sparse updates); otherwise it takes the
        rule's step with gradient zero as well. Raises `FormulaError` for a rule that ends in a softmax, whose results
        decay would take from their sum.
        """
        return _with_decay(self, rows_rest)

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
            # A probability may be 0, its logit -inf.
            with np.errstate(divide="ignore" if self.softmax else None):
                new = function(w, np.float32(scale) * g, *moments, *numbers)
            if self.softmax:
                new = (_softmax(new[0]), *new[1:])
            for target, value in zip((w, *moments), new, strict=True):
                target[...] = value
            g[...] = 0

        runs = updated_parameters(store) if self.softmax else updated_spans(store)
        arenas = [store.values, store.gradients, *(state.arena(name, store) for name in self.state)] if runs else []
        for start, end in runs:
            w, g, *moments = (array[start:end] for array in arenas)
            update(w, g, moments)
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


@functools.cache
def _with_decay(rule: UpdateRule, rows_rest: bool) -> UpdateRule:
    if rule.softmax:
        raise FormulaError(f"rule {rule.name!r} ends in a softmax, of which weight decay would leave less than 1")
    if KEPT in (*rule.settings, *rule.state):
        raise FormulaError(f"rule {rule.name!r} uses the name {KEPT!r}, which is that of weight decay; choose another")
    idle = Idle("", kept=KEPT)
    if not rows_rest:
        idle = replace(rule.idle_step, kept=KEPT)
        if idle.shrinks and KEPT not in names(idle.shrinks):
            # The formula compares with the step before, not with what decay leaves of `w`.
            idle = Idle(idle.program, kept=KEPT)
    decaying = rule.program.rstrip() + f"\nw = {KEPT} * w"
    return UpdateRule(rule.name + "_decay", decaying, rule.state, (*rule.settings, KEPT), idle)


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Over the last axis: a parameter, or a row."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


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


def updated_parameters(store: ParameterStore) -> list[tuple[int, int]]:
    """Each parameter that is not frozen on its own, without its padding."""
    return [(slot.offset, slot.offset + slot.size) for slot in store.dense if slot.updated]


def touched_rows(table: LookupTable, sparse: bool) -> NDArray[np.int64]:
    """Rows that an update changes: the touched ones, or all (dense updates, or a gradient of the whole table)."""
    if not sparse or table.meta[3]:
        return np.arange(table.rows, dtype=np.int64)
    return table.touched[: table.meta[0]]
