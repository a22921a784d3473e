"""A graph on the device: plan, encode, copy once, launch level by level or as one tape."""

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
from weft_core.store import addresses, owner, parameter_arrays
from weft_numba import planning as planner
from weft_numba import registers as r

from .coder import Coder, parameters_of
from .launcher import Launcher
from .lowering import has_kernel
from .planning import finish_forward_plan, plan_forward

if TYPE_CHECKING:
    from weft_core.graph import ComputationGraph
    from weft_core.shape import Shape

    from .backend import TritonBackend


class TritonExecution(Execution):
    """A graph on the compiled planner of the CPU and the kernels of the device."""

    def __init__(self, graph: ComputationGraph, backend: TritonBackend) -> None:
        self.graph = graph
        self.backend = backend
        self.memory, self.arenas = backend.take()
        self.memory.reset()
        self.memory.registers[r.R_AUTOBATCH] = graph.autobatch
        # Steps of different components run at the same time: hidden results may not share memory.
        self.memory.registers[r.R_INFERENCE] = False
        self.coder = Coder(self.memory, backend.templates, backend.residence, backend.staging)
        self.launcher = Launcher(backend, self.arenas, self.coder)
        self.synced = 1
        self.draw = 0
        # The last plan: its targets, the tape's length and the memory's moves then; whether it covers every value that
        # exists, whether it is one for forward, and whether its words are on the device.
        self.planned: tuple[int, ...] = ()
        self.planned_length = 0
        self.planned_moves = -1
        self.only_plan = self.plan_is_forward = self.lists_are_there = False
        self.stale = False
        self.reached = -1
        self.data, self.staged = 0, -1

    # Forward.

    def forward(self, indices: Sequence[int]) -> None:
        length = len(self.graph.code)
        if length == self.synced and not self.stale:
            offset = self.memory.offset
            if all(offset.item(i) != p.PENDING for i in indices):
                return
        self._sync(length)
        try:
            self._compute(indices, length)
        except BaseException:
            # The plan has given out rows that nothing was computed into.
            planner.forget(self.memory.address)
            self.planned, self.stale, self.lists_are_there = (), False, False
            raise

    def _compute(self, indices: Sequence[int], length: int) -> None:
        memory = self.memory
        since = perf_counter()
        if not self.stale or not (length == self.planned_length and self._plan_covers(tuple(indices))):
            if self.stale:
                planner.forget(memory.address)
                self.planned = ()
            self._plan(indices, length)
        self.stale = False
        with self.backend.lock:
            self._run(False, 0, since)

    def _plan(self, indices: Sequence[int], length: int) -> None:
        memory = self.memory
        target = indices[0]
        if len(indices) > 1:
            if len(indices) > len(memory.targets):
                memory.grow_targets(2 * len(indices))
            memory.targets[: len(indices)] = indices
            memory.registers[r.R_TARGET_COUNT] = len(indices)
            target = -1
        first = memory.state.item(p.ARENA_TOP) == ZERO_FLOATS
        status = plan_forward(memory.address, id(self.graph.code), length, target)
        if status == r.TOO_LARGE and memory.registers[r.R_LENGTH] != length:
            raise WeftError("a number on the tape does not fit into 32 bits: no index may be as large")
        self.synced = length
        if status == r.NEED_PLAN:
            memory.grow_to_plan()
            status = finish_forward_plan(memory.address)
        self._check(status)
        self.planned, self.planned_length, self.planned_moves = tuple(indices), length, memory.moves
        self.only_plan, self.plan_is_forward = first, True

    def _run(self, backward: bool, seed: int, since: float) -> None:
        """Encode the present plan and run it."""
        memory, coder = self.memory, self.coder
        again = backward and self.lists_are_there
        self.lists_are_there = False
        state, values, gradients = memory.state, self.arenas.values, self.arenas.gradients
        values.reserve(int(state[p.ARENA_END]), keep=values.size if backward or not self.only_plan else 0)
        if backward:
            gradients.reserve(int(state[p.GRADIENT_TOP]), keep=0)
        coder.encode(backward, seed, len(self.graph.data), again, values.address, gradients.address)
        coder.head(settings.seed, self.graph.number + (self.draw << 32))
        self.launcher.send(again)
        if settings.profile is not None:
            settings.profile.add(BACKWARD if backward else FORWARD, "plan", int(state[p.NODES]), since)
        self.launcher.run(backward, self._run_on_host)
        self.lists_are_there = not backward or again

    def _run_on_host(self, s: int, backward: bool) -> None:
        """Run a step without a kernel through its NumPy reference: arenas come to the host and go back."""
        memory, arenas = self.memory, self.arenas
        t, start, count, _ = memory.steps[s * p.STEP : (s + 1) * p.STEP].tolist()
        data = np.array(self.graph.data, np.float32)
        step = Step(memory, int(memory.record_of[t]), start, count, data, self.graph.number + (self.draw << 32))
        values = arenas.values.read(0, int(memory.state[p.ARENA_END]))
        if backward:
            gradients = arenas.gradients.read(0, int(memory.state[p.GRADIENT_TOP]))
            step.backward(values, gradients)
            arenas.gradients.write(0, gradients)
        else:
            step.forward(values)
            arenas.values.write(0, values)
        # The reference works on the parameters of the host: what else runs needs them on the device again.
        self.backend.residence.require(parameters_of(memory))

    def _check(self, status: int) -> None:
        """Raise what a plan could not do."""
        if status == r.REVERTED:
            raise reverted(int(self.memory.state[p.BROKEN]))
        if status == r.LOST_PARAMETER:
            owner(int(self.memory.registers[r.R_RESUME]))
        if status == r.TOO_LARGE:
            raise WeftError(
                "the values of one graph take more than 2**31 floats; compute the examples in several graphs"
            )

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
        memory, graph = self.memory, self.graph
        if length > memory.capacity:
            memory.grow_positions(length)
        staged = len(graph.data)
        if staged != self.staged:
            self.data, self.staged = graph.data.buffer_info()[0], staged
        memory.registers[r.R_DATA] = self.data
        if memory.signatures != len(signatures.all) or memory.version != addresses.version:
            memory.prepare()

    # Backward.

    def backward(self, index: int, full: bool) -> None:
        memory, state = self.memory, self.memory.state
        self._sync(self.synced)
        since = perf_counter()
        if not full and self._plan_covers((index,)):
            state[p.GRADIENT_TOP] = state[p.ARENA_END]
            seed = memory.offset.item(index)
        else:
            self.plan_is_forward = self.lists_are_there = False
            status = planner.plan_backward(memory.address, index, full)
            if status == r.NEED_PLAN:
                memory.grow_to_plan()
                status = planner.finish_backward_plan(memory.address)
            self._check(status)
            seed = memory.gradient_offset.item(index)
        self.reached = index
        with self.backend.lock:
            self._run(True, seed, since)

    # Reading.

    def _read(self, start: int, count: int, gradient: bool) -> NDArray[np.float32]:
        arena = self.arenas.gradients if gradient else self.arenas.values
        with self.backend.lock:
            numbers = arena.read(start, count)
            self.backend.staging.reached = self.backend.staging.sent
            self.launcher.check()
        return numbers

    def value(self, index: int, shape: Shape) -> NDArray[np.float32]:
        if index < 0:
            return parameter_arrays(-1 - index)[0].copy()
        return self._read(self.memory.offset.item(index), shape.total, False)

    def gradient(self, index: int, shape: Shape) -> NDArray[np.float32] | None:
        if index < 0:
            return parameter_arrays(-1 - index)[1].copy()
        if index > self.reached:
            return None
        memory = self.memory
        if not memory.mark[index] & p.NEEDS:
            return np.zeros(shape.total, np.float32)
        start = (memory.offset if self.plan_is_forward else memory.gradient_offset).item(index)
        return self._read(start, shape.total, True)

    # The rest of a graph's life.

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
        self._check(planner.drop(self.memory.address, id(self.graph.code), length, start, end))
        self.synced = length
        self.only_plan = False

    def close(self) -> None:
        memory, self.memory = self.memory, None  # type: ignore[assignment]
        if memory is not None:
            self.coder.release()
            self.backend.give_back(memory, self.arenas)

    def counts(self) -> dict[str, int]:
        state = self.memory.state
        return {
            "nodes": int(state[p.NODES]), "types": int(state[p.TYPES]), "steps": int(state[p.STEPS]),
            "arena": int(state[p.ARENA_END]), **self.launcher.counts,
        }  # fmt: skip

    def groups(self) -> list[Group]:
        memory = self.memory
        steps = memory.steps[: p.STEP * int(memory.state[p.STEPS])].tolist()
        return count_groups(steps, memory.records.tolist(), memory.record_of.tolist(), has_kernel)
