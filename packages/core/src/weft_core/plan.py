"""The planner: from a tape to steps of equal work, as plain loops over integer arrays.

Every function here is written for compilation: integers, indexed containers, loops. A compiled backend compiles these
very functions; the NumPy backend runs them as they are, over lists.

Vocabulary. An *instruction* is one entry of the tape. Instructions of one signature are of one *type*. Types that
depend on each other in a circle form a *component*: a recurrence. A *level* is the length of the longest path
inside the component. A *step* is the instructions of one type on one level of one component; it is a slice of the
type's block.
"""

from __future__ import annotations

from typing import Any

from .signature import (
    ALIAS,
    ALIAS_SHIFT,
    ALIAS_STEP,
    BATCH,
    BLOCKS,
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
    LENGTH,
    OPERANDS,
    PARAMETERS,
    PAYLOAD,
    RESULTS,
    SOURCE,
    WHOLE,
)

Ints = Any  # an int64 array in compiled code, a list in interpreted code

# A value that has not been computed, and one that was reverted.
PENDING, DROPPED = -1, -2

# Counters that outlive one plan, and sizes that a plan reports.
(WALKED, STARTS, WAITING, ARENA_TOP, NODES, TYPES, STEPS, LISTS_SIZE, TYPES_SIZE, SCRATCH, GRADIENT_TOP, BROKEN) = (
    range(12)
)
STATE = 12

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

MAX_TYPES = 1024
WORDS = MAX_TYPES // 32
ALIGNMENT = 16


def walk(
    code: Ints, length: int, rows: Ints, state: Ints, offset: Ints, start_of: Ints, local_of: Ints, mark: Ints,
    need: Ints, starts: Ints, waiting: Ints,
) -> None:  # fmt: skip
    """Register the instructions recorded since the last call: where each starts, and that it waits for its value."""
    p = state[WALKED]
    count = state[STARTS]
    pending = state[WAITING]
    while p < length:
        row = code[p] * COLUMNS
        size = rows[row + LENGTH]
        for k in range(size):
            start_of[p + k] = p
            offset[p + k] = PENDING
        local_of[p] = -1
        mark[p] = 0
        need[p] = 0
        starts[count] = p
        waiting[pending] = p
        count += 1
        pending += 1
        p += size
    state[WALKED] = p
    state[STARTS] = count
    state[WAITING] = pending


def select(
    targets: Ints, count: int, everything: bool, code: Ints, rows: Ints, state: Ints, offset: Ints, start_of: Ints,
    candidates: Ints, candidate_count: int, mark: Ints, need: Ints, nodes: Ints,
) -> int:  # fmt: skip
    """Collect into `nodes`, in order of position, the candidates that the targets need. Returns how many.

    Forward: candidates are the waiting instructions. `everything`: all instructions, also those that have values (for
    backward); those outside of the plan then have no gradient. Sets `state[BROKEN]` to the position of an instruction
    that uses a reverted value, else to 0.
    """
    state[BROKEN] = 0
    newest = 0
    for i in range(count):
        p = start_of[targets[i]]
        if everything or offset[targets[i]] == PENDING:
            mark[p] = 1
            newest = max(newest, p)
    found = 0
    for j in range(candidate_count - 1, -1, -1):
        p = candidates[j]
        if p > newest or mark[p] == 0:
            if everything:
                need[p] = 0
            continue
        mark[p] = 0
        nodes[found] = p
        found += 1
        for k in range(rows[code[p] * COLUMNS + OPERANDS]):
            x = code[p + 1 + k]
            if x > 0:
                if offset[x] == DROPPED:
                    state[BROKEN] = p
                elif everything or offset[x] == PENDING:
                    mark[start_of[x]] = 1
    for i in range(found // 2):
        j = found - 1 - i
        nodes[i], nodes[j] = nodes[j], nodes[i]
    state[NODES] = found
    return found


def classify(
    code: Ints, rows: Ints, entries: Ints, state: Ints, start_of: Ints, nodes: Ints, local_of: Ints, type_of: Ints,
    node_type: Ints, type_signature: Ints, type_count: Ints, producers: Ints, need: Ints, full: bool,
) -> None:  # fmt: skip
    """Give every instruction its type, collect which types feed which, size the plan, and see who needs gradients."""
    count = state[NODES]
    types = 0
    lists = 0
    records = 0
    for i in range(count):
        p = nodes[i]
        signature = code[p]
        row = signature * COLUMNS
        t = type_of[signature]
        operands = rows[row + OPERANDS]
        views = rows[row + RESULTS] + operands + rows[row + PARAMETERS]
        if t < 0:
            t = types
            types += 1
            type_of[signature] = t
            type_signature[t] = signature
            type_count[t] = 0
            records += HEADER + VIEW * views + rows[row + INNER]
            if t < MAX_TYPES:
                for w in range(WORDS):
                    producers[t * WORDS + w] = 0
        lists += 2 * views + rows[row + PAYLOAD]
        node_type[i] = t
        type_count[t] += 1
        local_of[p] = i
        flags = rows[row + FLAGS]
        needs = 1 if flags & SOURCE or full else 0
        for k in range(operands):
            x = code[p + 1 + k]
            if x > 0:
                q = start_of[x]
                if need[q]:
                    needs = 1
                j = local_of[q]
                if j >= 0 and t < MAX_TYPES:
                    u = node_type[j]
                    if u < MAX_TYPES:
                        producers[t * WORDS + (u >> 5)] |= 1 << (u & 31)
        need[p] = 0 if flags & BLOCKS and not full else needs
    state[TYPES] = types
    state[LISTS_SIZE] = lists
    state[TYPES_SIZE] = records


def components(state: Ints, producers: Ints, component: Ints, work: Ints) -> int:
    """Strongly connected components of the graph of types, producers first (Tarjan 1972, without recursion)."""
    types = state[TYPES]
    if types > MAX_TYPES:
        for t in range(types):
            component[t] = 0
        return 1
    visited, low, stack, path, edge = 0, types, 2 * types, 3 * types, 4 * types
    for t in range(types):
        work[visited + t] = 0
        component[t] = -1
    clock = 0
    found = 0
    on_stack = 0
    words = (types + 31) >> 5
    for root in range(types):
        if work[visited + root]:
            continue
        depth = 0
        work[path] = root
        work[edge] = 0
        clock += 1
        work[visited + root] = clock
        work[low + root] = clock
        work[stack + on_stack] = root
        on_stack += 1
        while depth >= 0:
            t = work[path + depth]
            u = work[edge + depth]
            # The next producer at or after u.
            following = -1
            while u < words * 32:
                bits = producers[t * WORDS + (u >> 5)] >> (u & 31)
                if bits == 0:
                    u = ((u >> 5) + 1) << 5
                elif bits & 1:
                    following = u
                    break
                else:
                    u += 1
            if following >= 0:
                work[edge + depth] = following + 1
                if work[visited + following] == 0:
                    depth += 1
                    clock += 1
                    work[visited + following] = clock
                    work[low + following] = clock
                    work[stack + on_stack] = following
                    on_stack += 1
                    work[path + depth] = following
                    work[edge + depth] = 0
                elif component[following] < 0:
                    work[low + t] = min(work[low + t], work[visited + following])
                continue
            if work[low + t] == work[visited + t]:
                while True:
                    on_stack -= 1
                    u = work[stack + on_stack]
                    component[u] = found
                    if u == t:
                        break
                found += 1
            depth -= 1
            if depth >= 0:
                parent = work[path + depth]
                work[low + parent] = min(work[low + parent], work[low + t])
    return found


def arrange(
    code: Ints, rows: Ints, state: Ints, start_of: Ints, nodes: Ints, local_of: Ints, node_type: Ints, component: Ints,
    found: int, level: Ints, key: Ints, order: Ints, buckets: Ints, autobatch: bool,
) -> None:  # fmt: skip
    """Order instructions by component, level, type, position: two stable counting sorts."""
    count = state[NODES]
    types = state[TYPES]
    if not autobatch:
        for i in range(count):
            order[i] = i
            key[i] = i
        return
    for c in range(found + 1):
        buckets[c] = 0
    for i in range(count):
        p = nodes[i]
        c = component[node_type[i]]
        deepest = 0
        for k in range(rows[code[p] * COLUMNS + OPERANDS]):
            x = code[p + 1 + k]
            if x > 0:
                j = local_of[start_of[x]]
                if j >= 0 and component[node_type[j]] == c:
                    deepest = max(deepest, level[j] + 1)
        level[i] = deepest
        buckets[c + 1] = max(buckets[c + 1], deepest + 1)
    for c in range(found):
        buckets[c + 1] += buckets[c]
    keys = buckets[found]
    for i in range(count):
        key[i] = buckets[component[node_type[i]]] + level[i]
    # By type, then by (component, level): the second sort keeps the order of the first. `level` is free from here on.
    for t in range(types + 1):
        buckets[t] = 0
    for i in range(count):
        buckets[node_type[i] + 1] += 1
    for t in range(types):
        buckets[t + 1] += buckets[t]
    for i in range(count):
        t = node_type[i]
        level[buckets[t]] = i
        buckets[t] += 1
    for k in range(keys + 1):
        buckets[k] = 0
    for i in range(count):
        buckets[key[i] + 1] += 1
    for k in range(keys):
        buckets[k + 1] += buckets[k]
    for j in range(count):
        i = level[j]
        k = key[i]
        order[buckets[k]] = i
        buckets[k] += 1


def schedule(
    rows: Ints, state: Ints, node_type: Ints, type_signature: Ints, type_count: Ints, component: Ints, key: Ints,
    order: Ints, rank: Ints, by_component: Ints, steps: Ints, buckets: Ints, autobatch: bool,
) -> None:  # fmt: skip
    """Cut the order into steps; a type with whole-type work gets a prologue step where its component begins."""
    count = state[NODES]
    types = state[TYPES]
    for t in range(types):
        buckets[t] = 0
    # Types in order of component, so that a component's prologues are found without a search.
    if autobatch:
        head = types
        for t in range(types):
            buckets[head + t] = -1
        for t in range(types - 1, -1, -1):
            by_component[t] = buckets[head + component[t]]
            buckets[head + component[t]] = t
    n = 0
    current = -1
    i = 0
    while i < count:
        node = order[i]
        t = node_type[node]
        if autobatch and component[t] != current:
            current = component[t]
            u = buckets[types + current]
            while u >= 0:
                if rows[type_signature[u] * COLUMNS + FLAGS] & WHOLE:
                    steps[n + S_TYPE] = u
                    steps[n + S_START] = 0
                    steps[n + S_COUNT] = type_count[u]
                    steps[n + S_WHOLE] = 1
                    n += STEP
                u = by_component[u]
        start = buckets[t]
        group = key[node]
        while i < count and node_type[order[i]] == t and key[order[i]] == group:
            rank[order[i]] = buckets[t]
            buckets[t] += 1
            i += 1
        flags = rows[type_signature[t] * COLUMNS + FLAGS]
        if flags & WHOLE and not autobatch:
            steps[n + S_TYPE] = t
            steps[n + S_START] = start
            steps[n + S_COUNT] = 1
            steps[n + S_WHOLE] = 1
            n += STEP
        if not flags & ALIAS:
            steps[n + S_TYPE] = t
            steps[n + S_START] = start
            steps[n + S_COUNT] = buckets[t] - start
            steps[n + S_WHOLE] = 0
            n += STEP
    state[STEPS] = n // STEP


def describe(
    rows: Ints, entries: Ints, state: Ints, type_signature: Ints, type_count: Ints, record_of: Ints, records: Ints,
    block_of: Ints, first_block: Ints, assign: bool,
) -> None:  # fmt: skip
    """Write the record of every type, its place in the row lists, and its blocks in the arena (one per result)."""
    top = state[ARENA_TOP] if assign else state[GRADIENT_TOP]
    position = 0
    lists = 0
    blocks = 0
    scratch = 0
    for t in range(state[TYPES]):
        row = type_signature[t] * COLUMNS
        count = type_count[t]
        results = rows[row + RESULTS]
        operands = rows[row + OPERANDS]
        views = results + operands + rows[row + PARAMETERS]
        flags = rows[row + FLAGS]
        record_of[t] = position
        records[position + T_SIGNATURE] = type_signature[t]
        records[position + T_COUNT] = count
        records[position + T_BATCH] = rows[row + BATCH]
        records[position + T_RESULTS] = results
        records[position + T_OPERANDS] = operands
        records[position + T_PARAMETERS] = rows[row + PARAMETERS]
        records[position + T_PAYLOAD] = rows[row + PAYLOAD]
        records[position + T_FLAGS] = flags
        records[position + T_NEEDS] = 0
        first_block[t] = blocks
        gathered = 0
        own = 0
        for k in range(views):
            entry = rows[row + ENTRIES] + k * ENTRY_FIELDS
            view = position + HEADER + k * VIEW
            size = entries[entry + ENTRY_SIZE] * entries[entry + ENTRY_BATCH]
            if k < results:
                own += size
            elif k < results + operands:
                # A row that one example or the whole batch reads, packed for every example.
                gathered += entries[entry + ENTRY_SIZE] * max(entries[entry + ENTRY_BATCH], rows[row + BATCH])
            records[view + V_SIZE] = entries[entry + ENTRY_SIZE]
            records[view + V_BATCH] = entries[entry + ENTRY_BATCH]
            records[view + V_PARAMETER] = entries[entry + ENTRY_PARAMETER]
            records[view + V_LIST] = lists
            records[view + V_GRADIENT_LIST] = lists
            lists += count
            if not assign:
                records[view + V_GRADIENT_LIST] = lists
                lists += count
            records[view + V_NEEDS] = 1 if k < results else entries[entry + ENTRY_TRAINABLE]
            records[view + V_EXTERNAL] = 1
            if k < results:
                block_of[blocks] = top
                blocks += 1
                if not flags & ALIAS:
                    top += (size * count + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
        records[position + T_PAYLOAD_LIST] = lists
        lists += count * rows[row + PAYLOAD]
        position += HEADER + VIEW * views + rows[row + INNER]
        if flags & COMPOUND:
            # Inner instructions gather values of their own kind, too.
            gathered += own
        scratch = max(scratch, gathered * count if flags & WHOLE else own + gathered)
    state[TYPES_SIZE] = position
    state[LISTS_SIZE] = lists
    state[SCRATCH] = scratch
    if assign:
        state[ARENA_TOP] = top
    else:
        state[GRADIENT_TOP] = top


def place(
    code: Ints, rows: Ints, state: Ints, start_of: Ints, nodes: Ints, local_of: Ints, node_type: Ints, component: Ints,
    order: Ints, rank: Ints, record_of: Ints, records: Ints, block_of: Ints, first_block: Ints, lists: Ints,
    offset: Ints, gradient_offset: Ints, need: Ints, assign: bool, autobatch: bool,
) -> None:  # fmt: skip
    """Give every result its row in the arena, and fill the row lists of results, operands and payload.

    `assign`: values get rows (their gradients the same ones). Otherwise values keep theirs and only gradients get rows.
    """
    for i in range(state[NODES]):
        node = order[i]
        p = nodes[node]
        t = node_type[node]
        r = rank[node]
        record = record_of[t]
        count = records[record + T_COUNT]
        results = records[record + T_RESULTS]
        operands = records[record + T_OPERANDS]
        flags = records[record + T_FLAGS]
        records[record + T_NEEDS] |= need[p]
        shift = 0
        if flags & ALIAS:
            row = code[p] * COLUMNS
            shift = rows[row + ALIAS_SHIFT]
            if rows[row + ALIAS_STEP]:
                shift += rows[row + ALIAS_STEP] * code[p + 1 + operands]
        for k in range(results):
            view = record + HEADER + k * VIEW
            if flags & ALIAS:
                here = (offset if assign else gradient_offset)[code[p + 1]] + shift
            else:
                here = block_of[first_block[t] + k] + r * records[view + V_SIZE] * records[view + V_BATCH]
            if assign:
                offset[p + k] = here
            gradient_offset[p + k] = here
            lists[records[view + V_LIST] + r] = offset[p + k]
            if not assign:
                lists[records[view + V_GRADIENT_LIST] + r] = here
        for k in range(operands):
            x = code[p + 1 + k]
            if x < 0:
                continue
            view = record + HEADER + (results + k) * VIEW
            lists[records[view + V_LIST] + r] = offset[x]
            if not assign:
                lists[records[view + V_GRADIENT_LIST] + r] = gradient_offset[x]
            if x > 0:
                q = start_of[x]
                if need[q]:
                    records[view + V_NEEDS] = 1
                j = local_of[q]
                if autobatch and j >= 0 and component[node_type[j]] == component[t]:
                    records[view + V_EXTERNAL] = 0
        payload = records[record + T_PAYLOAD_LIST] + r
        for k in range(records[record + T_PAYLOAD]):
            lists[payload + k * count] = code[p + 1 + operands + k]


def settle(
    state: Ints,
    waiting: Ints,
    offset: Ints,
    nodes: Ints,
    local_of: Ints,
    type_of: Ints,
    type_signature: Ints,
    planned: bool,
) -> None:
    """Leave the work arrays as they were found; take planned instructions off the waiting list."""
    for i in range(state[NODES]):
        local_of[nodes[i]] = -1
    for t in range(state[TYPES]):
        type_of[type_signature[t]] = -1
    if planned:
        kept = 0
        for j in range(state[WAITING]):
            p = waiting[j]
            if offset[p] == PENDING:
                waiting[kept] = p
                kept += 1
        state[WAITING] = kept
