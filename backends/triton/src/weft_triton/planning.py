"""Planning without running: the CPU backend's compiled planner, in one native call."""

from __future__ import annotations

from numba import carray  # type: ignore[attr-defined]

from weft_numba import registers as r
from weft_numba.cache import cached_njit
from weft_numba.planning import call_stage, read_tape, set_target
from weft_numba.pointers import integers


@cached_njit
def plan_forward(regs_address: int, tape: int, length: int, target: int) -> int:
    """Read the tape and plan the values that are wanted; `target` below 0: they are in the registers."""
    regs = carray(integers(regs_address), r.REGISTERS)
    if target >= 0:
        set_target(regs, target)
    if not read_tape(regs, tape, length):
        return r.TOO_LARGE
    status = call_stage(regs, r.R_BEGIN, True, False)
    if status != r.DONE:
        return status
    return call_stage(regs, r.R_FINISH, True, False)


@cached_njit
def finish_forward_plan(regs_address: int) -> int:
    """What `plan_forward` does when there is room for the plan."""
    return call_stage(carray(integers(regs_address), r.REGISTERS), r.R_FINISH, True, False)
