"""The planner's order: components of the graph of types, levels inside of them, and the steps they are cut into.

Plain loops over integer arrays, as in `plan.py`, whose words are used here.
"""

from __future__ import annotations

from .plan import (
    FIRST,
    INSIDE,
    LEVEL,
    LEVEL_BITS,
    MAX_TYPES,
    NODES,
    S_COUNT,
    S_START,
    S_TYPE,
    S_WHOLE,
    STEP,
    STEPS,
    TYPES,
    WORDS,
    Ints,
)
from .signature import (
    ALIAS,
    COLUMNS,
    ENTRIES,
    ENTRY_FIELDS,
    FLAGS,
    OPERANDS,
    RESULTS,
    WHOLE,
)


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


def find_levels(
    code: Ints, rows: Ints, state: Ints, nodes: Ints, slot: Ints, node_type: Ints, producers: Ints, component: Ints,
    found: int, width: Ints, depth: Ints, noted: Ints, key: Ints,
) -> None:  # fmt: skip
    """Give every instruction its key, every component its number of types and of levels.

    An alias is on the level of its operand: it takes no step. Sees which operands come from inside the component.
    """
    first = state[FIRST]
    types = state[TYPES]
    for c in range(found):
        width[c] = 0
        depth[c] = 1
    for t in range(types):
        width[component[t]] += 1
    for i in range(state[NODES]):
        t = node_type[i]
        c = component[t]
        own = c << LEVEL_BITS
        if width[c] > 1 or producers[t * WORDS + (t >> 5)] >> (t & 31) & 1:
            p = nodes[i]
            row = code[p] * COLUMNS
            view = rows[row + ENTRIES] // ENTRY_FIELDS + rows[row + RESULTS]
            distance = 0 if rows[row + FLAGS] & ALIAS else 1
            lowest = own
            for k in range(rows[row + OPERANDS]):
                x = code[p + 1 + k]
                if x > 0:
                    j = slot[x] - first
                    if j >= 0 and key[j] >= lowest:
                        noted[view + k] |= INSIDE
                        own = max(own, key[j] + distance)
            depth[c] = max(depth[c], (own & LEVEL) + 1)
        key[i] = own


def arrange(
    state: Ints, node_type: Ints, component: Ints, found: int, width: Ints, depth: Ints, base: Ints, key: Ints,
    order: Ints, rank: Ints, buckets: Ints,
) -> None:  # fmt: skip
    """Sort instructions by component and level, a bucket for each; `buckets` holds where they end.

    Where a component has one type, the place in the sorted order is the row in the type's block: `rank`. Other
    components are sorted into `order`, for `schedule`.
    """
    keys = 0
    for c in range(found):
        base[c] = keys
        keys += depth[c]
    for k in range(keys):
        buckets[k] = 0
    for i in range(state[NODES]):
        k = base[key[i] >> LEVEL_BITS] + (key[i] & LEVEL)
        key[i] = k
        buckets[k] += 1
    ordered = 0
    for c in range(found):
        end = 0 if width[c] == 1 else ordered
        for k in range(base[c], base[c] + depth[c]):
            size = buckets[k]
            buckets[k] = end
            end += size
        if width[c] > 1:
            ordered = end
    for i in range(state[NODES]):
        k = key[i]
        if width[component[node_type[i]]] == 1:
            rank[i] = buckets[k]
        else:
            order[buckets[k]] = i
        buckets[k] += 1


def schedule(
    rows: Ints, state: Ints, node_type: Ints, type_signature: Ints, type_count: Ints, component: Ints, found: int,
    width: Ints, depth: Ints, base: Ints, first_type: Ints, next_type: Ints, next_row: Ints, step_of: Ints, order: Ints,
    rank: Ints, buckets: Ints, steps: Ints,
) -> None:  # fmt: skip
    """Cut the order into steps; a type with whole-type work gets a prologue step where its component begins."""
    for c in range(found):
        first_type[c] = -1
    for t in range(state[TYPES] - 1, -1, -1):
        next_type[t] = first_type[component[t]]
        first_type[component[t]] = t
        next_row[t] = 0
        step_of[t] = -1
    n = 0
    ordered = 0
    for c in range(found):
        t = first_type[c]
        while t >= 0:
            if rows[type_signature[t] * COLUMNS + FLAGS] & WHOLE:
                steps[n + S_TYPE] = t
                steps[n + S_START] = 0
                steps[n + S_COUNT] = type_count[t]
                steps[n + S_WHOLE] = 1
                n += STEP
            t = next_type[t]
        if width[c] == 1:
            t = first_type[c]
            if not rows[type_signature[t] * COLUMNS + FLAGS] & ALIAS:
                start = 0
                for k in range(base[c], base[c] + depth[c]):
                    steps[n + S_TYPE] = t
                    steps[n + S_START] = start
                    steps[n + S_COUNT] = buckets[k] - start
                    steps[n + S_WHOLE] = 0
                    n += STEP
                    start = buckets[k]
            continue
        for k in range(base[c], base[c] + depth[c]):
            level = n
            for j in range(ordered, buckets[k]):
                i = order[j]
                t = node_type[i]
                if rows[type_signature[t] * COLUMNS + FLAGS] & ALIAS:
                    continue
                if step_of[t] < level:
                    step_of[t] = n
                    steps[n + S_TYPE] = t
                    steps[n + S_START] = next_row[t]
                    steps[n + S_COUNT] = 0
                    steps[n + S_WHOLE] = 0
                    n += STEP
                steps[step_of[t] + S_COUNT] += 1
                rank[i] = next_row[t]
                next_row[t] += 1
            ordered = buckets[k]
    state[STEPS] = n // STEP


def one_by_one(
    rows: Ints, state: Ints, node_type: Ints, type_signature: Ints, next_row: Ints, rank: Ints, steps: Ints
) -> None:
    """Without batching: every instruction is its own step, in the order of the tape."""
    for t in range(state[TYPES]):
        next_row[t] = 0
    n = 0
    for i in range(state[NODES]):
        t = node_type[i]
        flags = rows[type_signature[t] * COLUMNS + FLAGS]
        rank[i] = next_row[t]
        if flags & WHOLE:
            steps[n + S_TYPE] = t
            steps[n + S_START] = next_row[t]
            steps[n + S_COUNT] = 1
            steps[n + S_WHOLE] = 1
            n += STEP
        if not flags & ALIAS:
            steps[n + S_TYPE] = t
            steps[n + S_START] = next_row[t]
            steps[n + S_COUNT] = 1
            steps[n + S_WHOLE] = 0
            n += STEP
        next_row[t] += 1
    state[STEPS] = n // STEP
