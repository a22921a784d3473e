"""The compiled side of a graph: plan and execute, each one native call over the machine's registers."""

from __future__ import annotations

from typing import Any

from numba import carray  # type: ignore[attr-defined]

from weft_core import plan as p
from weft_core.planner import ZERO_FLOATS
from weft_core.signature import COLUMNS, COMPOUND, INNER, LENGTH, SCATTERS

from . import inner as i
from . import registers as r
from .cache import cached_njit
from .pointers import call_kernel, floats, integers, zero_floats

walk = cached_njit(p.walk)
select = cached_njit(p.select)
classify = cached_njit(p.classify)
components = cached_njit(p.components)
arrange = cached_njit(p.arrange)
schedule = cached_njit(p.schedule)
describe = cached_njit(p.describe)
place = cached_njit(p.place)
settle = cached_njit(p.settle)


@cached_njit
def column(regs: Any, block: int, index: int) -> Any:
    """One array of a block of equal arrays: per position, per instruction or per signature."""
    length = regs[r.R_CAPACITY]
    if block == r.R_NODES:
        length = regs[r.R_NODE_CAPACITY]
    elif block == r.R_TYPES:
        length = regs[r.R_KINDS]
    return carray(integers(regs[block] + 8 * index * length), length)


@cached_njit
def array(regs: Any, address: int, size: int) -> Any:
    """The array whose address and size are in these registers."""
    return carray(integers(regs[address]), regs[size])


@cached_njit
def walk_tape(regs: Any) -> None:
    """Register what was recorded since the last call."""
    walk(
        array(regs, r.R_CODE, r.R_CAPACITY), regs[r.R_LENGTH], array(regs, r.R_ROWS, r.R_ROWS_SIZE),
        carray(integers(regs[r.R_STATE]), p.STATE),
        column(regs, r.R_POSITIONS, r.P_OFFSET), column(regs, r.R_POSITIONS, r.P_START_OF),
        column(regs, r.R_POSITIONS, r.P_LOCAL_OF), column(regs, r.R_POSITIONS, r.P_MARK),
        column(regs, r.R_POSITIONS, r.P_NEED),
        column(regs, r.R_POSITIONS, r.P_STARTS), column(regs, r.R_POSITIONS, r.P_WAITING),
    )  # fmt: skip


@cached_njit
def make_plan(regs_address: int, assign: bool, full: bool) -> int:
    """Plan for the targets; returns DONE, or what the machine must do before the same call is made again."""
    regs = carray(integers(regs_address), r.REGISTERS)
    walk_tape(regs)
    state = carray(integers(regs[r.R_STATE]), p.STATE)
    candidate_count = state[p.WAITING] if assign else state[p.STARTS]
    if candidate_count > regs[r.R_NODE_CAPACITY]:
        return r.NEED_NODES
    code = array(regs, r.R_CODE, r.R_CAPACITY)
    rows = array(regs, r.R_ROWS, r.R_ROWS_SIZE)
    entries = array(regs, r.R_ENTRIES, r.R_ENTRIES_SIZE)
    offset = column(regs, r.R_POSITIONS, r.P_OFFSET)
    gradient_offset = column(regs, r.R_POSITIONS, r.P_GRADIENT_OFFSET)
    start_of = column(regs, r.R_POSITIONS, r.P_START_OF)
    need = column(regs, r.R_POSITIONS, r.P_NEED)
    local_of = column(regs, r.R_POSITIONS, r.P_LOCAL_OF)
    waiting = column(regs, r.R_POSITIONS, r.P_WAITING)
    candidates = waiting if assign else column(regs, r.R_POSITIONS, r.P_STARTS)
    nodes = column(regs, r.R_NODES, r.N_NODES)
    select(
        carray(integers(regs[r.R_TARGETS]), regs[r.R_TARGET_COUNT]), regs[r.R_TARGET_COUNT], not assign, code, rows,
        state, offset, start_of, candidates, candidate_count, column(regs, r.R_POSITIONS, r.P_MARK), need,
        nodes,
    )  # fmt: skip
    if state[p.BROKEN]:
        return r.REVERTED
    node_type = column(regs, r.R_NODES, r.N_TYPE)
    type_of = column(regs, r.R_TYPES, r.K_TYPE_OF)
    type_signature = column(regs, r.R_TYPES, r.K_SIGNATURE)
    type_count = column(regs, r.R_TYPES, r.K_COUNT)
    producers = array(regs, r.R_PRODUCERS, r.R_PRODUCERS_SIZE)
    classify(
        code,
        rows,
        entries,
        state,
        start_of,
        nodes,
        local_of,
        type_of,
        node_type,
        type_signature,
        type_count,
        producers,
        need,
        full,
    )
    if state[p.LISTS_SIZE] > regs[r.R_LISTS_SIZE] or state[p.TYPES_SIZE] > regs[r.R_RECORDS_SIZE]:
        settle(state, waiting, offset, nodes, local_of, type_of, type_signature, False)
        return r.NEED_PLAN
    component = column(regs, r.R_TYPES, r.K_COMPONENT)
    autobatch = regs[r.R_AUTOBATCH] != 0
    kinds = regs[r.R_KINDS]
    found = 0
    if autobatch:
        work = carray(integers(regs[r.R_TYPES] + 8 * r.K_WORK * kinds), 5 * kinds)
        found = components(state, producers, component, work)
    node_capacity = regs[r.R_NODE_CAPACITY]
    key = column(regs, r.R_NODES, r.N_KEY)
    order = column(regs, r.R_NODES, r.N_ORDER)
    rank = column(regs, r.R_NODES, r.N_RANK)
    buckets = carray(integers(regs[r.R_NODES] + 8 * r.N_BUCKETS * node_capacity), node_capacity + 2 * kinds + 2)
    steps = carray(integers(regs[r.R_STEPS]), p.STEP * (2 * node_capacity + kinds))
    arrange(
        code, rows, state, start_of, nodes, local_of, node_type, component, found, column(regs, r.R_NODES, r.N_LEVEL),
        key, order, buckets, autobatch,
    )  # fmt: skip
    schedule(
        rows, state, node_type, type_signature, type_count, component, key, order, rank,
        column(regs, r.R_TYPES, r.K_BY_COMPONENT), steps, buckets, autobatch,
    )  # fmt: skip
    record_of = column(regs, r.R_TYPES, r.K_RECORD_OF)
    first_block = column(regs, r.R_TYPES, r.K_FIRST_BLOCK)
    records = array(regs, r.R_RECORDS, r.R_RECORDS_SIZE)
    block_of = array(regs, r.R_BLOCKS, r.R_BLOCKS_SIZE)
    lists = array(regs, r.R_LISTS, r.R_LISTS_SIZE)
    describe(rows, entries, state, type_signature, type_count, record_of, records, block_of, first_block, assign)
    place(
        code, rows, state, start_of, nodes, local_of, node_type, component, order, rank, record_of, records, block_of,
        first_block, lists, offset, gradient_offset, need, assign, autobatch,
    )  # fmt: skip
    settle(state, waiting, offset, nodes, local_of, type_of, type_signature, assign)
    return r.DONE


@cached_njit
def bind(regs: Any, backward: bool) -> bool:
    """Write addresses into the plan's records: arenas, parameters, row lists, kernels; False when kernels are missing.

    Before a backward pass, note the look-up tables that get a gradient as a whole.
    """
    state = carray(integers(regs[r.R_STATE]), p.STATE)
    rows = integers(regs[r.R_ROWS])
    records = array(regs, r.R_RECORDS, r.R_RECORDS_SIZE)
    parameters, parameter_gradients = integers(regs[r.R_PARAMETERS]), integers(regs[r.R_PARAMETER_GRADIENTS])
    meta = integers(regs[r.R_PARAMETER_META])
    lists = regs[r.R_LISTS]
    position = 0
    for _ in range(state[p.TYPES]):
        record = position
        signature = records[position + p.T_SIGNATURE]
        kernels = regs[r.R_KERNELS] + 8 * r.KERNEL_COLUMNS * signature
        if integers(kernels)[r.KERNEL_READY] < (r.ALL_READY if backward else r.FORWARD_READY):
            return False
        records[position + p.T_KERNELS] = kernels
        records[position + p.T_ATTRIBUTES] = integers(kernels)[r.KERNEL_ATTRIBUTES]
        records[position + p.T_TABLE] = integers(kernels)[r.KERNEL_TABLE]
        records[position + p.T_CONTEXT] = regs[r.R_SELF]
        records[position + p.T_PAYLOAD_ROWS] = lists + 8 * records[position + p.T_PAYLOAD_LIST]
        views = records[position + p.T_RESULTS] + records[position + p.T_OPERANDS] + records[position + p.T_PARAMETERS]
        whole_tables = backward and not records[position + p.T_FLAGS] & SCATTERS
        position += p.HEADER
        for _ in range(views):
            parameter = records[position + p.V_PARAMETER]
            needs = records[position + p.V_NEEDS]
            if parameter >= 0:
                records[position + p.V_VALUES] = parameters[parameter]
                records[position + p.V_GRADIENTS] = parameter_gradients[parameter] if needs else 0
                records[position + p.V_ROWS] = regs[r.R_ZERO_ROWS]
                records[position + p.V_GRADIENT_ROWS] = regs[r.R_ZERO_ROWS]
                if whole_tables and needs and meta[parameter]:
                    integers(meta[parameter])[3] = 1
            else:
                records[position + p.V_VALUES] = regs[r.R_VALUES]
                records[position + p.V_GRADIENTS] = regs[r.R_GRADIENTS] if needs else 0
                records[position + p.V_ROWS] = lists + 8 * records[position + p.V_LIST]
                records[position + p.V_GRADIENT_ROWS] = lists + 8 * records[position + p.V_GRADIENT_LIST]
            position += p.VIEW
        if records[record + p.T_FLAGS] & COMPOUND and records[record + p.T_TABLE]:
            bind_inner(regs, records, record)
        position += rows[signature * COLUMNS + INNER]
    return True


@cached_njit
def bind_inner(regs: Any, records: Any, outer: int) -> None:
    """Write the records of inner instructions: their views are the outer ones, perhaps shifted.

    An instruction that reads nothing of the recurrence is hoisted: it runs for all rows at once.
    """
    table = integers(records[outer + p.T_TABLE])
    count = records[outer + p.T_COUNT]
    at = 1
    for _ in range(table[0]):
        inner = outer + table[at + i.OFFSET]
        kernels = regs[r.R_KERNELS] + 8 * r.KERNEL_COLUMNS * table[at + i.SIGNATURE]
        results, operands = table[at + i.RESULTS], table[at + i.OPERANDS]
        views = results + operands + table[at + i.PARAMETERS]
        records[inner + p.T_SIGNATURE] = table[at + i.SIGNATURE]
        records[inner + p.T_COUNT] = count
        records[inner + p.T_BATCH] = table[at + i.BATCH]
        records[inner + p.T_RESULTS] = results
        records[inner + p.T_OPERANDS] = operands
        records[inner + p.T_PARAMETERS] = table[at + i.PARAMETERS]
        records[inner + p.T_NEEDS] = records[outer + p.T_NEEDS]
        records[inner + p.T_FLAGS] = table[at + i.FLAGS]
        records[inner + p.T_KERNELS] = kernels
        records[inner + p.T_ATTRIBUTES] = integers(kernels)[r.KERNEL_ATTRIBUTES]
        records[inner + p.T_TABLE] = integers(kernels)[r.KERNEL_TABLE]
        records[inner + p.T_CONTEXT] = regs[r.R_SELF]
        records[inner + p.T_PAYLOAD_ROWS] = records[outer + p.T_PAYLOAD_ROWS] + 8 * table[at + i.PAYLOAD] * count
        at += i.VIEWS
        hoisted = 1
        for k in range(views):
            source = outer + p.HEADER + p.VIEW * table[at + i.VIEW]
            target = inner + p.HEADER + p.VIEW * k
            for field in range(p.VIEW):
                records[target + field] = records[source + field]
            records[target + p.V_SIZE] = table[at + i.VIEW_SIZE]
            records[target + p.V_BATCH] = table[at + i.VIEW_BATCH]
            shift = 4 * table[at + i.SHIFT]
            records[target + p.V_VALUES] += shift
            if records[target + p.V_GRADIENTS]:
                records[target + p.V_GRADIENTS] += shift
            if k >= results:
                hoisted &= records[source + p.V_EXTERNAL]
            at += i.VIEW_FIELDS
        records[inner + p.T_HOISTED] = hoisted
        for k in range(results):
            source = outer + p.HEADER + p.VIEW * table[at - i.VIEW_FIELDS * (views - k) + i.VIEW]
            records[source + p.V_EXTERNAL] = hoisted


@cached_njit
def run_forward(regs_address: int, first: int) -> int:
    """Run the plan's steps from `first` on; REFERENCE when a step has no kernel (its number is in R_RESUME).

    NEED_KERNELS when kernels must be compiled before the first step.
    """
    regs = carray(integers(regs_address), r.REGISTERS)
    if first == 0 and not bind(regs, False):
        return r.NEED_KERNELS
    steps = integers(regs[r.R_STEPS])
    record_of = column(regs, r.R_TYPES, r.K_RECORD_OF)
    records = regs[r.R_RECORDS]
    for s in range(first, integers(regs[r.R_STATE])[p.STEPS]):
        step = s * p.STEP
        record = records + 8 * record_of[steps[step + p.S_TYPE]]
        kernels = integers(integers(record)[p.T_KERNELS])
        if steps[step + p.S_WHOLE]:
            if kernels[r.KERNEL_PROLOGUE]:
                call_kernel(kernels[r.KERNEL_PROLOGUE], record, steps[step + p.S_START], steps[step + p.S_COUNT])
        elif kernels[r.KERNEL_FORWARD]:
            call_kernel(kernels[r.KERNEL_FORWARD], record, steps[step + p.S_START], steps[step + p.S_COUNT])
        else:
            regs[r.R_RESUME] = s
            return r.REFERENCE
    return r.DONE


@cached_njit
def run_backward(regs_address: int, last: int, seed: int) -> int:
    """Run the plan's steps backwards from `last` on; from the end (`last` < 0) after clearing the gradients.

    The gradient at `seed` is 1. REFERENCE and NEED_KERNELS as in `run_forward`.
    """
    regs = carray(integers(regs_address), r.REGISTERS)
    state = integers(regs[r.R_STATE])
    if last < 0:
        if not bind(regs, True):
            return r.NEED_KERNELS
        zero_floats(regs[r.R_GRADIENTS] + 4 * ZERO_FLOATS, state[p.GRADIENT_TOP] - ZERO_FLOATS)
        floats(regs[r.R_GRADIENTS])[seed] = 1.0
        last = state[p.STEPS] - 1
    steps = integers(regs[r.R_STEPS])
    record_of = column(regs, r.R_TYPES, r.K_RECORD_OF)
    records = regs[r.R_RECORDS]
    for s in range(last, -1, -1):
        step = s * p.STEP
        record = records + 8 * record_of[steps[step + p.S_TYPE]]
        if not integers(record)[p.T_NEEDS]:
            continue
        kernels = integers(integers(record)[p.T_KERNELS])
        if steps[step + p.S_WHOLE]:
            if kernels[r.KERNEL_EPILOGUE]:
                call_kernel(kernels[r.KERNEL_EPILOGUE], record, steps[step + p.S_START], steps[step + p.S_COUNT])
        elif kernels[r.KERNEL_BACKWARD]:
            call_kernel(kernels[r.KERNEL_BACKWARD], record, steps[step + p.S_START], steps[step + p.S_COUNT])
        else:
            regs[r.R_RESUME] = s
            return r.REFERENCE
    return r.DONE


@cached_njit
def forward(regs_address: int) -> int:
    """Plan and run in one call."""
    regs = carray(integers(regs_address), r.REGISTERS)
    status = make_plan(regs_address, True, False)
    if status != r.DONE:
        return status
    state = integers(regs[r.R_STATE])
    if state[p.ARENA_TOP] > regs[r.R_VALUES_SIZE] or state[p.SCRATCH] > regs[r.R_SCRATCH_SIZE]:
        return r.NEED_MEMORY
    return run_forward(regs_address, 0)


@cached_njit
def forget(regs_address: int) -> None:
    """Every value waits again; the arena is empty."""
    regs = carray(integers(regs_address), r.REGISTERS)
    state = integers(regs[r.R_STATE])
    code = integers(regs[r.R_CODE])
    rows = integers(regs[r.R_ROWS])
    offset = column(regs, r.R_POSITIONS, r.P_OFFSET)
    starts = column(regs, r.R_POSITIONS, r.P_STARTS)
    waiting = column(regs, r.R_POSITIONS, r.P_WAITING)
    found = 0
    for j in range(state[p.STARTS]):
        start = starts[j]
        if offset[start] != p.DROPPED:
            for k in range(rows[code[start] * COLUMNS + LENGTH]):
                offset[start + k] = p.PENDING
            waiting[found] = start
            found += 1
    state[p.WAITING] = found
    state[p.ARENA_TOP] = ZERO_FLOATS


@cached_njit
def drop(regs_address: int, start: int, end: int) -> None:
    """Positions of a reverted part have no value any more, and never will."""
    regs = carray(integers(regs_address), r.REGISTERS)
    walk_tape(regs)
    state = integers(regs[r.R_STATE])
    offset = column(regs, r.R_POSITIONS, r.P_OFFSET)
    waiting = column(regs, r.R_POSITIONS, r.P_WAITING)
    for position in range(start, end):
        offset[position] = p.DROPPED
    kept = 0
    for j in range(state[p.WAITING]):
        if waiting[j] < start:
            waiting[kept] = waiting[j]
            kept += 1
    state[p.WAITING] = kept
