"""One graph's plans: the work arrays, and the order in which the planner's loops run over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import plan as p
from .errors import StaleExpression
from .signature import signatures

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


class Planner:
    """Interpreted planning over Python lists, for backends without a compiled planner."""

    def __init__(self, graph: ComputationGraph) -> None:
        self.graph = graph
        self.state = [0] * p.STATE
        self.state[p.WALKED] = 1
        self.state[p.ARENA_TOP] = ZERO_FLOATS
        self.offset = [0]
        self.gradient_offset = [0]
        self.start_of = [0]
        self.need = [0]
        self.local_of = [-1]
        self.mark = [0]
        self.starts: list[int] = []
        self.waiting: list[int] = []
        # The signature table as lists, and how many signatures they know.
        self.known, self.rows, self.entries = 0, [0], [0]

    def _walk(self) -> None:
        code = self.graph.code
        grown = len(code) - len(self.offset)
        for column, fill in (
            (self.offset, p.PENDING), (self.gradient_offset, 0), (self.start_of, 0), (self.need, 0),
            (self.local_of, 0), (self.mark, 0), (self.starts, 0), (self.waiting, 0),
        ):  # fmt: skip
            column.extend([fill] * grown)
        if len(signatures) != self.known:
            self.known, self.rows, self.entries = (
                len(signatures),
                signatures.rows.tolist(),
                signatures.entries.tolist(),
            )
        p.walk(
            code, len(code), self.rows, self.state, self.offset, self.start_of, self.local_of, self.mark, self.need,
            self.starts, self.waiting,
        )  # fmt: skip

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
        state = self.state
        waiting = 0
        for start in self.starts[: state[p.STARTS]]:
            if self.offset[start] != p.DROPPED:
                for k in range(signatures[self.graph.code[start]].length):
                    self.offset[start + k] = p.PENDING
                self.waiting[waiting] = start
                waiting += 1
        state[p.WAITING] = waiting
        state[p.ARENA_TOP] = ZERO_FLOATS

    def drop(self, start: int, end: int) -> None:
        """Positions of a reverted part have no value any more, and never will."""
        self._walk()
        for position in range(start, end):
            self.offset[position] = p.DROPPED
        state = self.state
        kept = [w for w in self.waiting[: state[p.WAITING]] if w < start]
        self.waiting[: len(kept)] = kept
        state[p.WAITING] = len(kept)

    def _plan(self, targets: Sequence[int], assign: bool, full: bool) -> Plan:
        state, code, rows = self.state, self.graph.code, self.rows
        entries = self.entries
        candidates = (self.waiting, state[p.WAITING]) if assign else (self.starts, state[p.STARTS])
        nodes = [0] * candidates[1]
        count = p.select(
            targets, len(targets), not assign, code, rows, state, self.offset, self.start_of, *candidates, self.mark,
            self.need, nodes,
        )  # fmt: skip
        if state[p.BROKEN]:
            raise StaleExpression(
                f"instruction {state[p.BROKEN]} uses an expression made after a checkpoint "
                "that has been reverted; build it again"
            )
        kinds = len(signatures)
        type_of, node_type = [-1] * kinds, [0] * count
        type_signature, type_count = [0] * kinds, [0] * kinds
        producers, component = [0] * (min(kinds, p.MAX_TYPES) * p.WORDS), [0] * kinds
        p.classify(
            code, rows, entries, state, self.start_of, nodes, self.local_of, type_of, node_type, type_signature,
            type_count, producers, self.need, full,
        )  # fmt: skip
        types = state[p.TYPES]
        autobatch = self.graph.autobatch
        found = p.components(state, producers, component, [0] * (5 * types)) if autobatch else 0
        level, key, order, rank = ([0] * count for _ in range(4))
        buckets = [0] * (count + 2 * types + 2)
        p.arrange(
            code, rows, state, self.start_of, nodes, self.local_of, node_type, component, found, level, key, order,
            buckets, autobatch,
        )  # fmt: skip
        steps = [0] * (p.STEP * (2 * count + types))
        p.schedule(
            rows, state, node_type, type_signature, type_count, component, key, order, rank, [0] * types, steps,
            buckets, autobatch,
        )  # fmt: skip
        record_of, first_block = [0] * types, [0] * types
        records = [0] * state[p.TYPES_SIZE]
        block_of = [0] * state[p.TYPES_SIZE]
        p.describe(rows, entries, state, type_signature, type_count, record_of, records, block_of, first_block, assign)
        lists = [0] * state[p.LISTS_SIZE]
        p.place(
            code, rows, state, self.start_of, nodes, self.local_of, node_type, component, order, rank, record_of,
            records, block_of, first_block, lists, self.offset, self.gradient_offset, self.need, assign, autobatch,
        )  # fmt: skip
        p.settle(state, self.waiting, self.offset, nodes, self.local_of, type_of, type_signature, assign)
        steps = steps[: p.STEP * state[p.STEPS]]
        return Plan(count, steps, records, record_of, lists)
