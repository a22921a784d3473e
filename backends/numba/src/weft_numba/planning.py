"""The compiled planner: core's loops over the machine's registers, and the tape that they read."""

from __future__ import annotations

from typing import Any

from numba import carray  # type: ignore[attr-defined]

from weft_core import layout, ordering
from weft_core import plan as p
from weft_core.planner import ZERO_FLOATS

from . import registers as r
from .cache import cached_njit
from .pointers import bytes_at, call_kernel, indices, integers
from .tape import read_list

walk = cached_njit(p.walk)
list_instructions = cached_njit(p.list_instructions)
select = cached_njit(p.select)
renumber = cached_njit(p.renumber)
classify = cached_njit(p.classify)
measure = cached_njit(p.measure)
components = cached_njit(ordering.components)
find_levels = cached_njit(ordering.find_levels)
arrange = cached_njit(ordering.arrange)
schedule = cached_njit(ordering.schedule)
one_by_one = cached_njit(ordering.one_by_one)
describe = cached_njit(layout.describe)
lay_out = cached_njit(layout.lay_out)
place = cached_njit(layout.place)
settle = cached_njit(p.settle)
forget_values = cached_njit(p.forget)
drop_values = cached_njit(p.drop)


@cached_njit
def type_column(regs: Any, index: int) -> Any:
    """One of the arrays with a number per signature."""
    return integers(regs[r.R_TYPES] + 8 * index * regs[r.R_KINDS])


@cached_njit
def read_tape(regs: Any, tape: int, length: int) -> bool:
    """Copy what was recorded since the last call, and register it; False if a number is too large."""
    known = regs[r.R_LENGTH]
    if length > known:
        get, convert, overflow = regs[r.R_GET_ITEM], regs[r.R_AS_INTEGER], regs[r.R_SELF] + 8 * r.R_RESUME
        if not read_list(get, convert, tape, known, length, regs[r.R_CODE], overflow):
            return False
        regs[r.R_LENGTH] = length
        walk(
            indices(regs[r.R_CODE]), length, integers(regs[r.R_ROWS]), integers(regs[r.R_STATE]),
            indices(regs[r.R_OFFSET]), bytes_at(regs[r.R_MARK]), indices(regs[r.R_WAITING]),
        )  # fmt: skip
    return True


@cached_njit
def begin_plan(regs: Any, assign: bool, full: bool) -> int:
    """Choose what to plan for the targets and see how large the plan is: DONE or NEED_PLAN, unless it is REVERTED."""
    state = integers(regs[r.R_STATE])
    code, rows = indices(regs[r.R_CODE]), integers(regs[r.R_ROWS])
    nodes, slot, mark = indices(regs[r.R_NODES]), indices(regs[r.R_SLOT]), bytes_at(regs[r.R_MARK])
    length = regs[r.R_LENGTH]
    if assign:
        candidates, count = indices(regs[r.R_WAITING]), state[p.WAITING]
    else:
        candidates = indices(regs[r.R_ORDER])
        count = list_instructions(code, length, rows, candidates)
    select(
        integers(regs[r.R_TARGETS]), regs[r.R_TARGET_COUNT], not assign, code, rows, state, indices(regs[r.R_OFFSET]),
        candidates, count, mark, nodes,
    )  # fmt: skip
    if state[p.BROKEN]:
        return r.REVERTED
    renumber(state, slot, length)
    type_signature, type_count = type_column(regs, r.K_SIGNATURE), type_column(regs, r.K_COUNT)
    classify(
        code, rows, state, nodes, slot, type_column(regs, r.K_TYPE_OF), indices(regs[r.R_NODE_TYPE]), type_signature,
        type_count, integers(regs[r.R_PRODUCERS]), integers(regs[r.R_NOTED]), mark, full,
    )  # fmt: skip
    measure(rows, state, type_signature, type_count, assign)
    if (
        state[p.LISTS_SIZE] > regs[r.R_LISTS_SIZE]
        or state[p.RECORDS_SIZE] > regs[r.R_RECORDS_SIZE]
        or p.STEP * (2 * state[p.NODES] + state[p.TYPES]) > regs[r.R_STEPS_SIZE]
    ):
        return r.NEED_PLAN
    return r.DONE


@cached_njit
def finish_plan(regs: Any, assign: bool) -> int:
    """Write the plan that was begun; DONE, or TOO_LARGE when the arena has more floats than row numbers reach."""
    state = integers(regs[r.R_STATE])
    code, rows, entries = indices(regs[r.R_CODE]), integers(regs[r.R_ROWS]), integers(regs[r.R_ENTRIES])
    nodes, slot, node_type = indices(regs[r.R_NODES]), indices(regs[r.R_SLOT]), indices(regs[r.R_NODE_TYPE])
    rank, steps = indices(regs[r.R_RANK]), indices(regs[r.R_STEPS])
    noted, producers = integers(regs[r.R_NOTED]), integers(regs[r.R_PRODUCERS])
    type_signature, type_count = type_column(regs, r.K_SIGNATURE), type_column(regs, r.K_COUNT)
    component, next_row = type_column(regs, r.K_COMPONENT), type_column(regs, r.K_NEXT_ROW)
    autobatch = regs[r.R_AUTOBATCH] != 0
    if autobatch:
        key, order, buckets = integers(regs[r.R_KEY]), indices(regs[r.R_ORDER]), indices(regs[r.R_BUCKETS])
        width, depth = type_column(regs, r.K_WIDTH), type_column(regs, r.K_DEPTH)
        base = type_column(regs, r.K_BASE)
        found = components(state, producers, component, type_column(regs, r.K_WORK))
        find_levels(code, rows, state, nodes, slot, node_type, producers, component, found, width, depth, noted, key)
        arrange(state, node_type, component, found, width, depth, base, key, order, rank, buckets)
        schedule(
            rows, state, node_type, type_signature, type_count, component, found, width, depth, base,
            type_column(regs, r.K_FIRST_TYPE), type_column(regs, r.K_NEXT_TYPE), next_row,
            type_column(regs, r.K_STEP_OF), order, rank, buckets, steps,
        )  # fmt: skip
    else:
        one_by_one(rows, state, node_type, type_signature, next_row, rank, steps)
    record_of = type_column(regs, r.K_RECORD_OF)
    records, blocks = integers(regs[r.R_RECORDS]), integers(regs[r.R_BLOCKS])
    describe(rows, entries, state, type_signature, type_count, noted, record_of, records, assign)
    lay_out(
        rows, entries, state, type_signature, type_count, component, blocks, type_column(regs, r.K_HIDDEN), assign,
        autobatch and regs[r.R_INFERENCE] != 0,
    )  # fmt: skip
    if max(state[p.ARENA_END], state[p.GRADIENT_TOP]) > p.LARGEST:
        return r.TOO_LARGE
    offset = indices(regs[r.R_OFFSET])
    place(
        code, rows, state, nodes, node_type, rank, type_signature, type_count, record_of, records, blocks,
        integers(regs[r.R_LISTS]), offset, indices(regs[r.R_GRADIENT_OFFSET]), assign,
    )  # fmt: skip
    if assign:
        settle(state, indices(regs[r.R_WAITING]), offset)
    return r.DONE


def begin(regs_address: int, assign: int, full: int) -> None:
    """`begin_plan` as a C function, whose status is in R_STATUS."""
    regs = carray(integers(regs_address), r.REGISTERS)
    regs[r.R_STATUS] = begin_plan(regs, assign != 0, full != 0)


def finish(regs_address: int, assign: int, _: int) -> None:
    """`finish_plan` as a C function."""
    regs = carray(integers(regs_address), r.REGISTERS)
    regs[r.R_STATUS] = finish_plan(regs, assign != 0)


@cached_njit
def call_stage(regs: Any, stage: int, first: bool, second: bool) -> int:
    """The status of `begin`, `finish` or `driver.bind_plan`: stages that several entries share are compiled once."""
    call_kernel(regs[stage], regs[r.R_SELF], first, second)
    return int(regs[r.R_STATUS])


@cached_njit
def plan_backward(regs_address: int, target: int, full: bool) -> int:
    """Begin the plan of a backward pass, and finish it where there is room."""
    regs = carray(integers(regs_address), r.REGISTERS)
    set_target(regs, target)
    integers(regs[r.R_STATE])[p.GRADIENT_TOP] = ZERO_FLOATS
    status = call_stage(regs, r.R_BEGIN, False, full)
    if status != r.DONE:
        return status
    return call_stage(regs, r.R_FINISH, False, False)


@cached_njit
def finish_backward_plan(regs_address: int) -> int:
    """What `plan_backward` does when there is room for the plan."""
    return call_stage(carray(integers(regs_address), r.REGISTERS), r.R_FINISH, False, False)


@cached_njit
def set_target(regs: Any, target: int) -> None:
    """Plan for one value."""
    integers(regs[r.R_TARGETS])[0] = target
    regs[r.R_TARGET_COUNT] = 1


@cached_njit
def forget(regs_address: int) -> None:
    """Every value waits again; the arena is empty."""
    regs = carray(integers(regs_address), r.REGISTERS)
    state = integers(regs[r.R_STATE])
    forget_values(
        indices(regs[r.R_CODE]), regs[r.R_LENGTH], integers(regs[r.R_ROWS]), state, indices(regs[r.R_OFFSET]),
        indices(regs[r.R_WAITING]),
    )  # fmt: skip
    state[p.ARENA_TOP] = ZERO_FLOATS


@cached_njit
def drop(regs_address: int, tape: int, length: int, start: int, end: int) -> int:
    """Positions of a reverted part have no value any more, and never will."""
    regs = carray(integers(regs_address), r.REGISTERS)
    if not read_tape(regs, tape, length):
        return r.TOO_LARGE
    drop_values(integers(regs[r.R_STATE]), indices(regs[r.R_OFFSET]), indices(regs[r.R_WAITING]), start, end)
    return r.DONE
