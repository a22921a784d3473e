"""The machine: the few calls that run a graph on its memory."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from weft_core import plan as p
from weft_core.backend import Execution, Group
from weft_core.errors import WeftError
from weft_core.numpy_backend import Step
from weft_core.planner import ZERO_FLOATS, count_groups, reverted
from weft_core.profile import BACKWARD, FORWARD
from weft_core.settings import settings
from weft_core.signature import signatures
from weft_core.store import addresses, bring_home, seen_gradients, seen_values

from . import driver, planning
from . import registers as r
from .kernels import kernel_table
from .memory import Memory

if TYPE_CHECKING:
    from weft_core.graph import ComputationGraph
    from weft_core.shape import Shape
    from weft_core.signature import Signature


# Memory of graphs that are gone. A list's `pop` and `append` need no lock.
_pool: list[Memory] = []


class NumbaExecution(Execution):
    """A graph on the compiled machine."""

    def __init__(self, graph: ComputationGraph) -> None:
        self.graph = graph
        try:
            memory = _pool.pop()
        except IndexError:
            memory = Memory()
        memory.reset()
        self.memory = memory
        memory.registers[r.R_AUTOBATCH] = graph.autobatch
        memory.registers[r.R_INFERENCE] = graph.inference
        # Length of the tape that compiled code has read.
        self.synced = 1
        self.draw = 0
        # The random stream that the registers name.
        self.reseeds, self.drawn = -1, -1
        # Where the graph's staged numbers lie, and how many there were then.
        self.data, self.staged = 0, -1
        # The last plan: its targets, the tape's length and the memory's moves then, whether it covers every value
        # that exists, and whether it is one for forward.
        self.planned: tuple[int, ...] = ()
        self.planned_length = 0
        self.planned_moves = -1
        self.only_plan = True
        self.plan_is_forward = False
        self.stale = False
        self.reached = -1
        self.calls = 0
        # Whether compiled code comes back after each step, so that it can be timed.
        self.stepwise = False
        memory.registers[r.R_STEPWISE] = False

    def forward(self, indices: Sequence[int]) -> None:
        length = len(self.graph.code)
        if length == self.synced and not self.stale:
            offset = self.memory.offset
            for i in indices:
                if offset.item(i) == p.PENDING:
                    break
            else:
                return
        self._sync(length)
        try:
            self._compute(indices, length)
        except BaseException:
            # The plan has given out rows that nothing was computed into.
            planning.forget(self.memory.address)
            self.planned, self.stale = (), False
            raise

    def _compute(self, indices: Sequence[int], length: int) -> None:
        """Plan and run, or only run again where the plan is still good."""
        memory = self.memory
        if self.stale:
            if length == self.planned_length and self._plan_covers(tuple(indices)):
                memory.registers[r.R_DATA] = self.data
                self._run_forward(0)
                self.stale = False
                return
            planning.forget(memory.address)
            self.planned, self.stale = (), False
        target = indices[0]
        if len(indices) > 1:
            self._set_targets(indices)
            target = -1
        first = memory.state.item(p.ARENA_TOP) == ZERO_FLOATS
        self.calls += 1
        since = perf_counter() if self.stepwise else 0.0
        status = driver.forward(memory.address, id(self.graph.code), length, self.data, target)
        if status == r.DONE:
            self.synced = length
        else:
            self._complete(status, length, first, since)
        self.planned = tuple(indices)
        self.planned_length = length
        self.planned_moves = memory.moves
        self.only_plan = first
        self.plan_is_forward = True

    def _complete(self, status: int, length: int, first: bool, since: float) -> None:
        """Go on with a forward pass that came back for something."""
        memory = self.memory
        if status == r.TOO_LARGE and memory.registers[r.R_LENGTH] != length:
            raise WeftError("a number on the tape does not fit into 32 bits: no index may be as large")
        self.synced = length
        if status == r.NEED_PLAN:
            memory.grow_to_plan()
            self.calls += 1
            status = driver.finish_forward(memory.address)
        self._check(status)
        if self.stepwise:
            self._time(FORWARD, "plan", int(memory.state[p.NODES]), since)
        if status == r.NEED_MEMORY or status == r.NEED_KERNELS:
            memory.grow_arenas(keep=not first)
            self._run_forward(0)
        elif status == r.STEPPED:
            self._run_forward(0)
        elif status == r.LOST_PARAMETER:
            self._bring_parameter()
            self._run_forward(0)
        elif status == r.REFERENCE:
            self._run_forward(self._reference(False))

    def _check(self, status: int) -> None:
        """Raise what a plan could not do."""
        if status == r.REVERTED:
            raise reverted(int(self.memory.state[p.BROKEN]))
        if status == r.TOO_LARGE:
            raise WeftError(
                "the values of one graph take more than 2**31 floats; compute the examples in several graphs"
            )

    def _bring_parameter(self) -> None:
        """A parameter that has no memory here is with another backend, or gone, which raises `StaleExpression`."""
        bring_home(int(self.memory.registers[r.R_RESUME]))

    def _set_targets(self, indices: Sequence[int]) -> None:
        memory = self.memory
        if len(indices) > len(memory.targets):
            memory.grow_targets(2 * len(indices))
        memory.targets[: len(indices)] = indices
        memory.registers[r.R_TARGET_COUNT] = len(indices)

    def _plan_covers(self, targets: tuple[int, ...]) -> bool:
        """Whether the last plan is there, is the only one, and computes these targets."""
        return (
            targets == self.planned
            and self.only_plan
            and self.plan_is_forward
            and self.planned_moves == self.memory.moves
        )

    def _sync(self, length: int) -> None:
        """Registers up to date, room for the tape."""
        memory = self.memory
        graph = self.graph
        if length > memory.capacity:
            memory.grow_positions(length)
        staged = len(graph.data)
        if staged != self.staged:
            self.data, self.staged = graph.data.buffer_info()[0], staged
        if self.reseeds != settings.reseeds or self.drawn != self.draw:
            self.reseeds, self.drawn = settings.reseeds, self.draw
            memory.registers[r.R_SEED] = np.uint64(settings.seed).view(np.int64)
            memory.registers[r.R_STREAM] = graph.number + (self.draw << 32)
        if memory.signatures != len(signatures.all) or memory.version != addresses.version:
            memory.prepare()
        if self.stepwise is (settings.profile is None):
            self.stepwise = not self.stepwise
            memory.registers[r.R_STEPWISE] = self.stepwise

    def _run_forward(self, first: int) -> None:
        self.calls += 1
        since = perf_counter() if self.stepwise else 0.0
        while (status := driver.run_forward(self.memory.address, first)) != r.DONE:
            self.calls += 1
            if status == r.STEPPED:
                since = self._time_step(FORWARD, first, since)
                first = int(self.memory.registers[r.R_RESUME])
            elif status == r.NEED_KERNELS:
                self._prepare_kernels(False)
                since = self._time(FORWARD, "compile", 0, since)
            elif status == r.LOST_PARAMETER:
                self._bring_parameter()
            else:
                self._check(status)
                first = self._reference(False)
                since = self._time_step(FORWARD, first - 1, since)

    def _time_step(self, direction: str, s: int, since: float) -> float:
        """Note a step in the profile; returns the time now."""
        if not self.stepwise:
            return since
        memory = self.memory
        t, _, count, whole = memory.steps[s * p.STEP : (s + 1) * p.STEP].tolist()
        signature = signatures[int(memory.records[int(memory.record_of[t]) + p.T_SIGNATURE])]
        return self._time(direction, signature, 0 if whole else count, since)

    def _time(self, direction: str, kind: Signature | str, instructions: int, since: float) -> float:
        profile = settings.profile
        return since if profile is None else profile.add(direction, kind, instructions, since)

    def _prepare_kernels(self, backward: bool) -> None:
        """Compile what the present plan runs."""
        memory = self.memory
        kernel_table.prepare(memory.planned_signatures.tolist(), backward)

    def _reference(self, backward: bool) -> int:
        """Run the step that has no kernel through its NumPy reference; returns the number of the next step."""
        memory = self.memory
        s = int(memory.registers[r.R_RESUME])
        t, start, count, _ = memory.steps[s * p.STEP : (s + 1) * p.STEP].tolist()
        record = int(memory.record_of[t])
        data = np.array(self.graph.data, np.float32)
        step = Step(memory, record, start, count, data, int(memory.registers[r.R_STREAM]))
        if backward:
            step.backward(memory.values, memory.gradients)
            return s - 1
        step.forward(memory.values)
        return s + 1

    def backward(self, index: int, full: bool) -> None:
        memory = self.memory
        state = memory.state
        self._sync(self.synced)
        memory.registers[r.R_DATA] = self.data
        since = perf_counter() if self.stepwise else 0.0
        if not full and self._plan_covers((index,)):
            state[p.GRADIENT_TOP] = state[p.ARENA_END]
            seed = memory.offset.item(index)
        else:
            self._plan_backward(index, full)
            memory.grow_arenas(keep=True)
            seed = memory.gradient_offset.item(index)
        if state[p.GRADIENT_TOP] > len(memory.gradients):
            memory.grow_gradients()
        self.reached = index
        last = -1
        self.calls += 1
        since = self._time(BACKWARD, "plan", int(state[p.NODES]), since)
        while (status := driver.run_backward(memory.address, last, seed)) != r.DONE:
            self.calls += 1
            if status == r.NEED_KERNELS:
                self._prepare_kernels(True)
                since = self._time(BACKWARD, "compile", 0, since)
                continue
            if status == r.LOST_PARAMETER:
                self._bring_parameter()
                continue
            if status == r.STEPPED:
                last = int(memory.registers[r.R_RESUME])
            else:
                self._check(status)
                last = self._reference(True)
            since = self._time_step(BACKWARD, last + 1, since)
            if last < 0:
                break

    def _plan_backward(self, index: int, full: bool) -> None:
        self.plan_is_forward = False
        memory = self.memory
        status = planning.plan_backward(memory.address, index, full)
        if status == r.NEED_PLAN:
            memory.grow_to_plan()
            status = planning.finish_backward_plan(memory.address)
        self._check(status)

    def value(self, index: int, shape: Shape) -> NDArray[np.float32]:
        if index < 0:
            return seen_values(-1 - index).copy()
        start = self.memory.offset.item(index)
        return self.memory.values[start : start + shape.total].copy()

    def scalar(self, index: int) -> float:
        if index < 0:
            return float(seen_values(-1 - index)[0])
        memory = self.memory
        number: float = memory.values.item(memory.offset.item(index))
        return number

    def gradient(self, index: int, shape: Shape) -> NDArray[np.float32] | None:
        if index < 0:
            return seen_gradients(-1 - index).copy()
        if index > self.reached:
            return None
        memory = self.memory
        if not memory.mark[index] & p.NEEDS:
            return np.zeros(shape.total, np.float32)
        start = (memory.offset if self.plan_is_forward else memory.gradient_offset).item(index)
        return memory.gradients[start : start + shape.total].copy()

    def invalidate(self, redraw: bool) -> None:
        self.draw += redraw
        self.stale = True

    def rewrite(self, position: int, number: int) -> None:
        if position < self.synced:
            self.memory.arrays[r.R_CODE][position] = number
        self.planned = ()

    def drop(self, start: int, end: int) -> None:
        length = len(self.graph.code)
        self._sync(length)
        self._check(planning.drop(self.memory.address, id(self.graph.code), length, start, end))
        self.synced = length
        self.only_plan = False

    def close(self) -> None:
        memory, self.memory = self.memory, None  # type: ignore[assignment]
        if memory is not None:
            _pool.append(memory)

    def counts(self) -> dict[str, int]:
        state = self.memory.state
        return {
            "nodes": int(state[p.NODES]),
            "types": int(state[p.TYPES]),
            "steps": int(state[p.STEPS]),
            "arena": int(state[p.ARENA_END]),
            "growths": self.memory.growths,
            "calls": self.calls,
        }

    def groups(self) -> list[Group]:
        memory = self.memory
        steps = memory.steps[: p.STEP * int(memory.state[p.STEPS])].tolist()
        return count_groups(steps, memory.records.tolist(), memory.record_of.tolist(), kernel_table.has_kernel)
