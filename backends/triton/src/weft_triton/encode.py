"""From a plan to device instructions, in compiled code: levels, words of instructions, tables of tiles.

A *level* is a set of works that depend on nothing but earlier levels. The level of a step follows from its operands, so
steps of different components share launches wherever they can. Backwards, the first level clears the gradients.
"""

from __future__ import annotations

from typing import Any

from numba import carray  # type: ignore[attr-defined]

from weft_core import plan as p
from weft_core.signature import ALIAS, COLUMNS, FLAGS, OPERANDS, RESULTS, SCATTERS
from weft_core.store import FLAGS as TOUCHED_FLAGS
from weft_core.store import TOUCHED, TOUCHED_COUNT, WHOLE_GRADIENT
from weft_numba import registers as r
from weft_numba.cache import cached_njit
from weft_numba.planning import type_column
from weft_numba.pointers import bytes_at, indices, integers

from .access import ABSENT, FIRST_PARAMETER, GRADIENTS, HEADER, PLAN_HEADER, RESIDENT, SHARED, VALUES, VIEW
from .lowering import (
    BACKWARD,
    EPILOGUE,
    FORWARD,
    PROLOGUE,
    REF,
    REF_GRADIENT,
    REF_SHARED,
    REF_SHIFT,
    REF_VIEW,
    T_WORKS,
    T_WRITES,
    TEMPLATE,
    W_BLOCK,
    W_CONSTANTS,
    W_KERNEL,
    W_LEAST,
    W_LEVEL,
    W_MOST,
    W_OPCODE,
    W_PAYLOAD,
    W_PER_ROW,
    W_PHASE,
    W_SORTED,
    W_TIMES,
    W_VIEWS,
    WORK,
)

# The encoder's registers: addresses of arrays, then sizes and results.
(
    E_WORDS, E_CAPACITY, E_TEMPLATES, E_INDEX, E_INDEX_SIZE, E_POSITION_OF, E_ROOT, E_USES, E_LEVEL, E_DONE,
    E_STEP_LEVEL, E_PARAMETER_USES, E_LEVELS, E_LEVELS_SIZE, E_HOST, E_FIRST, E_TEMPLATE_OF, E_TYPE_STEPS,
    E_HEADS, E_RESIDENT,
    E_TYPE, E_LEVEL_COUNT, E_HOST_COUNT, E_NEEDED, E_LISTS_AT, E_DATA_AT, E_CODE_AT, E_TILES_AT, E_END, E_DATA_SIZE,
    E_FILL_OPCODE, E_SEED, E_OPCODES, E_OPCODE_COUNT, E_LEVELS_AT, E_BASES_AT, E_PARAMETER_SLOT, E_SLOTS,
    E_VALUES, E_GRADIENTS,
) = range(40)  # fmt: skip
REGISTERS = 40
# Of a level: first tile and tiles of the stream, first tile and tiles of large products, cursors of both, host steps.
L_FIRST, L_COUNT, L_LARGE_FIRST, L_LARGE_COUNT, L_CURSOR, L_LARGE_CURSOR, L_HOST = range(7)
LEVEL = 8
# What `encode` returns.
DONE, NEED_TEMPLATE, NEED_ROOM, NEED_LEVELS, NEED_PARAMETER = range(5)
# Floats that one tile of the clearing work sets.
FILL_BLOCK = 4096
KEY_MASK = (1 << 40) - 1
# Added to an opcode of the kernel for large products.
OF_LARGE = 1 << 31


@cached_njit
def is_aligned(records: Any, lists: Any, record: int, k: int) -> bool:
    """Whether all rows of a view, and their gradients, begin on 16 bytes; parameters do."""
    at = record + p.HEADER + k * p.VIEW
    if records[at + p.V_PARAMETER] >= 0:
        return True
    bits = 0
    for first in (records[at + p.V_LIST], records[at + p.V_GRADIENT_LIST]):
        for n in range(first, first + records[record + p.T_COUNT]):
            bits |= lists[n]
    return bits & 3 == 0


@cached_njit
def view_key(records: Any, lists: Any, record: int) -> int:
    """A number for which views are external, need gradients, and are aligned."""
    views = records[record + p.T_RESULTS] + records[record + p.T_OPERANDS] + records[record + p.T_PARAMETERS]
    key = 1
    for k in range(views):
        at = record + p.HEADER + k * p.VIEW
        bits = 4 * records[at + p.V_EXTERNAL] + 2 * records[at + p.V_NEEDS] + is_aligned(records, lists, record, k)
        key = (key * 31 + bits + 1) & KEY_MASK
    return key


@cached_njit
def describe_view(regs_address: int, record: int, k: int) -> int:
    """Of a view of the present plan: 4 when it is external, 2 when it needs a gradient, 1 when it is aligned."""
    regs = carray(integers(regs_address), r.REGISTERS)
    records, lists = integers(regs[r.R_RECORDS]), integers(regs[r.R_LISTS])
    at = record + p.HEADER + k * p.VIEW
    return 4 * records[at + p.V_EXTERNAL] + 2 * records[at + p.V_NEEDS] + is_aligned(records, lists, record, k)


@cached_njit
def key_of(regs_address: int, record: int) -> int:
    """`view_key` of a record of the present plan."""
    regs = carray(integers(regs_address), r.REGISTERS)
    return int(view_key(integers(regs[r.R_RECORDS]), integers(regs[r.R_LISTS]), record))


@cached_njit
def find_template(index: Any, size: int, signature: int, key: int) -> int:
    """Place of a template, -1 for the host; 0 where there is none."""
    at = (signature * 7919 + key) % size
    while index[3 * at + 2] != 0:
        if index[3 * at] == signature and index[3 * at + 1] == key:
            return index[3 * at + 2]
        at = (at + 1) % size
    return 0


@cached_njit
def choose_templates(regs: Any, job: Any) -> bool:
    """The template of every type; False when one is missing, its type is in E_TYPE."""
    state, rows = integers(regs[r.R_STATE]), integers(regs[r.R_ROWS])
    type_signature, record_of = type_column(regs, r.K_SIGNATURE), type_column(regs, r.K_RECORD_OF)
    records, template_of = integers(regs[r.R_RECORDS]), integers(job[E_TEMPLATE_OF])
    lists = integers(regs[r.R_LISTS])
    index, size = integers(job[E_INDEX]), job[E_INDEX_SIZE]
    for t in range(state[p.TYPES]):
        signature = type_signature[t]
        template_of[t] = 0
        if not rows[signature * COLUMNS + FLAGS] & ALIAS:
            found = find_template(index, size, signature, view_key(records, lists, record_of[t]))
            if found == 0:
                job[E_TYPE] = t
                return False
            template_of[t] = found
    return True


@cached_njit
def find_parameters(regs: Any, job: Any) -> bool:
    """Number the parameters of the plan and count how many views get the gradient of each.

    False when one is not on the device, its id is in E_TYPE.
    """
    state, records = integers(regs[r.R_STATE]), integers(regs[r.R_RECORDS])
    record_of, uses = type_column(regs, r.K_RECORD_OF), indices(job[E_PARAMETER_USES])
    resident, slots = integers(job[E_RESIDENT]), indices(job[E_PARAMETER_SLOT])
    job[E_SLOTS] = 0
    for counting in range(2):
        for t in range(state[p.TYPES]):
            record = record_of[t]
            views = records[record + p.T_RESULTS] + records[record + p.T_OPERANDS] + records[record + p.T_PARAMETERS]
            for k in range(records[record + p.T_RESULTS], views):
                parameter = records[record + p.HEADER + k * p.VIEW + p.V_PARAMETER]
                if parameter < 0:
                    continue
                if resident[RESIDENT + 2 * parameter] == 0:
                    job[E_TYPE] = parameter
                    return False
                if not counting:
                    uses[parameter] = 0
                    continue
                if uses[parameter] == 0:
                    slots[parameter] = job[E_SLOTS]
                    job[E_SLOTS] += 1
                uses[parameter] += 1
    return True


@cached_njit
def write_addresses(regs: Any, job: Any) -> None:
    """The table of addresses that views name: the arenas, then values and gradients of each parameter."""
    bases = integers(job[E_WORDS] + 4 * job[E_BASES_AT])
    bases[ABSENT], bases[VALUES], bases[GRADIENTS] = 0, job[E_VALUES], job[E_GRADIENTS]
    state, records = integers(regs[r.R_STATE]), integers(regs[r.R_RECORDS])
    record_of, resident = type_column(regs, r.K_RECORD_OF), integers(job[E_RESIDENT])
    slots = indices(job[E_PARAMETER_SLOT])
    for t in range(state[p.TYPES]):
        record = record_of[t]
        views = records[record + p.T_RESULTS] + records[record + p.T_OPERANDS] + records[record + p.T_PARAMETERS]
        for k in range(records[record + p.T_RESULTS], views):
            parameter = records[record + p.HEADER + k * p.VIEW + p.V_PARAMETER]
            if parameter >= 0:
                at = FIRST_PARAMETER + 2 * slots[parameter]
                bases[at] = resident[RESIDENT + 2 * parameter]
                bases[at + 1] = resident[RESIDENT + 2 * parameter + 1]


@cached_njit
def note_nodes(regs: Any, job: Any) -> None:
    """Where the instruction of each row stands, whose memory each value is, and how many operands read it."""
    state, rows = integers(regs[r.R_STATE]), integers(regs[r.R_ROWS])
    code, nodes, node_type = indices(regs[r.R_CODE]), indices(regs[r.R_NODES]), indices(regs[r.R_NODE_TYPE])
    rank, slot, type_count = indices(regs[r.R_RANK]), indices(regs[r.R_SLOT]), type_column(regs, r.K_COUNT)
    position_of, root, uses = indices(job[E_POSITION_OF]), indices(job[E_ROOT]), indices(job[E_USES])
    level, done = indices(job[E_LEVEL]), indices(job[E_DONE])
    first = integers(job[E_FIRST])
    total = 0
    for t in range(state[p.TYPES]):
        first[t] = total
        total += type_count[t]
    planned = state[p.FIRST]
    for i in range(state[p.NODES]):
        position = nodes[i]
        row = code[position] * COLUMNS
        done[position] = 0
        if rows[row + FLAGS] & ALIAS:
            # An alias has no step, and no rank in one.
            x = code[position + 1]
            root[position] = root[x] if x > 0 and slot[x] >= planned else 0
            continue
        position_of[first[node_type[i]] + rank[i]] = position
        for k in range(rows[row + RESULTS]):
            root[position + k] = position + k
            uses[position + k] = 0
            level[position + k] = 0
        for k in range(rows[row + OPERANDS]):
            x = code[position + 1 + k]
            if x > 0 and slot[x] >= planned:
                uses[root[x]] += 1


@cached_njit
def depth_of(templates: Any, template: int, phase: int, count: int) -> int:
    """Levels of a phase for this many rows; a step of the host has one."""
    if template < 0:
        return 1 if phase in (FORWARD, BACKWARD) else 0
    depth = 0
    at = template + TEMPLATE
    for _ in range(templates[template + T_WORKS]):
        if templates[at + W_PHASE] == phase and templates[at + W_LEAST] <= count <= templates[at + W_MOST]:
            depth = max(depth, templates[at + W_LEVEL] + 1)
        at += WORK + REF * templates[at + W_VIEWS]
    return depth


@cached_njit
def forward_levels(regs: Any, job: Any) -> int:
    """The level at which each step begins, and how many there are."""
    state, steps = integers(regs[r.R_STATE]), indices(regs[r.R_STEPS])
    code, slot, records = indices(regs[r.R_CODE]), indices(regs[r.R_SLOT]), integers(regs[r.R_RECORDS])
    record_of, template_of = type_column(regs, r.K_RECORD_OF), integers(job[E_TEMPLATE_OF])
    templates, first = integers(job[E_TEMPLATES]), integers(job[E_FIRST])
    position_of, root, level = indices(job[E_POSITION_OF]), indices(job[E_ROOT]), indices(job[E_LEVEL])
    step_level = indices(job[E_STEP_LEVEL])
    planned, highest = state[p.FIRST], 0
    for s in range(state[p.STEPS]):
        t, begin, count = steps[p.STEP * s + p.S_TYPE], steps[p.STEP * s + p.S_START], steps[p.STEP * s + p.S_COUNT]
        whole = steps[p.STEP * s + p.S_WHOLE]
        operands, results = records[record_of[t] + p.T_OPERANDS], records[record_of[t] + p.T_RESULTS]
        external = record_of[t] + p.HEADER + p.VIEW * results + p.V_EXTERNAL
        at = 0
        for row in range(first[t] + begin, first[t] + begin + count):
            position = position_of[row]
            at = max(at, level[position])
            for k in range(operands):
                x = code[position + 1 + k]
                if x > 0 and slot[x] >= planned and (not whole or records[external + p.VIEW * k]):
                    at = max(at, level[root[x]])
        end = at + depth_of(templates, template_of[t], PROLOGUE if whole else FORWARD, count)
        step_level[s] = at
        highest = max(highest, end)
        for row in range(first[t] + begin, first[t] + begin + count):
            position = position_of[row]
            for k in range(results):
                level[position + k] = end
    return highest


@cached_njit
def backward_levels(regs: Any, job: Any) -> int:
    """The level at which the backward work of each step begins; level 0 clears the gradients."""
    state, steps = integers(regs[r.R_STATE]), indices(regs[r.R_STEPS])
    code, slot, records = indices(regs[r.R_CODE]), indices(regs[r.R_SLOT]), integers(regs[r.R_RECORDS])
    record_of, template_of = type_column(regs, r.K_RECORD_OF), integers(job[E_TEMPLATE_OF])
    templates, first = integers(job[E_TEMPLATES]), integers(job[E_FIRST])
    position_of, root, level = indices(job[E_POSITION_OF]), indices(job[E_ROOT]), indices(job[E_LEVEL])
    done, step_level = indices(job[E_DONE]), indices(job[E_STEP_LEVEL])
    planned, highest = state[p.FIRST], 1
    for s in range(state[p.STEPS] - 1, -1, -1):
        t, begin, count = steps[p.STEP * s + p.S_TYPE], steps[p.STEP * s + p.S_START], steps[p.STEP * s + p.S_COUNT]
        whole, record = steps[p.STEP * s + p.S_WHOLE], record_of[t]
        if not records[record + p.T_NEEDS]:
            continue
        operands, results = records[record + p.T_OPERANDS], records[record + p.T_RESULTS]
        view = record + p.HEADER + p.VIEW * results
        at = 1
        for row in range(first[t] + begin, first[t] + begin + count):
            position = position_of[row]
            at = max(at, done[position])
            for k in range(results):
                at = max(at, level[position + k])
        end = at + depth_of(templates, template_of[t], EPILOGUE if whole else BACKWARD, count)
        step_level[s] = at
        highest = max(highest, end)
        writes = not whole or (template_of[t] > 0 and templates[template_of[t] + T_WRITES])
        for row in range(first[t] + begin, first[t] + begin + count):
            position = position_of[row]
            done[position] = end
            for k in range(operands):
                x = code[position + 1 + k]
                if writes and x > 0 and slot[x] >= planned and records[view + p.VIEW * k + p.V_NEEDS]:
                    level[root[x]] = max(level[root[x]], end)
    return highest


@cached_njit
def tiles_of(templates: Any, work: int, count: int) -> int:
    """Tiles of a work for this many rows."""
    block = templates[work + W_BLOCK]
    return templates[work + W_TIMES] * ((count * templates[work + W_PER_ROW] + block - 1) // block)


@cached_njit
def is_run(regs: Any, s: int, backward: bool) -> bool:
    """Whether a step has work in this direction."""
    steps, records = indices(regs[r.R_STEPS]), integers(regs[r.R_RECORDS])
    record = type_column(regs, r.K_RECORD_OF)[steps[p.STEP * s + p.S_TYPE]]
    return not backward or records[record + p.T_NEEDS] != 0


@cached_njit
def phase_of(whole: int, backward: bool) -> int:
    """The phase that a step runs."""
    if backward:
        return EPILOGUE if whole else BACKWARD
    return PROLOGUE if whole else FORWARD


@cached_njit
def count_tiles(regs: Any, job: Any, backward: bool) -> int:
    """Tiles of every level and kernel, into the table of levels. Returns the words that instructions take."""
    state, steps, templates = integers(regs[r.R_STATE]), indices(regs[r.R_STEPS]), integers(job[E_TEMPLATES])
    levels, template_of = indices(job[E_LEVELS]), integers(job[E_TEMPLATE_OF])
    step_level, host, used = indices(job[E_STEP_LEVEL]), indices(job[E_HOST]), integers(job[E_OPCODES])
    words, hosts, opcodes = 0, 0, 0
    for n in range(LEVEL * job[E_LEVEL_COUNT]):
        levels[n] = 0
    if backward:
        cleared = state[p.GRADIENT_CLEAR]
        levels[L_COUNT] = (cleared + FILL_BLOCK - 1) // FILL_BLOCK
        words = HEADER + VIEW
        used[0] = job[E_FILL_OPCODE]
        opcodes = 1
    for s in range(state[p.STEPS]):
        if not is_run(regs, s, backward):
            continue
        t, count = steps[p.STEP * s + p.S_TYPE], steps[p.STEP * s + p.S_COUNT]
        phase = phase_of(steps[p.STEP * s + p.S_WHOLE], backward)
        template = template_of[t]
        if template < 0:
            if phase in (FORWARD, BACKWARD):
                host[2 * hosts], host[2 * hosts + 1] = step_level[s], s
                levels[LEVEL * step_level[s] + L_HOST] += 1
                hosts += 1
            continue
        at = template + TEMPLATE
        for _ in range(templates[template + T_WORKS]):
            if templates[at + W_PHASE] == phase and templates[at + W_LEAST] <= count <= templates[at + W_MOST]:
                level = LEVEL * (step_level[s] + templates[at + W_LEVEL])
                levels[level + L_COUNT + 2 * templates[at + W_KERNEL]] += tiles_of(templates, at, count)
                words += HEADER + VIEW * templates[at + W_VIEWS]
                words += 2 + 3 * count * templates[at + W_SORTED] if templates[at + W_SORTED] else 0
                opcode = templates[at + W_OPCODE] + templates[at + W_KERNEL] * OF_LARGE
                known = False
                for n in range(opcodes):
                    known |= used[n] == opcode
                if not known:
                    used[opcodes] = opcode
                    opcodes += 1
            at += WORK + REF * templates[at + W_VIEWS]
    job[E_HOST_COUNT], job[E_OPCODE_COUNT] = hosts, opcodes
    return words


@cached_njit
def place_tiles(job: Any) -> int:
    """Where the tiles of each level start in the table of tiles. Returns how many there are."""
    levels = indices(job[E_LEVELS])
    total = 0
    for n in range(0, LEVEL * job[E_LEVEL_COUNT], LEVEL):
        levels[n + L_FIRST] = levels[n + L_CURSOR] = total
        total += levels[n + L_COUNT]
        levels[n + L_LARGE_FIRST] = levels[n + L_LARGE_CURSOR] = total
        total += levels[n + L_LARGE_COUNT]
    return total


@cached_njit
def is_shared(regs: Any, job: Any, record: int, t: int, view: int, begin: int, count: int, phase: int) -> int:
    """Whether others than this step, or two of its rows, add to the gradient of a view."""
    records = integers(regs[r.R_RECORDS])
    parameter = records[record + p.HEADER + p.VIEW * view + p.V_PARAMETER]
    if parameter >= 0:
        # In the epilogue one instruction adds for all rows.
        rows = 1 if phase == EPILOGUE else count
        uses = indices(job[E_PARAMETER_USES])[parameter]
        return SHARED if uses > 1 or rows > 1 or integers(job[E_TYPE_STEPS])[t] > 1 else 0
    operand = view - records[record + p.T_RESULTS]
    if operand < 0:
        return 0
    code, slot, root = indices(regs[r.R_CODE]), indices(regs[r.R_SLOT]), indices(job[E_ROOT])
    position_of, uses = indices(job[E_POSITION_OF]), indices(job[E_USES])
    first, planned = integers(job[E_FIRST])[t], integers(regs[r.R_STATE])[p.FIRST]
    for row in range(first + begin, first + begin + count):
        x = code[position_of[row] + 1 + operand]
        if x > 0 and slot[x] >= planned and uses[root[x]] > 1:
            return SHARED
    return 0


@cached_njit
def sort_rows(regs: Any, job: Any, ids: int, stride: int, count: int, each: int, at: int) -> int:
    """Group `count * each` looked-up rows by their row of the table, in the order in which they first occur.

    Words at `at`: how many groups; where each begins, and the end; the members `row * each + k` of all groups; the
    groups' rows. Numbers `k` of row `r` stand at `words[ids + k * stride + r]`. Returns the words behind.
    """
    words, heads = indices(job[E_WORDS]), indices(job[E_HEADS])
    entries = count * each
    starts, members, rows = at + 1, at + 2 + entries, at + 2 + 2 * entries
    groups = 0
    words[starts] = 0
    for n in range(entries):
        row = words[ids + (n % each) * stride + n // each]
        if heads[row] < 0:
            heads[row] = groups
            words[rows + groups] = row
            groups += 1
            words[starts + groups] = 0
        words[starts + heads[row] + 1] += 1
    words[at] = groups
    for g in range(groups):
        words[starts + g + 1] += words[starts + g]
    # Filled from the back, so that the ends become the starts.
    for n in range(entries - 1, -1, -1):
        group = heads[words[ids + (n % each) * stride + n // each]]
        words[starts + group + 1] -= 1
        words[members + words[starts + group + 1]] = n
    for g in range(groups):
        heads[words[rows + g]] = -1
        words[starts + g] = words[starts + g + 1]
    words[starts + groups] = entries
    return rows + entries


@cached_njit
def write_work(
    regs: Any, job: Any, work: int, record: int, t: int, begin: int, count: int, level: int, at: int, phase: int
) -> int:
    """Write one device instruction at word `at`, and its tiles. Returns where the next one stands."""
    templates, records, words = integers(job[E_TEMPLATES]), integers(regs[r.R_RECORDS]), indices(job[E_WORDS])
    tiles = tiles_of(templates, work, count)
    cursor = LEVEL * level + L_CURSOR + templates[work + W_KERNEL]
    levels = indices(job[E_LEVELS])
    stride = records[record + p.T_COUNT]
    lists = job[E_LISTS_AT]
    words[at] = templates[work + W_OPCODE]
    words[at + 1] = levels[cursor]
    words[at + 2] = count
    words[at + 3] = begin
    words[at + 4] = templates[work + W_CONSTANTS]
    words[at + 5] = lists + records[record + p.T_PAYLOAD_LIST] + templates[work + W_PAYLOAD] * stride + begin
    words[at + 6] = stride
    words[at + 7] = job[E_DATA_AT]
    views = templates[work + W_VIEWS]
    for n in range(views):
        ref, view_at = work + WORK + REF * n, at + HEADER + VIEW * n
        view, gradient = templates[ref + REF_VIEW], templates[ref + REF_GRADIENT]
        source = record + p.HEADER + p.VIEW * view
        for k in range(VIEW):
            words[view_at + k] = 0
        if view < 0 or (gradient and not records[source + p.V_NEEDS]):
            continue
        parameter = records[source + p.V_PARAMETER]
        if parameter >= 0:
            words[view_at] = FIRST_PARAMETER + 2 * indices(job[E_PARAMETER_SLOT])[parameter] + gradient
            words[view_at + 1] = -1
        else:
            words[view_at] = GRADIENTS if gradient else VALUES
            words[view_at + 1] = lists + begin + records[source + (p.V_GRADIENT_LIST if gradient else p.V_LIST)]
        words[view_at + 2] = templates[ref + REF_SHIFT]
        if gradient:
            shared = is_shared(regs, job, record, t, view, begin, count, phase)
            words[view_at + 3] = SHARED if templates[ref + REF_SHARED] else shared
    tile_table = job[E_TILES_AT] + levels[cursor]
    for n in range(tiles):
        words[tile_table + n] = at
    levels[cursor] += tiles
    end = at + HEADER + VIEW * views
    if templates[work + W_SORTED]:
        ids = words[at + 5]
        words[at + 5] = end
        words[at + 6] = count * templates[work + W_SORTED]
        # The numbers were written into the words, or stand on the device only.
        end = sort_rows(regs, job, ids, stride, count, templates[work + W_SORTED], end)
    return end


@cached_njit
def write_clear(regs: Any, job: Any, at: int) -> int:
    """Write the instruction that clears the gradients and starts from 1 at the seed."""
    words, levels = indices(job[E_WORDS]), indices(job[E_LEVELS])
    for k in range(HEADER + VIEW):
        words[at + k] = 0
    words[at] = job[E_FILL_OPCODE]
    words[at + 2] = integers(regs[r.R_STATE])[p.GRADIENT_CLEAR]
    words[at + 3] = job[E_SEED]
    words[at + HEADER] = GRADIENTS
    for n in range(levels[L_COUNT]):
        words[job[E_TILES_AT] + n] = at
    levels[L_CURSOR] += levels[L_COUNT]
    return at + HEADER + VIEW


@cached_njit
def write_instructions(regs: Any, job: Any, backward: bool) -> None:
    """Write all instructions of the plan."""
    state, steps, templates = integers(regs[r.R_STATE]), indices(regs[r.R_STEPS]), integers(job[E_TEMPLATES])
    record_of, template_of = type_column(regs, r.K_RECORD_OF), integers(job[E_TEMPLATE_OF])
    step_level, type_steps = indices(job[E_STEP_LEVEL]), integers(job[E_TYPE_STEPS])
    for t in range(state[p.TYPES]):
        type_steps[t] = 0
    for s in range(state[p.STEPS]):
        type_steps[steps[p.STEP * s + p.S_TYPE]] += 1 - steps[p.STEP * s + p.S_WHOLE]
    at = job[E_CODE_AT]
    if backward:
        at = write_clear(regs, job, at)
    for s in range(state[p.STEPS]):
        if not is_run(regs, s, backward):
            continue
        t, begin, count = steps[p.STEP * s + p.S_TYPE], steps[p.STEP * s + p.S_START], steps[p.STEP * s + p.S_COUNT]
        phase = phase_of(steps[p.STEP * s + p.S_WHOLE], backward)
        template = template_of[t]
        if template < 0:
            continue
        work = template + TEMPLATE
        for _ in range(templates[template + T_WORKS]):
            if templates[work + W_PHASE] == phase and templates[work + W_LEAST] <= count <= templates[work + W_MOST]:
                level = step_level[s] + templates[work + W_LEVEL]
                at = write_work(regs, job, work, record_of[t], t, begin, count, level, at, phase)
            work += WORK + REF * templates[work + W_VIEWS]


@cached_njit
def touch_rows(regs: Any) -> None:
    """Note on the host which rows of look-up tables get a gradient, and which tables as a whole."""
    state, records = integers(regs[r.R_STATE]), integers(regs[r.R_RECORDS])
    record_of, meta = type_column(regs, r.K_RECORD_OF), integers(regs[r.R_PARAMETER_META])
    lists = integers(regs[r.R_LISTS])
    for t in range(state[p.TYPES]):
        record = record_of[t]
        if not records[record + p.T_NEEDS]:
            continue
        views = records[record + p.T_RESULTS] + records[record + p.T_OPERANDS] + records[record + p.T_PARAMETERS]
        for k in range(records[record + p.T_RESULTS], views):
            view = record + p.HEADER + k * p.VIEW
            parameter = records[view + p.V_PARAMETER]
            if parameter < 0 or not records[view + p.V_NEEDS] or not meta[parameter]:
                continue
            table = integers(meta[parameter])
            if not records[record + p.T_FLAGS] & SCATTERS:
                table[WHOLE_GRADIENT] = 1
                continue
            touched, flags = integers(table[TOUCHED]), bytes_at(table[TOUCHED_FLAGS])
            first = records[record + p.T_PAYLOAD_LIST]
            for n in range(first, first + records[record + p.T_COUNT] * records[record + p.T_PAYLOAD]):
                row = lists[n]
                if not flags[row]:
                    flags[row] = 1
                    touched[table[TOUCHED_COUNT]] = row
                    table[TOUCHED_COUNT] += 1


@cached_njit
def copy_lists(regs: Any, job: Any) -> None:
    """Row lists, payload and staged numbers, as 32-bit words."""
    words, lists = indices(job[E_WORDS]), integers(regs[r.R_LISTS])
    at = job[E_LISTS_AT]
    for n in range(integers(regs[r.R_STATE])[p.LISTS_SIZE]):
        words[at + n] = lists[n]
    data, at = indices(regs[r.R_DATA]), job[E_DATA_AT]
    for n in range(job[E_DATA_SIZE]):
        words[at + n] = data[n]


@cached_njit
def encode(regs_address: int, job_address: int, backward: bool) -> int:
    """Write the present plan as device instructions into the staging words; DONE, or what is missing.

    With E_LISTS_AT > 0 the lists of the plan are on the device already and the words go behind E_END.
    """
    regs = carray(integers(regs_address), r.REGISTERS)
    job = carray(integers(job_address), REGISTERS)
    state = integers(regs[r.R_STATE])
    if not choose_templates(regs, job):
        return NEED_TEMPLATE
    if not find_parameters(regs, job):
        return NEED_PARAMETER
    note_nodes(regs, job)
    job[E_LEVEL_COUNT] = backward_levels(regs, job) if backward else forward_levels(regs, job)
    if LEVEL * job[E_LEVEL_COUNT] > job[E_LEVELS_SIZE]:
        return NEED_LEVELS
    code_words = count_tiles(regs, job, backward)
    tiles = place_tiles(job)
    fresh = job[E_LISTS_AT] == 0
    begin = PLAN_HEADER if fresh else job[E_END]
    lists = state[p.LISTS_SIZE] if fresh else 0
    data = job[E_DATA_SIZE] if fresh else 0
    # Addresses have 64 bits; the kernel is told that their table is aligned to 16 bytes.
    bases_at = (begin + lists + data + 3) // 4 * 4
    code_at = bases_at + 2 * (FIRST_PARAMETER + 2 * job[E_SLOTS])
    end = code_at + code_words + tiles + 2 * job[E_LEVEL_COUNT]
    if end > job[E_CAPACITY]:
        job[E_NEEDED] = end
        return NEED_ROOM
    if fresh:
        job[E_LISTS_AT], job[E_DATA_AT] = begin, begin + lists
        copy_lists(regs, job)
    job[E_BASES_AT], job[E_CODE_AT], job[E_TILES_AT] = bases_at, code_at, code_at + code_words
    job[E_LEVELS_AT] = job[E_TILES_AT] + tiles
    job[E_END] = end
    write_addresses(regs, job)
    write_instructions(regs, job, backward)
    words, levels = indices(job[E_WORDS]), indices(job[E_LEVELS])
    for n in range(job[E_LEVEL_COUNT]):
        first = levels[LEVEL * n + L_FIRST]
        words[job[E_LEVELS_AT] + 2 * n], words[job[E_LEVELS_AT] + 2 * n + 1] = (
            first,
            first + levels[LEVEL * n + L_COUNT],
        )
    if backward:
        touch_rows(regs)
    return DONE


@cached_njit
def rewrite_addresses(regs_address: int, job_address: int) -> None:
    """Write the table of addresses of an encoded plan anew."""
    write_addresses(carray(integers(regs_address), r.REGISTERS), carray(integers(job_address), REGISTERS))
