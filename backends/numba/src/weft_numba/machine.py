"""The machine: one graph's memory and registers, and the few calls that run it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from weft_core import plan as p
from weft_core.backend import Execution
from weft_core.errors import StaleExpression
from weft_core.numpy_backend import Step
from weft_core.planner import ZERO_FLOATS
from weft_core.settings import settings
from weft_core.signature import signatures
from weft_core.store import addresses, aligned_zeros, parameter_arrays

from . import driver
from . import registers as r
from .blas import blas_address
from .kernels import kernel_table

if TYPE_CHECKING:
    from weft_core.graph import ComputationGraph
    from weft_core.shape import Shape


class Memory:
    """Growing arrays and the registers that point to them; kept from graph to graph."""

    def __init__(self) -> None:
        self.registers = np.zeros(r.REGISTERS, np.int64)
        self.address = self.registers.ctypes.data
        self.state = np.zeros(p.STATE, np.int64)
        self.positions = np.zeros((r.POSITION_ARRAYS, 0), np.int64)
        self.code = np.zeros(0, np.int64)
        self.growths = 0
        # Counts how often the arrays that hold a plan were replaced: a plan made before is gone.
        self.moves = 0
        self.prepared = (0, -1)
        self.registers[r.R_STATE] = self.state.ctypes.data
        self.registers[r.R_SELF] = self.address
        self.registers[r.R_SGEMM] = blas_address("sgemm")
        self.grow_positions(4096)
        self.registers[r.R_NODE_CAPACITY] = 1024
        self.grow_kinds()
        self.grow_plan(1 << 14, 1 << 12)
        self.values = self._floats(r.R_VALUES, ZERO_FLOATS + (1 << 16))
        self.gradients = self._floats(r.R_GRADIENTS, len(self.values))
        self.scratch = self._floats(r.R_SCRATCH, 1 << 16)
        self.targets = np.zeros(16, np.int64)
        self.reset()

    def _floats(self, register: int, size: int) -> NDArray[np.float32]:
        array = aligned_zeros(size)
        self.registers[register] = array.ctypes.data
        self.registers[register + 1] = size
        self.growths += 1
        return array

    def _integers(self, register: int, size: int) -> NDArray[np.int64]:
        array = np.zeros(size, np.int64)
        self.registers[register] = array.ctypes.data
        self.growths += 1
        return array

    def reset(self) -> None:
        """Ready for a new graph: an empty tape, an empty arena."""
        self.state[:] = 0
        self.state[p.WALKED] = 1
        self.state[p.ARENA_TOP] = ZERO_FLOATS
        self.positions[: r.P_MARK + 1, 0] = 0

    def grow_positions(self, capacity: int) -> None:
        positions = self._integers(r.R_POSITIONS, r.POSITION_ARRAYS * capacity).reshape(r.POSITION_ARRAYS, capacity)
        code = self._integers(r.R_CODE, capacity)
        positions[:, : len(self.code)] = self.positions
        code[: len(self.code)] = self.code
        self.positions, self.code = positions, code
        self.offset, self.gradient_offset = positions[r.P_OFFSET], positions[r.P_GRADIENT_OFFSET]
        self.registers[r.R_CAPACITY] = capacity

    def grow_nodes(self, capacity: int) -> None:
        self.moves += 1
        kinds = max(2 * len(signatures), 256)
        self.nodes = self._integers(r.R_NODES, (r.N_BUCKETS + 1) * capacity + 2 * kinds + 2)
        self.steps = self._integers(r.R_STEPS, p.STEP * (2 * capacity + kinds))
        self.registers[r.R_NODE_CAPACITY] = capacity
        self.zero_rows = self._integers(r.R_ZERO_ROWS, capacity)

    def grow_kinds(self) -> None:
        """Room for all signatures that exist, and for as many again."""
        kinds = max(2 * len(signatures), 256)
        self.registers[r.R_KINDS] = kinds
        self.types = self._integers(r.R_TYPES, r.TYPE_INTEGERS * kinds)
        self.types[:kinds] = -1
        producers = min(kinds, p.MAX_TYPES) * p.WORDS
        self.producers = self._integers(r.R_PRODUCERS, producers)
        self.registers[r.R_PRODUCERS_SIZE] = producers
        self.grow_nodes(int(self.registers[r.R_NODE_CAPACITY]))

    def grow_plan(self, lists: int, records: int) -> None:
        self.moves += 1
        self.lists = self._integers(r.R_LISTS, lists)
        self.records = self._integers(r.R_RECORDS, records)
        self.registers[r.R_LISTS_SIZE] = lists
        self.registers[r.R_RECORDS_SIZE] = records

    def grow_arenas(self) -> None:
        """Room for the values and the scratch memory of the present plan; values stay."""
        old, top, scratch = self.values, int(self.state[p.ARENA_TOP]), int(self.state[p.SCRATCH])
        if top > len(old):
            self.values = self._floats(r.R_VALUES, 2 * top)
            self.values[: len(old)] = old
        if scratch > len(self.scratch):
            self.scratch = self._floats(r.R_SCRATCH, 2 * scratch)

    def prepare(self) -> None:
        """Make the registers right for all signatures and parameters that exist now."""
        registers = self.registers
        count = len(signatures)
        if count > registers[r.R_KINDS]:
            self.grow_kinds()
        kernel_table.reserve(count)
        blocks = len(signatures.entries)
        if registers[r.R_BLOCKS_SIZE] < blocks:
            self.blocks = self._integers(r.R_BLOCKS, blocks)
            registers[r.R_BLOCKS_SIZE] = blocks
        registers[r.R_ROWS], registers[r.R_ROWS_SIZE] = signatures.rows.ctypes.data, len(signatures.rows)
        registers[r.R_ENTRIES], registers[r.R_ENTRIES_SIZE] = signatures.entries.ctypes.data, blocks
        registers[r.R_KERNELS] = kernel_table.rows.ctypes.data
        registers[r.R_PARAMETERS] = addresses.values.ctypes.data
        registers[r.R_PARAMETER_GRADIENTS] = addresses.gradients.ctypes.data
        registers[r.R_PARAMETER_META] = addresses.meta.ctypes.data
        self.prepared = (count, addresses.version)


_pool: list[Memory] = []
_pool_lock = threading.Lock()


class NumbaExecution(Execution):
    """A graph on the compiled machine."""

    def __init__(self, graph: ComputationGraph) -> None:
        self.graph = graph
        with _pool_lock:
            memory = _pool.pop() if _pool else None
        self.memory = memory or Memory()
        self.memory.reset()
        self.memory.registers[r.R_AUTOBATCH] = graph.autobatch
        self.offset = self.memory.offset
        self.synced = 1
        self.draw = 0
        self.seeded = (-1, -1)
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

    def forward(self, indices: Sequence[int]) -> None:
        length = len(self.graph.code)
        if not self.stale and length == self.synced:
            offset = self.offset
            for i in indices:
                if offset[i] == p.PENDING:
                    break
            else:
                return
        self._sync(length)
        try:
            self._compute(indices, length)
        except BaseException:
            # The plan has given out rows that nothing was computed into.
            driver.forget(self.memory.address)
            self.planned, self.stale = (), False
            raise

    def _compute(self, indices: Sequence[int], length: int) -> None:
        """Plan and run, or only run again where the plan is still good."""
        memory = self.memory
        if self.stale:
            if length == self.planned_length and self._plan_covers(tuple(indices)):
                self._run_forward(0)
                self.stale = False
                return
            driver.forget(memory.address)
            self.planned, self.stale = (), False
        registers = memory.registers
        if len(indices) > len(memory.targets):
            memory.targets = np.zeros(2 * len(indices), np.int64)
        memory.targets[: len(indices)] = indices
        registers[r.R_TARGETS] = memory.targets.ctypes.data
        registers[r.R_TARGET_COUNT] = len(indices)
        first = memory.state[p.ARENA_TOP] == ZERO_FLOATS
        self.calls += 1
        status = driver.forward(memory.address)
        while status != r.DONE:
            if status == r.NEED_MEMORY or status == r.NEED_KERNELS:
                memory.grow_arenas()
                self._run_forward(0)
                break
            if status == r.REFERENCE:
                self._run_forward(self._reference(False))
                break
            self._make_room(status)
            status = driver.forward(memory.address)
        self.planned = tuple(indices)
        self.planned_length = length
        self.planned_moves = memory.moves
        self.only_plan = bool(first)
        self.plan_is_forward = True

    def _plan_covers(self, targets: tuple[int, ...]) -> bool:
        """Whether the last plan is there, is the only one, and computes these targets."""
        return (
            targets == self.planned
            and self.only_plan
            and self.plan_is_forward
            and self.planned_moves == self.memory.moves
        )

    def _sync(self, length: int) -> None:
        """Copy the new part of the tape; registers up to date."""
        memory = self.memory
        registers = memory.registers
        graph = self.graph
        if length > registers[r.R_CAPACITY]:
            memory.grow_positions(max(length, 2 * int(registers[r.R_CAPACITY])))
            self.offset = memory.offset
        if length > self.synced:
            memory.code[self.synced : length] = graph.code[self.synced :]
            self.synced = length
        registers[r.R_LENGTH] = length
        registers[r.R_DATA] = graph.data.buffer_info()[0]
        if self.seeded != (settings.reseeds, self.draw):
            self.seeded = (settings.reseeds, self.draw)
            registers[r.R_SEED] = np.uint64(settings.seed).view(np.int64)
            registers[r.R_STREAM] = graph.number + (self.draw << 32)
        if memory.prepared != (len(signatures), addresses.version):
            memory.prepare()

    def _make_room(self, status: int) -> None:
        memory = self.memory
        state = memory.state
        if status == r.NEED_NODES:
            memory.grow_nodes(2 * int(state[p.STARTS]))
        elif status == r.NEED_PLAN:
            memory.grow_plan(2 * int(state[p.LISTS_SIZE]), 2 * int(state[p.TYPES_SIZE]))
        elif status == r.REVERTED:
            raise StaleExpression(
                f"instruction {state[p.BROKEN]} uses an expression made after a checkpoint "
                "that has been reverted; build it again"
            )

    def _run_forward(self, first: int) -> None:
        self.calls += 1
        while (status := driver.run_forward(self.memory.address, first)) != r.DONE:
            self.calls += 1
            if status == r.NEED_KERNELS:
                self._prepare_kernels(False)
            else:
                first = self._reference(False)

    def _prepare_kernels(self, backward: bool) -> None:
        """Compile what the present plan runs."""
        memory = self.memory
        first = r.K_SIGNATURE * int(memory.registers[r.R_KINDS])
        numbers = memory.types[first : first + int(memory.state[p.TYPES])]
        kernel_table.prepare(numbers.tolist(), backward)

    def _reference(self, backward: bool) -> int:
        """Run the step that has no kernel through its NumPy reference; returns the number of the next step."""
        memory = self.memory
        s = int(memory.registers[r.R_RESUME])
        t, start, count, _ = memory.steps[s * p.STEP : (s + 1) * p.STEP].tolist()
        kinds = int(memory.registers[r.R_KINDS])
        record = int(memory.types[r.K_RECORD_OF * kinds + t])
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
        self._sync(len(self.graph.code))
        if self._plan_covers((index,)) and not full:
            state[p.GRADIENT_TOP] = state[p.ARENA_TOP]
        else:
            self._plan_backward(index, full)
        memory.grow_arenas()
        if state[p.GRADIENT_TOP] > len(memory.gradients):
            memory.gradients = memory._floats(r.R_GRADIENTS, 2 * int(state[p.GRADIENT_TOP]))
        self.reached = index
        last = -1
        self.calls += 1
        seed = int(memory.gradient_offset[index])
        while (status := driver.run_backward(memory.address, last, seed)) != r.DONE:
            self.calls += 1
            if status == r.NEED_KERNELS:
                self._prepare_kernels(True)
                continue
            last = self._reference(True)
            if last < 0:
                break

    def _plan_backward(self, index: int, full: bool) -> None:
        self.plan_is_forward = False
        memory = self.memory
        memory.targets[0] = index
        memory.registers[r.R_TARGETS] = memory.targets.ctypes.data
        memory.registers[r.R_TARGET_COUNT] = 1
        while True:
            memory.state[p.GRADIENT_TOP] = ZERO_FLOATS
            status = driver.make_plan(memory.address, False, full)
            if status == r.DONE:
                break
            self._make_room(status)

    def value(self, index: int, shape: Shape) -> NDArray[np.float32]:
        if index < 0:
            return parameter_arrays(-1 - index)[0].copy()
        start = self.offset[index]
        return self.memory.values[start : start + shape.total].copy()

    def scalar(self, index: int) -> float:
        if index < 0:
            return float(parameter_arrays(-1 - index)[0][0])
        return float(self.memory.values[self.offset[index]])

    def gradient(self, index: int, shape: Shape) -> NDArray[np.float32] | None:
        if index < 0:
            return parameter_arrays(-1 - index)[1].copy()
        if index > self.reached:
            return None
        memory = self.memory
        start = memory.gradient_offset[index]
        if start == 0 or not memory.positions[r.P_NEED, memory.positions[r.P_START_OF, index]]:
            return np.zeros(shape.total, np.float32)
        return memory.gradients[start : start + shape.total].copy()

    def invalidate(self, redraw: bool) -> None:
        self.draw += redraw
        self.stale = True

    def rewrite(self, position: int, number: int) -> None:
        if position < self.synced:
            self.memory.code[position] = number
        self.planned = ()

    def drop(self, start: int, end: int) -> None:
        self._sync(len(self.graph.code))
        driver.drop(self.memory.address, start, end)
        self.only_plan = False

    def close(self) -> None:
        memory, self.memory = self.memory, None  # type: ignore[assignment]
        if memory is not None:
            with _pool_lock:
                _pool.append(memory)

    def counts(self) -> dict[str, int]:
        state = self.memory.state
        return {
            "nodes": int(state[p.NODES]),
            "types": int(state[p.TYPES]),
            "steps": int(state[p.STEPS]),
            "arena": int(state[p.ARENA_TOP]),
            "growths": self.memory.growths,
            "calls": self.calls,
        }
