"""The compiled side of a graph: bind a plan to memory and run it, one native call forward and one backward."""

from __future__ import annotations

import functools
from typing import Any

from numba import carray  # type: ignore[attr-defined]

from weft_core import plan as p
from weft_core.planner import ZERO_FLOATS
from weft_core.signature import COLUMNS, COMPOUND, INNER, SCATTERS

from . import inner as i
from . import registers as r
from .cache import cached_njit
from .callees import without_collection
from .planning import begin, call_stage, finish, read_tape, set_target, type_column
from .pointers import call_kernel, compile_kernel, floats, indices, integers, zero_floats


@cached_njit
def bind(regs: Any, backward: bool) -> int:
    """Write addresses into the plan's records: arenas, parameters, row lists, kernels.

    NEED_KERNELS when some are missing, LOST_PARAMETER when one has no memory on the host (its id is in R_RESUME).
    Before a backward pass, note the look-up tables that get a gradient as a whole.
    """
    state = integers(regs[r.R_STATE])
    rows = integers(regs[r.R_ROWS])
    records = integers(regs[r.R_RECORDS])
    parameters, parameter_gradients = integers(regs[r.R_PARAMETERS]), integers(regs[r.R_PARAMETER_GRADIENTS])
    meta = integers(regs[r.R_PARAMETER_META])
    lists = regs[r.R_LISTS]
    position = 0
    for _ in range(state[p.TYPES]):
        record = position
        signature = records[position + p.T_SIGNATURE]
        kernels = regs[r.R_KERNELS] + 8 * r.KERNEL_COLUMNS * signature
        if integers(kernels)[r.KERNEL_READY] < (r.ALL_READY if backward else r.FORWARD_READY):
            return r.NEED_KERNELS
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
                if parameters[parameter] == 0 or (needs and parameter_gradients[parameter] == 0):
                    regs[r.R_RESUME] = parameter
                    return r.LOST_PARAMETER
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
            call_kernel(regs[r.R_BIND_INNER], regs[r.R_SELF], record, 0)
        position += rows[signature * COLUMNS + INNER]
    return r.DONE


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


def bind_plan(regs_address: int, backward: int, _: int) -> None:
    """`bind` as a C function, whose status is in R_STATUS."""
    regs = carray(integers(regs_address), r.REGISTERS)
    regs[r.R_STATUS] = bind(regs, backward != 0)


def bind_compound(regs_address: int, record: int, _: int) -> None:
    """`bind_inner` as a C function."""
    regs = carray(integers(regs_address), r.REGISTERS)
    bind_inner(regs, integers(regs[r.R_RECORDS]), record)


@functools.cache
def stages() -> dict[int, int]:
    """By register, the addresses of what the entries of this file and of `planning.py` have in common."""
    with without_collection():
        return {
            r.R_BEGIN: compile_kernel(begin),
            r.R_FINISH: compile_kernel(finish),
            r.R_BIND: compile_kernel(bind_plan),
        }


@functools.cache
def compound_stage() -> int:
    """Address of `bind_compound`, which only plans with compound instructions need."""
    return compile_kernel(bind_compound)


@cached_njit
def run_forward(regs_address: int, first: int) -> int:
    """Run the plan's steps from `first` on; REFERENCE when a step has no kernel (its number is in R_RESUME).

    NEED_KERNELS and LOST_PARAMETER as in `bind`. With R_STEPWISE one step, then STEPPED; the next is in R_RESUME.
    """
    regs = carray(integers(regs_address), r.REGISTERS)
    if first == 0:
        status = call_stage(regs, r.R_BIND, False, False)
        if status != r.DONE:
            return status
    steps = indices(regs[r.R_STEPS])
    record_of = type_column(regs, r.K_RECORD_OF)
    records = regs[r.R_RECORDS]
    end = integers(regs[r.R_STATE])[p.STEPS]
    if regs[r.R_STEPWISE] and first < end:
        end = first + 1
    for s in range(first, end):
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
    if regs[r.R_STEPWISE] and first < integers(regs[r.R_STATE])[p.STEPS]:
        regs[r.R_RESUME] = end
        return r.STEPPED
    return r.DONE


@cached_njit
def run_backward(regs_address: int, last: int, seed: int) -> int:
    """Run the plan's steps backwards from `last` on; from the end (`last` < 0) after clearing the gradients.

    The gradient at `seed` is 1. REFERENCE, NEED_KERNELS, LOST_PARAMETER and STEPPED as in `run_forward`.
    """
    regs = carray(integers(regs_address), r.REGISTERS)
    state = integers(regs[r.R_STATE])
    if last < 0:
        status = call_stage(regs, r.R_BIND, True, False)
        if status != r.DONE:
            return status
        zero_floats(regs[r.R_GRADIENTS] + 4 * ZERO_FLOATS, state[p.GRADIENT_CLEAR] - ZERO_FLOATS)
        floats(regs[r.R_GRADIENTS])[seed] = 1.0
        last = state[p.STEPS] - 1
    steps = indices(regs[r.R_STEPS])
    record_of = type_column(regs, r.K_RECORD_OF)
    records = regs[r.R_RECORDS]
    end = last - 1 if regs[r.R_STEPWISE] and last >= 0 else -1
    for s in range(last, end, -1):
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
    if end >= 0:
        regs[r.R_RESUME] = end
        return r.STEPPED
    return r.DONE


@cached_njit
def forward(regs_address: int, tape: int, length: int, data: int, target: int) -> int:
    """Read the tape, plan and run in one call. `target` is the only target; below 0, they are in the registers."""
    regs = carray(integers(regs_address), r.REGISTERS)
    regs[r.R_DATA] = data
    if target >= 0:
        set_target(regs, target)
    if not read_tape(regs, tape, length):
        return r.TOO_LARGE
    status = call_stage(regs, r.R_BEGIN, True, False)
    if status != r.DONE:
        return status
    return finish_forward(regs_address)


@cached_njit
def finish_forward(regs_address: int) -> int:
    """What `forward` does when there is room for the plan."""
    regs = carray(integers(regs_address), r.REGISTERS)
    status = call_stage(regs, r.R_FINISH, True, False)
    if status != r.DONE:
        return status
    state = integers(regs[r.R_STATE])
    if state[p.ARENA_END] > regs[r.R_VALUES_SIZE] or state[p.SCRATCH] > regs[r.R_SCRATCH_SIZE]:
        return r.NEED_MEMORY
    if regs[r.R_STEPWISE]:
        regs[r.R_RESUME] = 0
        return r.STEPPED
    return run_forward(regs_address, 0)
