"""The planner's layout: records of types, places of their results in the arena, row lists.

Plain loops over integer arrays, as in `plan.py`, whose words are used here.
"""

from __future__ import annotations

from .plan import (
    ALIGNMENT,
    ARENA_END,
    ARENA_TOP,
    GRADIENT_CLEAR,
    GRADIENT_TOP,
    HEADER,
    INSIDE,
    NEEDED,
    NODES,
    SCRATCH,
    T_BATCH,
    T_COUNT,
    T_FLAGS,
    T_NEEDS,
    T_OPERANDS,
    T_PARAMETERS,
    T_PAYLOAD,
    T_PAYLOAD_LIST,
    T_RESULTS,
    T_SIGNATURE,
    TYPES,
    V_BATCH,
    V_EXTERNAL,
    V_GRADIENT_LIST,
    V_LIST,
    V_NEEDS,
    V_PARAMETER,
    V_SIZE,
    VIEW,
    Ints,
)
from .signature import (
    ALIAS,
    ALIAS_SHIFT,
    ALIAS_STEP,
    BATCH,
    COLUMNS,
    COMPOUND,
    ENTRIES,
    ENTRY_BATCH,
    ENTRY_FIELDS,
    ENTRY_PARAMETER,
    ENTRY_SIZE,
    ENTRY_TRAINABLE,
    FLAGS,
    INNER,
    OPERANDS,
    PARAMETERS,
    PAYLOAD,
    RESULTS,
    SAVED,
    WHOLE,
)


def describe(
    rows: Ints, entries: Ints, state: Ints, type_signature: Ints, type_count: Ints, noted: Ints, record_of: Ints,
    records: Ints, assign: bool,
) -> None:  # fmt: skip
    """Write the record of every type, and its place in the row lists."""
    position = 0
    lists = 0
    scratch = 0
    for t in range(state[TYPES]):
        row = type_signature[t] * COLUMNS
        view = rows[row + ENTRIES] // ENTRY_FIELDS
        count = type_count[t]
        results = rows[row + RESULTS]
        operands = rows[row + OPERANDS]
        views = results + operands + rows[row + PARAMETERS]
        flags = rows[row + FLAGS]
        listed = 0 if flags & ALIAS else count
        record_of[t] = position
        records[position + T_SIGNATURE] = type_signature[t]
        records[position + T_COUNT] = count
        records[position + T_BATCH] = rows[row + BATCH]
        records[position + T_RESULTS] = results
        records[position + T_OPERANDS] = operands
        records[position + T_PARAMETERS] = rows[row + PARAMETERS]
        records[position + T_PAYLOAD] = rows[row + PAYLOAD]
        records[position + T_FLAGS] = flags
        records[position + T_NEEDS] = noted[view] & NEEDED
        gathered = 0
        own = 0
        for k in range(views):
            entry = (view + k) * ENTRY_FIELDS
            at = position + HEADER + k * VIEW
            if k < results:
                own += entries[entry + ENTRY_SIZE] * entries[entry + ENTRY_BATCH]
            elif k < results + operands:
                # A row that one example or the whole batch reads, packed for every example.
                gathered += entries[entry + ENTRY_SIZE] * max(entries[entry + ENTRY_BATCH], rows[row + BATCH])
            records[at + V_SIZE] = entries[entry + ENTRY_SIZE]
            records[at + V_BATCH] = entries[entry + ENTRY_BATCH]
            records[at + V_PARAMETER] = entries[entry + ENTRY_PARAMETER]
            records[at + V_LIST] = lists
            records[at + V_GRADIENT_LIST] = lists
            records[at + V_NEEDS] = 1 if k < results else entries[entry + ENTRY_TRAINABLE]
            records[at + V_EXTERNAL] = 1
            if k < results + operands:
                lists += listed
                if not assign:
                    records[at + V_GRADIENT_LIST] = lists
                    lists += listed
                records[at + V_NEEDS] |= noted[view + k] & NEEDED
                if noted[view + k] & INSIDE:
                    records[at + V_EXTERNAL] = 0
        records[position + T_PAYLOAD_LIST] = lists
        lists += listed * rows[row + PAYLOAD]
        position += HEADER + VIEW * views + rows[row + INNER]
        if flags & COMPOUND:
            # Inner instructions gather values of their own kind, too.
            gathered += own
        scratch = max(scratch, gathered * count if flags & WHOLE else own + gathered)
    state[SCRATCH] = scratch


def lay_out(
    rows: Ints, entries: Ints, state: Ints, type_signature: Ints, type_count: Ints, component: Ints, blocks: Ints,
    hidden: Ints, assign: bool, shared: bool,
) -> None:  # fmt: skip
    """Give every result of every type its block in the arena, hidden results behind the visible ones.

    Gradients of hidden results need not be cleared, except inside of compound instructions. `shared`: the hidden
    results of one component lie where those of another one lie, and the next plan may overwrite them.
    """
    top = state[ARENA_TOP] if assign else state[GRADIENT_TOP]
    for t in range(state[TYPES]):
        row = type_signature[t] * COLUMNS
        visible = rows[row + RESULTS]
        if shared or not rows[row + FLAGS] & COMPOUND:
            visible -= rows[row + SAVED]
        if not rows[row + FLAGS] & ALIAS:
            view = rows[row + ENTRIES] // ENTRY_FIELDS
            for k in range(visible):
                entry = (view + k) * ENTRY_FIELDS
                size = entries[entry + ENTRY_SIZE] * entries[entry + ENTRY_BATCH] * type_count[t]
                blocks[view + k] = top
                top += (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
    for t in range(state[TYPES]):
        hidden[t] = top
    end = top
    for t in range(state[TYPES]):
        row = type_signature[t] * COLUMNS
        visible = rows[row + RESULTS]
        if shared or not rows[row + FLAGS] & COMPOUND:
            visible -= rows[row + SAVED]
        c = component[t] if shared else 0
        view = rows[row + ENTRIES] // ENTRY_FIELDS
        for k in range(visible, rows[row + RESULTS]):
            entry = (view + k) * ENTRY_FIELDS
            size = entries[entry + ENTRY_SIZE] * entries[entry + ENTRY_BATCH] * type_count[t]
            blocks[view + k] = hidden[c]
            hidden[c] += (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
            end = max(end, hidden[c])
    state[GRADIENT_CLEAR] = top
    if assign:
        state[ARENA_TOP] = top if shared else end
        state[ARENA_END] = end
    else:
        state[GRADIENT_TOP] = end


def place(
    code: Ints, rows: Ints, state: Ints, nodes: Ints, node_type: Ints, rank: Ints, type_signature: Ints,
    type_count: Ints, record_of: Ints, records: Ints, blocks: Ints, lists: Ints, offset: Ints, gradient_offset: Ints,
    assign: bool,
) -> None:  # fmt: skip
    """Give every result its row in the arena, and fill the row lists of results, operands and payload.

    `assign`: values get rows, and their gradients the same ones. Otherwise values keep theirs and only gradients get
    rows. An alias has no lists: nothing is executed.
    """
    if assign:
        # The row lists of results: one row after another.
        for t in range(state[TYPES]):
            row = type_signature[t] * COLUMNS
            if not rows[row + FLAGS] & ALIAS:
                for k in range(rows[row + RESULTS]):
                    at = record_of[t] + HEADER + k * VIEW
                    here = blocks[rows[row + ENTRIES] // ENTRY_FIELDS + k]
                    size = records[at + V_SIZE] * records[at + V_BATCH]
                    at = records[at + V_LIST]
                    for r in range(type_count[t]):
                        lists[at + r] = here + r * size
    for i in range(state[NODES]):
        p = nodes[i]
        row = code[p] * COLUMNS
        r = rank[i]
        results = rows[row + RESULTS]
        operands = rows[row + OPERANDS]
        if rows[row + FLAGS] & ALIAS:
            shift = rows[row + ALIAS_SHIFT]
            if rows[row + ALIAS_STEP]:
                shift += rows[row + ALIAS_STEP] * code[p + 1 + operands]
            if assign:
                offset[p] = offset[code[p + 1]] + shift
            else:
                gradient_offset[p] = gradient_offset[code[p + 1]] + shift
            continue
        record = record_of[node_type[i]]
        view = rows[row + ENTRIES] // ENTRY_FIELDS
        at = record + HEADER
        for k in range(results):
            here = blocks[view + k] + r * (records[at + V_SIZE] * records[at + V_BATCH])
            if assign:
                offset[p + k] = here
            else:
                gradient_offset[p + k] = here
                lists[records[at + V_LIST] + r] = offset[p + k]
                lists[records[at + V_GRADIENT_LIST] + r] = here
            at += VIEW
        for k in range(operands):
            x = code[p + 1 + k]
            if x >= 0:
                lists[records[at + V_LIST] + r] = offset[x]
                if not assign:
                    lists[records[at + V_GRADIENT_LIST] + r] = gradient_offset[x]
            at += VIEW
        payload = records[record + T_PAYLOAD_LIST] + r
        for k in range(rows[row + PAYLOAD]):
            lists[payload] = code[p + 1 + operands + k]
            payload += records[record + T_COUNT]
