"""Update rules as compiled loops: one pass over gradient, parameter and moments, which clears the gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from weft_core.rules import RuleState, UpdateRule, spans, touched_rows, updated_spans
from weft_core.store import Floats, LookupTable, ParameterStore

from .cache import KERNEL_FASTMATH, cached_njit, write_module
from .generate import Source
from .pointers import call_kernel, compile_kernel, floats

_IMPORTS = """\
from numba import float32
from weft_numba.mathematics import FORMULA_FUNCTIONS
from weft_numba.pointers import doubles, floats, integers

"""
# The job of an update: addresses of w and g, of the settings, of the row ids; floats in a row; then the moments.
_W, _G, _SETTINGS, _ROWS, _SIZE, _MOMENTS = range(6)


def generate(rule: UpdateRule) -> str:
    """Source of `dense` (a run of floats) and `rows` (given rows of a table)."""
    source = Source()
    program = source.lines(rule.program, "")

    def loop(indent: str) -> list[str]:
        body = ["for i in range(n):", "    v_w = w[i]", "    v_g = scale * g[i]"]
        body += [f"    v_{m} = m_{m}[i]" for m in rule.state] + ["    " + line for line in program]
        body += ["    w[i] = v_w", "    g[i] = zero", *(f"    m_{m}[i] = v_{m}" for m in rule.state)]
        return [indent + line for line in body]

    head = [
        "    job = integers(record)",
        f"    scale = float32(doubles(job[{_SETTINGS}])[0])",
        "    zero = float32(0.0)",
    ]
    head += [f"    v_{name} = float32(doubles(job[{_SETTINGS}])[{k + 1}])" for k, name in enumerate(rule.settings)]

    def pointers(indent: str, offset: str) -> list[str]:
        rows = [f"w = floats(job[{_W}] + {offset})", f"g = floats(job[{_G}] + {offset})"]
        rows += [f"m_{m} = floats(job[{_MOMENTS + k}] + {offset})" for k, m in enumerate(rule.state)]
        return [indent + row for row in rows]

    lines = [
        "def dense(record, start, count):",
        *head,
        "    n = count",
        *pointers("    ", "4 * start"),
        *loop("    "),
        "",
        "",
    ]
    lines += ["def rows(record, start, count):", *head, f"    n = job[{_SIZE}]", f"    ids = integers(job[{_ROWS}])"]
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
        self.dense = compile_kernel(module.dense)
        self.rows = compile_kernel(module.rows)


_rules: dict[UpdateRule, CompiledRule] = {}


@cached_njit
def launch(kernel: int, job: int, start: int, count: int) -> None:
    """Call one compiled loop."""
    call_kernel(kernel, job, start, count)


class Job:
    """A rule's arguments for one block of memory: the arena, or a look-up table. Addresses are looked up once."""

    def __init__(self, w: Floats, g: Floats, moments: list[Floats], numbers: NDArray[np.float64]) -> None:
        self.w = w
        self.kept = (g, moments, numbers)
        self.arguments = np.zeros(_MOMENTS + len(moments), np.int64)
        self.arguments[:_ROWS] = w.ctypes.data, g.ctypes.data, numbers.ctypes.data
        self.arguments[_SIZE] = w.shape[-1]
        self.arguments[_MOMENTS:] = [m.ctypes.data for m in moments]
        self.address = self.arguments.ctypes.data


class Prepared:
    """What stays the same from update to update of one trainer, as long as arena and tables do."""

    def __init__(self, rule: UpdateRule, state: RuleState, store: ParameterStore) -> None:
        self.numbers = np.zeros(1 + len(rule.settings), np.float64)
        moments = [state.arena(name, store) for name in rule.state]
        self.dense = Job(store.values, store.gradients, moments, self.numbers)
        self.tables: dict[int, Job] = {}

    def table(self, rule: UpdateRule, state: RuleState, table: LookupTable) -> Job:
        job = self.tables.get(table.id)
        if job is None:
            moments = [state.table(name, table) for name in rule.state]
            job = self.tables[table.id] = Job(table.values, table.gradients, moments, self.numbers)
        return job


def apply_rule(
    rule: UpdateRule,
    state: RuleState,
    store: ParameterStore,
    settings: dict[str, float],
    scale: float,
    sparse: bool,
) -> None:
    """Update every parameter that is not frozen, gradients times `scale`; their gradients are zero afterwards."""
    compiled = _rules.get(rule)
    if compiled is None:
        compiled = _rules[rule] = CompiledRule(rule)
    prepared = state.prepared
    if not isinstance(prepared, Prepared) or prepared.dense.w is not store.values:
        state.prepared = prepared = Prepared(rule, state, store)
    prepared.numbers[0] = scale
    for k, name in enumerate(rule.settings, 1):
        prepared.numbers[k] = settings[name]
    for start, end in updated_spans(store):
        launch(compiled.dense, prepared.dense.address, start, end - start)
    for table in store.tables:
        if not table.updated:
            continue
        rows = touched_rows(table, sparse)
        if len(rows):
            job = prepared.table(rule, state, table)
            job.arguments[_ROWS] = rows.ctypes.data
            launch(compiled.rows, job.address, 0, len(rows))
        table.clear_gradients()


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
def sum_of_squares_of_rows(address: int, rows: Any, size: int) -> float:
    total = 0.0
    for row in rows:
        total += sum_of_squares(address + 4 * size * row, size)
    return total


def squared_norm(store: ParameterStore) -> float:
    """Sum of squares of all gradients of a store."""
    base = store.gradients.ctypes.data
    total = sum(float(sum_of_squares(base + 4 * start, end - start)) for start, end in spans(store.dense))
    for table in store.tables:
        size = table.values.shape[1]
        rows = touched_rows(table, sparse=True)
        total += float(sum_of_squares_of_rows(table.gradients.ctypes.data, rows, size))
    return total
