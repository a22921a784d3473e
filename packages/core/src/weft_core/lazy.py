"""Lazy updates of look-up tables: equal to dense ones, but a row is visited when it is used, not at every update.

A dense update changes every row, also those without a gradient: moments decay, and what is left of them moves the row.
Here a row without a gradient misses the update, whose settings are kept in a log. Before anybody reads the row, the
missed updates are made up for with gradient zero, one after the other, each with its own settings; a backend may stop
stepping where `Idle` tells it that the row has come to rest, under Adam after about a hundred steps.

So lazy updates pay where a table has many times the rows that a hundred updates use. Forward and update with Adam, rows
of 128 floats drawn by Zipf's law, in microseconds (sparse / lazy / dense): 7,596 rows, 22 of them an update: 12 / 45 /
151; 350 an update: 28 / 205 / 198; 100,000 rows, 350 an update: 57 / 349 / 5,112.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .formula import numpy_function
from .rules import RuleState, UpdateRule, touched_rows
from .store import WHOLE_GRADIENT, Floats, LookupTable, ParameterStore

if TYPE_CHECKING:
    from .backend import Backend

# Updates that a row may miss: then all rows are made current, and the log starts again.
LOG_CAPACITY = 4096

_C_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)


class UpdateLog:
    """The settings of a trainer's updates since all rows were current: `settings[:count[0]]`, float64."""

    def __init__(self, rule: UpdateRule) -> None:
        self.rule = rule
        self.settings = np.zeros((LOG_CAPACITY, len(rule.settings)))
        self.count = np.zeros(1, np.int64)

    def __len__(self) -> int:
        return int(self.count[0])

    def append(self, numbers: dict[str, float]) -> None:
        self.settings[len(self)] = [numbers[name] for name in self.rule.settings]
        self.count[0] += 1

    def has_room(self, numbers: dict[str, float]) -> bool:
        """Whether an update with these settings may follow: there is a place, and idle steps go on shrinking."""
        if len(self) == LOG_CAPACITY:
            return False
        idle = self.rule.idle
        if idle is None or not idle.shrinks or not len(self):
            return True
        function = numpy_function(
            (*self.rule.settings, *self.rule.last_settings), f"shrinks = {idle.shrinks}", ("shrinks",)
        )
        return bool(function(*(numbers[name] for name in self.rule.settings), *self.settings[len(self) - 1])[0])


class LazyRows:
    """Up to which update of the log each row of a table is current; the reference, in NumPy.

    A backend overrides `make_up` and `entry` with compiled ones.
    """

    def __init__(self, rule: UpdateRule, values: Floats, moments: list[Floats], log: UpdateLog) -> None:
        self.rule = rule
        self.values = values
        self.moments = moments
        self.log = log
        self.current = np.full(len(values), len(log), np.int64)
        self._settled = len(log)
        self._function = numpy_function(("w", *rule.state, *rule.settings), rule.idle_program, ("w", *rule.state))

    def make_up(self, rows: NDArray[np.int64]) -> None:
        """Make these rows current; none may be named twice."""
        due = self.current[rows]
        for step in range(int(due.min(initial=len(self.log))), len(self.log)):
            late = rows[due <= step]
            numbers = self.log.settings[step].astype(np.float32)
            arrays = [self.values, *self.moments]
            for array, new in zip(arrays, self._function(*(a[late] for a in arrays), *numbers), strict=True):
                array[late] = new
        self.current[rows] = np.maximum(due, len(self.log))

    def entry(self) -> tuple[int, int]:
        """See `Arrears`."""

        def make_up(job: int, first: int, count: int) -> None:
            self.make_up(np.arange(first, first + count))

        self._callback = _C_FUNCTION(make_up)
        address = ctypes.cast(self._callback, ctypes.c_void_p).value
        assert address is not None
        return address, 0

    def settle(self) -> None:
        """Make every row current."""
        if self._settled != len(self.log):
            self.make_up(np.arange(len(self.values)))
            self._settled = len(self.log)

    def start_log(self) -> None:
        """The log starts again; every row is current."""
        self.current[:] = self._settled = 0

    def join_update(self, rows: NDArray[np.int64]) -> None:
        """These rows take part in the next update: they become current now, and are so after it."""
        self.make_up(rows)
        self.current[rows] = len(self.log) + 1


def update_lazily(
    backend: Backend,
    rule: UpdateRule,
    state: RuleState,
    store: ParameterStore,
    settings: dict[str, float],
    scale: float,
) -> None:
    """`Backend.update` with results as if dense, in which rows of tables without a gradient miss the update."""
    if not rule.idle_program:
        update_at_once(backend, rule, state, store, settings, scale, True)
        return
    log = state.missed
    if log is None:
        log = state.missed = UpdateLog(rule)
    lazy = [(table, _lazy_rows(table, backend, rule, state, log)) for table in store.tables if _may_miss_updates(table)]
    if not log.has_room(settings):
        for _, rows in lazy:
            rows.settle()
            rows.start_log()
        log.count[0] = 0
    for table, rows in lazy:
        rows.join_update(touched_rows(table, sparse=True))
    backend.update(rule, state, store, settings, scale, True)
    if lazy:
        log.append(settings)


def _may_miss_updates(table: LookupTable) -> bool:
    """Whether rows may miss the coming update; where not, they are current, and all of them take part."""
    if table.updated and not table.used_whole:
        return True
    table.clear_arrears()
    if table.updated:
        table.meta[WHOLE_GRADIENT] = 1
    return False


def _lazy_rows(table: LookupTable, backend: Backend, rule: UpdateRule, state: RuleState, log: UpdateLog) -> LazyRows:
    """The rows of a table, with the updates that they have missed in this log."""
    rows = table.arrears
    if not isinstance(rows, LazyRows) or rows.log is not log:
        # Those of another trainer come first.
        table.clear_arrears()
        rows = backend.lazy_rows(rule, table.memory, [state.table(name, table) for name in rule.state], log)
        table.owe(rows)
    return rows


def update_at_once(
    backend: Backend,
    rule: UpdateRule,
    state: RuleState,
    store: ParameterStore,
    settings: dict[str, float],
    scale: float,
    sparse: bool,
) -> None:
    """`Backend.update` after the updates that rows have missed, whichever trainer made them."""
    clear_arrears(store)
    backend.update(rule, state, store, settings, scale, sparse)


def clear_arrears(store: ParameterStore) -> None:
    """Make all rows of all tables current."""
    for table in store.tables:
        if table.arrears is not None:
            table.clear_arrears()
