"""Lazy updates of look-up tables: equal to dense ones, but a row is visited when it is used, not at every update.

A dense update changes every row, also those without a gradient: moments decay, and what is left of them moves the row.
Here a row without a gradient misses the update, whose settings are kept in a log. Before anybody reads the row, the
missed updates are made up for with gradient zero, one after the other, each with its own settings; a backend may stop
stepping where `Idle` tells it that the row has come to rest, under Adam after about a hundred steps.

So lazy updates pay where a table has many times the rows that a hundred updates use. Forward and update with Adam, rows
of 128 floats drawn by Zipf's law, in microseconds (sparse / lazy / dense): 7,596 rows, 22 of them an update: 12 / 45 /
151; 350 an update: 28 / 205 / 198; 100,000 rows, 350 an update: 57 / 349 / 5,112.

Weight decay multiplies every row in every update. Under sparse updates that is all that a row without a gradient
misses, so it makes up for any number of updates by one multiplication.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .formula import numpy_function
from .rules import KEPT, RuleState, UpdateRule, touched_rows
from .store import Floats, LookupTable, ParameterStore

if TYPE_CHECKING:
    from .backend import Backend

# Updates that a row may miss: then all rows are made current, and the log starts again.
LOG_CAPACITY = 4096
# A product of factors of weight decay below this starts the log again: quotients of products stay exact.
SMALLEST_PRODUCT = 1e-250

_C_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)


class UpdateLog:
    """The settings of a trainer's updates since all rows were current: `settings[:count[0]]`, float64.

    `products[k]`: of the factors, as float32, by which weight decay has multiplied in the first k updates.
    """

    def __init__(self, rule: UpdateRule) -> None:
        self.rule = rule
        self.settings = np.zeros((LOG_CAPACITY, len(rule.settings)))
        self.products = np.ones(LOG_CAPACITY + 1)
        self.count = np.zeros(1, np.int64)
        idle = rule.idle_step
        self._kept = idle.kept
        # A rule without weight decay keeps all.
        self._all = (1.0,) if KEPT not in rule.settings else ()
        arguments = (*rule.settings, *rule.last_settings, *[KEPT] * len(self._all))
        shrinks = f"shrinks = {idle.shrinks}"
        self._shrinks = numpy_function(arguments, shrinks, ("shrinks",)) if idle.shrinks else None

    def __len__(self) -> int:
        return int(self.count[0])

    def append(self, numbers: dict[str, float]) -> None:
        place = len(self)
        self.settings[place] = [numbers[name] for name in self.rule.settings]
        self.products[place + 1] = self._product(place, numbers)
        self.count[0] += 1

    def _product(self, place: int, numbers: dict[str, float]) -> float:
        """The product of factors after an update with these settings at this place."""
        product = float(self.products[place])
        return product * float(np.float32(numbers[self._kept])) if self._kept else product

    def has_room(self, numbers: dict[str, float]) -> bool:
        """Whether an update with these settings may follow: there is a place, and idle steps go on shrinking."""
        place = len(self)
        if place == LOG_CAPACITY or self._product(place, numbers) < SMALLEST_PRODUCT:
            return False
        if self._shrinks is None or not place:
            return True
        last = dict(zip(self.rule.settings, self.settings[place - 1], strict=True))
        # What decay left of `w` is what the step before multiplied by.
        now = (last[name] if name == self._kept else numbers[name] for name in self.rule.settings)
        return bool(self._shrinks(*now, *last.values(), *self._all)[0])


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
        due, end = self.current[rows], len(self.log)
        if not self.rule.idle_step.program:
            products = self.log.products
            self.values[rows] *= (products[end] / products[np.minimum(due, end)]).astype(np.float32)[:, None]
        else:
            for step in range(int(due.min(initial=end)), end):
                late = rows[due <= step]
                numbers = self.log.settings[step].astype(np.float32)
                arrays = [self.values, *self.moments]
                for array, new in zip(arrays, self._function(*(a[late] for a in arrays), *numbers), strict=True):
                    array[late] = new
        self.current[rows] = np.maximum(due, end)

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
    """`Backend.update` with results as if dense, in which rows of tables without a gradient miss the update.

    As if dense for what the rule says of its idle step: `UpdateRule.with_decay(rows_rest=True)` says that only weight
    decay is missed. A rule that ends in a softmax is applied to all rows at once, and a backend may do so with any.
    """
    if rule.softmax or not rule.idle_program:
        update_at_once(backend, rule, state, store, settings, scale, not rule.softmax)
        return
    if backend.update_idle(rule, state, store, settings, scale):
        return
    log = state.missed
    if log is None or log.rule is not rule:
        log = state.missed = UpdateLog(rule)
    lazy = []
    for table in store.tables:
        if table.updated:
            lazy.append((table, _lazy_rows(table, backend, rule, state, log)))
        else:
            table.clear_arrears()
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
    for table, rows in lazy:
        # Whoever reads the whole table does not ask.
        if table.used_whole:
            rows.settle()


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
