"""The planner: from a tape to steps of equal work, as plain loops over integer arrays.

This file holds what a plan is made of, and chooses what is planned; `ordering.py` cuts it into steps, `layout.py` gives
it memory. Every function there and here is written for compilation: integers, indexed containers,
loops. A compiled backend compiles these very functions; the NumPy backend runs them as they are, over lists.

Vocabulary. An *instruction* is one entry of the tape. Instructions of one signature are of one *type*. Types that
depend on each other in a circle form a *component*: a recurrence. A *level* is the length of the longest path
inside the component. A *step* is the instructions of one type on one level of one component; it is a slice of the
type's block.

Instructions are visited in the order of the tape wherever possible: what they read was written shortly before. Arrays
that have an entry per position or per instruction hold 32-bit numbers in compiled code, the marks 8-bit ones.
"""

from __future__ import annotations

from typing import Any

from .signature import (
    ALIAS,
    BLOCKS,
    COLUMNS,
    ENTRIES,
    ENTRY_FIELDS,
    FLAGS,
    INNER,
    LENGTH,
    OPERANDS,
    PARAMETERS,
    PAYLOAD,
    RESULTS,
    SOURCE,
)

Ints = Any  # an integer array in compiled code, a list in interpreted code

# A value that has not been computed, and one that was reverted.
PENDING, DROPPED = -1, -2

# Counters that outlive one plan, and sizes that a plan reports. Places up to ARENA_TOP hold values that stay; the plan
# reaches up to ARENA_END. `NUMBERED` counts the instructions of all plans of the graph, `FIRST` those before this one.
(
    WALKED, WAITING, ARENA_TOP, ARENA_END, GRADIENT_TOP, GRADIENT_CLEAR, NUMBERED, FIRST, NODES, TYPES, STEPS,
    LISTS_SIZE, RECORDS_SIZE, SCRATCH, BROKEN,
) = range(15)  # fmt: skip
STATE = 15

# A type's record: a header (its fields from T_KERNELS on are for backends that need addresses), then one view per
# result, operand and parameter, then room for the records of inner instructions.
(
    T_SIGNATURE, T_COUNT, T_BATCH, T_RESULTS, T_OPERANDS, T_PARAMETERS, T_PAYLOAD, T_PAYLOAD_LIST, T_NEEDS, T_FLAGS,
    T_KERNELS, T_ATTRIBUTES, T_TABLE, T_CONTEXT, T_PAYLOAD_ROWS, T_HOISTED,
) = range(16)  # fmt: skip
HEADER = 16
# A view: size of one example, batch, parameter id or -1, row lists, whether a gradient is
# wanted, whether all producers lie outside the component; the last four are addresses, for backends that need them.
V_SIZE, V_BATCH, V_PARAMETER, V_LIST, V_GRADIENT_LIST, V_NEEDS, V_EXTERNAL = range(7)
V_VALUES, V_ROWS, V_GRADIENTS, V_GRADIENT_ROWS = range(7, 11)
VIEW = 12

# A step: which record, first row, number of rows, and whether it is the type's prologue (backwards: its epilogue).
S_TYPE, S_START, S_COUNT, S_WHOLE = range(4)
STEP = 4

# Bits of the mark that a value has: the plan wants it; it depends on a trainable parameter.
WANTED, NEEDS = 1, 2
# Bits noted for a view of a type: a gradient is wanted, and some of its values come from inside the component.
NEEDED, INSIDE = 1, 2

MAX_TYPES = 1024
WORDS = MAX_TYPES // 32
ALIGNMENT = 16
# An instruction's key: its component, then its level in the lower bits.
LEVEL_BITS = 32
LEVEL = (1 << LEVEL_BITS) - 1
# Largest number that the arrays of 32-bit numbers hold.
LARGEST = (1 << 31) - 1


def walk(code: Ints, length: int, rows: Ints, state: Ints, offset: Ints, mark: Ints, waiting: Ints) -> None:
    """Register the instructions recorded since the last call: they wait for their values."""
    p = state[WALKED]
    pending = state[WAITING]
    while p < length:
        row = code[p] * COLUMNS
        for k in range(rows[row + RESULTS]):
            offset[p + k] = PENDING
            mark[p + k] = 0
        waiting[pending] = p
        pending += 1
        p += rows[row + LENGTH]
    state[WALKED] = p
    state[WAITING] = pending


def list_instructions(code: Ints, length: int, rows: Ints, starts: Ints) -> int:
    """Collect where each instruction of the tape starts. Returns how many there are."""
    p = 1
    count = 0
    while p < length:
        starts[count] = p
        count += 1
        p += rows[code[p] * COLUMNS + LENGTH]
    return count


def select(
    targets: Ints, count: int, everything: bool, code: Ints, rows: Ints, state: Ints, offset: Ints, candidates: Ints,
    candidate_count: int, mark: Ints, nodes: Ints,
) -> None:  # fmt: skip
    """Collect into `nodes`, in order of position, the candidates that the targets need.

    Forward: candidates are the waiting instructions. `everything`: all instructions, also those that have values (for
    backward); those outside of the plan then have no gradient. Sets `state[BROKEN]` to the position of an instruction
    that uses a reverted value, else to 0.
    """
    broken = 0
    for i in range(count):
        if everything or offset[targets[i]] == PENDING:
            mark[targets[i]] |= WANTED
    first = candidate_count
    for j in range(candidate_count - 1, -1, -1):
        p = candidates[j]
        row = code[p] * COLUMNS
        wanted = 0
        for k in range(rows[row + RESULTS]):
            wanted |= mark[p + k]
            mark[p + k] = 0
        if not wanted & WANTED:
            continue
        first -= 1
        nodes[first] = p
        for k in range(rows[row + OPERANDS]):
            x = code[p + 1 + k]
            if x > 0:
                if offset[x] == DROPPED:
                    broken = p
                elif everything or offset[x] == PENDING:
                    mark[x] |= WANTED
    found = candidate_count - first
    if first:
        for i in range(found):
            nodes[i] = nodes[first + i]
    state[BROKEN] = broken
    state[NODES] = found


def renumber(state: Ints, slot: Ints, count: int) -> None:
    """Start again with the numbers of instructions where the plan's would not fit; earlier plans are forgotten."""
    if state[NUMBERED] > LARGEST - state[NODES]:
        for x in range(count):
            slot[x] = -1
        state[NUMBERED] = 0


def classify(
    code: Ints, rows: Ints, state: Ints, nodes: Ints, slot: Ints, type_of: Ints, node_type: Ints, type_signature: Ints,
    type_count: Ints, producers: Ints, noted: Ints, mark: Ints, full: bool,
) -> None:  # fmt: skip
    """Give every instruction its type, collect which types feed which, and see who needs gradients.

    `slot` is the number of the instruction that a value belongs to, counted over all plans of the graph.
    """
    types = 0
    first = state[NUMBERED]
    for i in range(state[NODES]):
        p = nodes[i]
        signature = code[p]
        row = signature * COLUMNS
        results = rows[row + RESULTS]
        view = rows[row + ENTRIES] // ENTRY_FIELDS
        t = type_of[signature]
        if t < 0:
            t = types
            types += 1
            type_of[signature] = t
            type_signature[t] = signature
            type_count[t] = 0
            if t < MAX_TYPES:
                for w in range(WORDS):
                    producers[t * WORDS + w] = 0
            for k in range(results + rows[row + OPERANDS]):
                noted[view + k] = 0
        node_type[i] = t
        type_count[t] += 1
        flags = rows[row + FLAGS]
        needs = NEEDS if flags & SOURCE or full else 0
        for k in range(rows[row + OPERANDS]):
            x = code[p + 1 + k]
            if x > 0:
                if mark[x] & NEEDS:
                    needs = NEEDS
                    noted[view + results + k] |= NEEDED
                j = slot[x] - first
                if j >= 0 and t < MAX_TYPES:
                    u = node_type[j]
                    if u < MAX_TYPES:
                        producers[t * WORDS + (u >> 5)] |= 1 << (u & 31)
        if flags & BLOCKS and not full:
            needs = 0
        if needs:
            noted[view] |= NEEDED
        for k in range(results):
            slot[p + k] = first + i
            mark[p + k] = needs
    for t in range(types):
        type_of[type_signature[t]] = -1
    state[TYPES] = types
    state[FIRST] = first
    state[NUMBERED] = first + state[NODES]


def measure(rows: Ints, state: Ints, type_signature: Ints, type_count: Ints, assign: bool) -> None:
    """Size the records and the row lists of the plan."""
    records = 0
    lists = 0
    for t in range(state[TYPES]):
        row = type_signature[t] * COLUMNS
        views = rows[row + RESULTS] + rows[row + OPERANDS]
        records += HEADER + VIEW * (views + rows[row + PARAMETERS]) + rows[row + INNER]
        if not rows[row + FLAGS] & ALIAS:
            lists += type_count[t] * (views * (1 if assign else 2) + rows[row + PAYLOAD])
    state[RECORDS_SIZE] = records
    state[LISTS_SIZE] = lists


def settle(state: Ints, waiting: Ints, offset: Ints) -> None:
    """Take planned instructions off the waiting list."""
    if state[NODES] == state[WAITING]:
        state[WAITING] = 0
        return
    kept = 0
    for j in range(state[WAITING]):
        p = waiting[j]
        if offset[p] == PENDING:
            waiting[kept] = p
            kept += 1
    state[WAITING] = kept


def forget(code: Ints, length: int, rows: Ints, state: Ints, offset: Ints, waiting: Ints) -> None:
    """Every value waits again, except reverted ones."""
    p = 1
    count = 0
    while p < length:
        row = code[p] * COLUMNS
        if offset[p] != DROPPED:
            for k in range(rows[row + RESULTS]):
                offset[p + k] = PENDING
            waiting[count] = p
            count += 1
        p += rows[row + LENGTH]
    state[WAITING] = count


def drop(state: Ints, offset: Ints, waiting: Ints, start: int, end: int) -> None:
    """Positions of a reverted part have no value any more, and never will."""
    for position in range(start, end):
        offset[position] = DROPPED
    kept = 0
    for j in range(state[WAITING]):
        if waiting[j] < start:
            waiting[kept] = waiting[j]
            kept += 1
    state[WAITING] = kept
