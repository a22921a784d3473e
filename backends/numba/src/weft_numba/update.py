"""Update rules as compiled loops: one pass over gradient, parameter and moments, which clears the gradient."""

from __future__ import annotations

import functools
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weft_core.rules import RuleState, UpdateRule, spans, updated_parameters, updated_spans
from weft_core.store import (
    BLOCK,
    FLAGS,
    TOUCHED,
    TOUCHED_COUNT,
    WHOLE_GRADIENT,
    Floats,
    LookupTable,
    ParameterStore,
    addresses,
)

from . import threads
from .cache import FORMULA_FASTMATH, KERNEL_FASTMATH, cached_njit, write_module
from .generate import Source
from .pointers import bytes_at, call_kernel, compile_kernel, floats, integers

_IMPORTS = """\
from math import inf
from numba import float32
from weft_numba.mathematics import FORMULA_FUNCTIONS
from weft_numba.pointers import doubles, floats, integers

"""
# The job of an update: addresses of w and g, of the settings, of the row ids; floats in a row; the table's rows and
# `meta`; then the moments.
J_W, J_G, J_SETTINGS, J_IDS, J_SIZE, J_ROWS, J_META, J_MOMENTS = range(8)


# The job of the arena has no rows: a run is one.
_BY_ROW = [
    f"    n = job[{J_SIZE}] if job[{J_SIZE}] > 0 else count",
    "    for first in range(start, start + count, n):",
    "        at = 4 * first",
]
# After the loop over a parameter or a row, where the rule ends in a softmax: `w` holds logits, `top` the largest.
_SOFTMAX = """\
total = zero
for i in range(n):
    v_w = exp_(w[i] - top)
    total += v_w
    w[i] = v_w
for i in range(n):
    w[i] = w[i] / total
"""


def generate(rule: UpdateRule) -> str:
    """Source of `dense` (a run of floats) and `rows` (given rows of a table).

    Where the rule ends in a softmax, a run of floats is a parameter, or consecutive rows of a table.
    """
    source = Source()
    program = source.lines(rule.program, "")
    if rule.softmax:
        source.functions.update(("exp", "maximum"))

    def loop(indent: str) -> list[str]:
        body = ["top = lowest"] if rule.softmax else []
        body += ["for i in range(n):", "    v_w = w[i]", "    v_g = scale * g[i]"]
        body += [f"    v_{m} = m_{m}[i]" for m in rule.state] + ["    " + line for line in program]
        body += ["    w[i] = v_w", "    g[i] = zero", *(f"    m_{m}[i] = v_{m}" for m in rule.state)]
        if rule.softmax:
            body += ["    top = maximum_(top, v_w)", *_SOFTMAX.splitlines()]
        return [indent + line for line in body]

    head = [
        "    job = integers(record)",
        f"    scale = float32(doubles(job[{J_SETTINGS}])[0])",
        "    zero = float32(0.0)",
    ]
    if rule.softmax:
        head.append("    lowest = float32(-inf)")
    head += [f"    v_{name} = float32(doubles(job[{J_SETTINGS}])[{k + 1}])" for k, name in enumerate(rule.settings)]

    def pointers(indent: str, offset: str) -> list[str]:
        rows = [f"w = floats(job[{J_W}] + {offset})", f"g = floats(job[{J_G}] + {offset})"]
        rows += [f"m_{m} = floats(job[{J_MOMENTS + k}] + {offset})" for k, m in enumerate(rule.state)]
        return [indent + row for row in rows]

    lines = [
        "def dense(record, start, count):",
        *head,
        *(_BY_ROW if rule.softmax else ["    n, at = count, 4 * start"]),
        *pointers(" " * (8 if rule.softmax else 4), "at"),
        *loop(" " * (8 if rule.softmax else 4)),
        "",
        "",
    ]
    lines += ["def rows(record, start, count):", *head, f"    n = job[{J_SIZE}]", f"    ids = integers(job[{J_IDS}])"]
    lines += [
        "    for r in range(start, start + count):",
        "        at = 4 * n * ids[r]",
        *pointers(" " * 8, "at"),
        *loop(" " * 8),
    ]
    return _IMPORTS + source.header() + "\n\n" + "\n".join(lines) + "\n"


class CompiledRule:
    """The two loops of a rule."""

    def __init__(self, rule: UpdateRule) -> None:
        module = write_module("rule_" + rule.name, generate(rule))
        # Sums in the order of the formula: an element's result does not depend on which loop, or thread, it falls to.
        self.dense = compile_kernel(module.dense, FORMULA_FASTMATH)
        self.rows = compile_kernel(module.rows, FORMULA_FASTMATH)


@functools.cache
def compiled_rule(rule: UpdateRule) -> CompiledRule:
    """The loops of a rule, compiled once."""
    return CompiledRule(rule)


# The update of a whole store: the two loops, its runs of floats `(job, first, count)`, its tables' jobs.
U_DENSE, U_ROWS, U_RUNS, U_RUN_COUNT, U_TABLES, U_TABLE_COUNT = range(6)
RUN = 3


@cached_njit
def run_part(update: int, first: int, last: int) -> None:
    """Apply the rule to floats `first` to `last`, counted through all runs."""
    plan = integers(update)
    runs = integers(plan[U_RUNS])
    passed = 0
    for k in range(plan[U_RUN_COUNT]):
        job, start, count = runs[RUN * k], runs[RUN * k + 1], runs[RUN * k + 2]
        low, high = max(first - passed, 0), min(last - passed, count)
        if low < high:
            call_kernel(plan[U_DENSE], job, start + low, high - low)
        passed += count


@cached_njit
def run_tables(update: int, sparse: bool) -> None:
    """Apply the rule to the touched rows of each table, or to all after a gradient of the whole table.

    Tables that are not `sparse` had their turn among the runs. No row counts as touched afterwards.
    """
    plan = integers(update)
    tables = integers(plan[U_TABLES])
    for k in range(plan[U_TABLE_COUNT]):
        job = integers(tables[k])
        meta = integers(job[J_META])
        ids, flags = integers(meta[TOUCHED]), bytes_at(meta[FLAGS])
        if sparse and meta[WHOLE_GRADIENT]:
            call_kernel(plan[U_DENSE], tables[k], 0, job[J_ROWS] * job[J_SIZE])
        elif sparse:
            call_kernel(plan[U_ROWS], tables[k], 0, meta[TOUCHED_COUNT])
        for r in range(meta[TOUCHED_COUNT]):
            flags[ids[r]] = 0
        meta[TOUCHED_COUNT] = meta[WHOLE_GRADIENT] = 0


@cached_njit
def run_update(update: int, count: int, sparse: bool) -> None:
    """The first `count` floats of the runs, then the tables."""
    run_part(update, 0, count)
    run_tables(update, sparse)


@cached_njit(nogil=True)
def run_part_beside(update: int, first: int, last: int) -> None:
    """`run_part` while other threads run."""
    run_part(update, first, last)


def job_of(
    w: Floats, g: Floats, moments: list[Floats], numbers: NDArray[np.float64], table: LookupTable | None = None
) -> NDArray[np.int64]:
    """A rule's arguments for one block of memory: the arena, or a look-up table."""
    job = np.zeros(J_MOMENTS + len(moments), np.int64)
    job[:J_IDS] = w.ctypes.data, g.ctypes.data, numbers.ctypes.data
    if table is not None:
        job[J_IDS:J_MOMENTS] = table.meta[TOUCHED], w.shape[1], w.shape[0], table.meta.ctypes.data
    job[J_MOMENTS:] = [m.ctypes.data for m in moments]
    return job


class Prepared:
    """A trainer's update of one store as addresses, good until `addresses.version` changes."""

    def __init__(self, rule: UpdateRule, state: RuleState, store: ParameterStore) -> None:
        self.rule, self.store = rule, store
        self.numbers = np.zeros(1 + len(rule.settings), np.float64)
        self.names = rule.settings
        self._pack = struct.Struct(f"={1 + len(rule.settings)}d").pack_into
        compiled = compiled_rule(rule)
        moments = [state.arena(name, store) for name in rule.state]
        arena = job_of(store.values, store.gradients, moments, self.numbers)
        tables = [table for table in store.tables if table.updated]
        jobs = []
        for table in tables:
            moments = [state.table(name, table) for name in rule.state]
            jobs.append(job_of(table.memory, table.gradients, moments, self.numbers, table))
        dense = updated_parameters(store) if rule.softmax else updated_spans(store)
        runs = [(arena.ctypes.data, start, end - start) for start, end in dense]
        self.dense_floats = sum(count for *_, count in runs)
        runs += [(job.ctypes.data, 0, table.memory.size) for job, table in zip(jobs, tables, strict=True)]
        self.all_floats = sum(count for *_, count in runs)
        run_array = np.array(runs, np.int64)
        job_array = np.array([job.ctypes.data for job in jobs], np.int64)
        self.plan = np.array(
            [compiled.dense, compiled.rows, run_array.ctypes.data, 0, job_array.ctypes.data, len(jobs)], np.int64
        )
        self.plan[U_RUN_COUNT] = len(runs)
        self.address = self.plan.ctypes.data
        self._kept = arena, jobs, run_array, job_array, store.values, store.gradients
        # What another backend kept has come home by now.
        self.version = addresses.version

    def set(self, settings: dict[str, float], scale: float) -> None:
        """The numbers of the next update."""
        self._pack(self.numbers.data, 0, scale, *[settings[name] for name in self.names])


# From this many floats on, an update is shared by the threads of the pool. Measured with Adam on two idle cores with
# 32 MB of L3 in common: handing over costs 20 to 40 us, so 2**19 floats take as long as on one thread, 2.3 million 410
# us instead of 700, and 8 million, which memory limits, 2.8 ms instead of 3.2. Right after a product that BLAS has
# shared there is no gain: its workers keep their cores busy while they wait for the next one.
SHARED_FROM = 1 << 20


def apply_rule(
    rule: UpdateRule,
    state: RuleState,
    store: ParameterStore,
    settings: dict[str, float],
    scale: float,
    sparse: bool,
) -> None:
    """Update every parameter that is not frozen, gradients times `scale`; their gradients are zero afterwards."""
    prepared = state.prepared
    if (
        not isinstance(prepared, Prepared)
        or prepared.version != addresses.version
        or prepared.store is not store
        or prepared.rule is not rule
    ):
        state.prepared = prepared = Prepared(rule, state, store)
    prepared.set(settings, scale)
    count = prepared.dense_floats if sparse else prepared.all_floats
    # A softmax needs the whole of a parameter or row.
    if threads.count() > 1 and count >= SHARED_FROM and not rule.softmax:
        address = prepared.address
        threads.split(count, lambda first, last: run_part_beside(address, first, last), grain=BLOCK)
        run_tables(address, sparse)
    else:
        run_update(prepared.address, count, sparse)


class GradientRuns:
    """All gradients of a store as addresses, good until `addresses.version` changes."""

    def __init__(self, store: ParameterStore) -> None:
        base = store.gradients.ctypes.data
        self.runs = np.array([(base + 4 * start, end - start) for start, end in spans(store.dense)], np.int64)
        self.tables = np.array(
            [
                (t.gradients.ctypes.data, t.gradients.shape[1], len(t.gradients), t.meta.ctypes.data)
                for t in store.tables
            ],
            np.int64,
        )
        self.arguments = self.runs.ctypes.data, len(self.runs), self.tables.ctypes.data, len(self.tables)
        self._kept = store.gradients
        self.version = addresses.version


@cached_njit(fastmath=set(KERNEL_FASTMATH))
def sum_of_squares(address: int, count: int) -> float:
    """Sum of squares of a run of floats, in blocks so that float32 sums stay short."""
    total = 0.0
    for first in range(0, count, 1024):
        x = floats(address + 4 * first)
        block: Any = np.float32(0.0)
        for i in range(min(1024, count - first)):
            block += x[i] * x[i]
        total += block
    return total


@cached_njit
def sum_of_all(runs_address: int, run_count: int, tables_address: int, table_count: int) -> float:
    """Sum of squares over the runs, and over the tables' rows that have a gradient."""
    total = 0.0
    runs, tables = integers(runs_address), integers(tables_address)
    for k in range(run_count):
        total += sum_of_squares(runs[2 * k], runs[2 * k + 1])
    for k in range(table_count):
        gradients, size, rows = tables[4 * k], tables[4 * k + 1], tables[4 * k + 2]
        meta = integers(tables[4 * k + 3])
        if meta[WHOLE_GRADIENT]:
            total += sum_of_squares(gradients, rows * size)
        else:
            ids = integers(meta[TOUCHED])
            for r in range(meta[TOUCHED_COUNT]):
                total += sum_of_squares(gradients + 4 * size * ids[r], size)
    return total


def squared_norm(store: ParameterStore) -> float:
    """Sum of squares of all gradients of a store."""
    prepared = store.prepared
    if not isinstance(prepared, GradientRuns) or prepared.version != addresses.version:
        store.prepared = prepared = GradientRuns(store)
    return float(sum_of_all(*prepared.arguments))
