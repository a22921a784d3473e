"""One graph's plans: the work arrays, and the order in which the planner's loops run over them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import layout, ordering
from . import plan as p
from .backend import Group
from .errors import StaleExpression
from .signature import COLUMNS, Signature, signatures

if TYPE_CHECKING:
    from .graph import ComputationGraph

# Floats at the start of every arena that stay zero: the zero value, the absent initial state of a recurrence.
ZERO_FLOATS = 1 << 16


@dataclass(slots=True)
class Plan:
    """Steps, type records and row lists; `plan.py` names the fields."""

    nodes: int
    steps: list[int]
    records: list[int]
    record_of: list[int]
    lists: list[int]


class Sparse(dict[int, int]):
    """An array that is `fill` wherever nothing else was written."""

    def __init__(self, fill: int) -> None:
        super().__init__()
        self.fill = fill

    def __missing__(self, place: int) -> int:
        return self.fill


class SignatureLists:
    """The table of all signatures as lists, which interpreted loops read quicker; all planners share it."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.entries: list[int] = []
        self._lock = threading.Lock()

    def update(self) -> None:
        """Take over the signatures that were made since the last time."""
        known = len(self.rows) // COLUMNS
        if known == len(signatures):
            return
        with self._lock, signatures.lock:
            self.rows += signatures.rows[len(self.rows) : len(signatures) * COLUMNS].tolist()
            self.entries += signatures.entries[len(self.entries) : signatures.used].tolist()


table = SignatureLists()


class Planner:
    """Interpreted planning over Python lists, for backends without a compiled planner."""

    def __init__(self, graph: ComputationGraph) -> None:
        self.graph = graph
        self.state = [0] * p.STATE
        self.state[p.WALKED] = 1
        self.state[p.ARENA_TOP] = self.state[p.ARENA_END] = ZERO_FLOATS
        self.offset = [0]
        self.gradient_offset = [0]
        self.slot = [-1]
        self.mark = [0]
        self.waiting = [0]
        self.rows, self.entries = table.rows, table.entries

    def _walk(self) -> None:
        code = self.graph.code
        grown = len(code) - len(self.offset)
        for column, fill in (
            (self.offset, p.PENDING), (self.gradient_offset, 0), (self.slot, -1), (self.mark, 0), (self.waiting, 0),
        ):  # fmt: skip
            column.extend([fill] * grown)
        table.update()
        p.walk(code, len(code), self.rows, self.state, self.offset, self.mark, self.waiting)

    def forward(self, targets: Sequence[int]) -> Plan:
        """Plan the values that the targets need and that have no value."""
        self._walk()
        return self._plan(targets, assign=True, full=False)

    def backward(self, target: int, full: bool) -> Plan:
        """Plan everything that the target depends on, whenever it was computed."""
        self._walk()
        self.state[p.GRADIENT_TOP] = ZERO_FLOATS
        return self._plan((target,), assign=False, full=full)

    def invalidate(self) -> None:
        """Every value waits again; the arena is empty."""
        self._walk()
        p.forget(self.graph.code, len(self.graph.code), self.rows, self.state, self.offset, self.waiting)
        self.state[p.ARENA_TOP] = ZERO_FLOATS

    def drop(self, start: int, end: int) -> None:
        """Positions of a reverted part have no value any more, and never will."""
        self._walk()
        p.drop(self.state, self.offset, self.waiting, start, end)

    def needs_gradient(self, index: int) -> bool:
        """Whether the last backward plan has a gradient for this value."""
        return bool(self.mark[index] & p.NEEDS)

    def _select(self, targets: Sequence[int], assign: bool) -> list[int]:
        """The instructions to plan, in order of position."""
        state, code, rows = self.state, self.graph.code, self.rows
        if assign:
            candidates, count = self.waiting, state[p.WAITING]
        else:
            candidates = [0] * len(code)
            count = p.list_instructions(code, len(code), rows, candidates)
        nodes = [0] * count
        p.select(targets, len(targets), not assign, code, rows, state, self.offset, candidates, count, self.mark, nodes)
        if state[p.BROKEN]:
            raise reverted(state[p.BROKEN])
        return nodes

    def _plan(self, targets: Sequence[int], assign: bool, full: bool) -> Plan:
        state, code, rows, entries = self.state, self.graph.code, self.rows, self.entries
        autobatch = self.graph.autobatch
        nodes = self._select(targets, assign)
        count, kinds = state[p.NODES], len(signatures)
        p.renumber(state, self.slot, len(code))
        # Numbered by signature, and by view of a signature: a process may have many, a plan has few.
        type_of, noted, blocks = Sparse(-1), Sparse(0), Sparse(0)
        most = min(kinds, count)
        node_type, type_signature, type_count = [0] * count, [0] * most, [0] * most
        producers = [0] * (min(most, p.MAX_TYPES) * p.WORDS)
        p.classify(
            code, rows, state, nodes, self.slot, type_of, node_type, type_signature, type_count, producers, noted,
            self.mark, full,
        )  # fmt: skip
        p.measure(rows, state, type_signature, type_count, assign)
        types = state[p.TYPES]
        rank, next_row = [0] * count, [0] * types
        steps = [0] * (p.STEP * (2 * count + types))
        component = [0] * types
        if autobatch:
            found = ordering.components(state, producers, component, [0] * (5 * types))
            width, depth, base, first_type, next_type, step_of = ([0] * types for _ in range(6))
            key, order, buckets = [0] * count, [0] * count, [0] * count
            ordering.find_levels(
                code, rows, state, nodes, self.slot, node_type, producers, component, found, width, depth, noted, key
            )
            ordering.arrange(state, node_type, component, found, width, depth, base, key, order, rank, buckets)
            ordering.schedule(
                rows, state, node_type, type_signature, type_count, component, found, width, depth, base, first_type,
                next_type, next_row, step_of, order, rank, buckets, steps,
            )  # fmt: skip
        else:
            ordering.one_by_one(rows, state, node_type, type_signature, next_row, rank, steps)
        record_of, hidden = [0] * types, [0] * types
        records, lists = [0] * state[p.RECORDS_SIZE], [0] * state[p.LISTS_SIZE]
        layout.describe(rows, entries, state, type_signature, type_count, noted, record_of, records, assign)
        layout.lay_out(
            rows, entries, state, type_signature, type_count, component, blocks, hidden, assign,
            autobatch and self.graph.inference,
        )  # fmt: skip
        layout.place(
            code, rows, state, nodes, node_type, rank, type_signature, type_count, record_of, records, blocks, lists,
            self.offset, self.gradient_offset, assign,
        )  # fmt: skip
        if assign:
            p.settle(state, self.waiting, self.offset)
        return Plan(count, steps[: p.STEP * state[p.STEPS]], records, record_of, lists)


def reverted(position: int) -> StaleExpression:
    """What is raised for an instruction that uses a reverted value."""
    return StaleExpression(
        f"instruction {position} uses an expression made after a checkpoint that has been reverted; build it again"
    )


def count_groups(
    steps: Sequence[int],
    records: Sequence[int],
    record_of: Sequence[int],
    has_kernel: Callable[[Signature], bool] = lambda signature: True,
) -> list[Group]:
    """Instructions and steps of every type of a plan, in the order in which the types first run."""
    number: dict[int, int] = {}
    for s in range(0, len(steps), p.STEP):
        if not steps[s + p.S_WHOLE]:
            t = int(steps[s + p.S_TYPE])
            number[t] = number.get(t, 0) + 1
    groups = []
    for t, found in number.items():
        record = record_of[t]
        signature = signatures[int(records[record + p.T_SIGNATURE])]
        count = int(records[record + p.T_COUNT])
        groups.append(Group(repr(signature), count, found, not has_kernel(signature)))
    return groups
