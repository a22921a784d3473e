"""A graph's memory and registers; arrays grow before a native call, never inside one, and serve graph after graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from weft_core import plan as p
from weft_core.planner import ZERO_FLOATS
from weft_core.signature import COLUMNS, COMPOUND, ENTRY_FIELDS, FLAGS, signatures
from weft_core.store import addresses, aligned_zeros

from . import registers as r
from .blas import blas_address
from .driver import compound_stage, stages
from .kernels import kernel_table
from .tape import AS_INTEGER, GET_ITEM

# Arrays that keep what they hold while a graph grows, and those that a plan fills anew.
_KEPT = {
    r.R_CODE: np.int32, r.R_OFFSET: np.int32, r.R_GRADIENT_OFFSET: np.int32, r.R_SLOT: np.int32, r.R_MARK: np.uint8,
    r.R_WAITING: np.int32,
}  # fmt: skip
_FILLED = {
    r.R_NODES: np.int32, r.R_NODE_TYPE: np.int32, r.R_KEY: np.int64, r.R_ORDER: np.int32, r.R_RANK: np.int32,
    r.R_BUCKETS: np.int32,
}  # fmt: skip


# The counters of an empty graph.
_FRESH = np.zeros(p.STATE, np.int64)
_FRESH[p.WALKED] = 1
_FRESH[p.ARENA_TOP] = _FRESH[p.ARENA_END] = ZERO_FLOATS


class Memory:
    """Growing arrays and the registers that point to them; kept from graph to graph.

    All grow geometrically, before the native call that fills them. Room costs nothing until it is touched.
    """

    def __init__(self) -> None:
        self.registers = np.zeros(r.REGISTERS, np.int64)
        self.address = self.registers.ctypes.data
        self.state = np.zeros(p.STATE, np.int64)
        self.arrays: dict[int, NDArray[Any]] = {}
        self.growths = 0
        # Counts how often the arrays that hold a plan were replaced: a plan made before is gone.
        self.moves = 0
        # How many signatures and which version of the parameters' addresses the registers know.
        self.signatures, self.version = 0, -1
        registers = self.registers
        registers[r.R_STATE] = self.state.ctypes.data
        registers[r.R_SELF] = self.address
        registers[r.R_SGEMM] = blas_address("sgemm")
        registers[r.R_GET_ITEM], registers[r.R_AS_INTEGER] = GET_ITEM, AS_INTEGER
        for register, address in stages().items():
            registers[register] = address
        self.capacity = 0
        self.grow_positions(4096)
        self.grow_targets(16)
        self.grow_kinds()
        self.values = self._floats(r.R_VALUES, ZERO_FLOATS + (1 << 16))
        # Made by the first backward.
        self.gradients = np.zeros(0, np.float32)
        self.scratch = self._floats(r.R_SCRATCH, 1 << 16)

    @property
    def types(self) -> NDArray[np.int64]:
        return self.arrays[r.R_TYPES]

    @property
    def records(self) -> NDArray[np.int64]:
        return self.arrays[r.R_RECORDS]

    @property
    def lists(self) -> NDArray[np.int64]:
        return self.arrays[r.R_LISTS]

    @property
    def steps(self) -> NDArray[np.int32]:
        return self.arrays[r.R_STEPS]

    @property
    def record_of(self) -> NDArray[np.int64]:
        """Where the record of each type begins."""
        first = r.K_RECORD_OF * int(self.registers[r.R_KINDS])
        return self.types[first : first + int(self.state[p.TYPES])]

    @property
    def planned_signatures(self) -> NDArray[np.int64]:
        """The signature of each type."""
        first = r.K_SIGNATURE * int(self.registers[r.R_KINDS])
        return self.types[first : first + int(self.state[p.TYPES])]

    def _floats(self, register: int, size: int) -> NDArray[np.float32]:
        array = aligned_zeros(size)
        self.registers[register] = array.ctypes.data
        self.registers[register + 1] = size
        self.growths += 1
        return array

    def _array(self, register: int, size: int, kind: type[Any] = np.int64) -> NDArray[Any]:
        array = np.empty(size, kind)
        self.arrays[register] = array
        self.registers[register] = array.ctypes.data
        self.growths += 1
        return array

    def reset(self) -> None:
        """Ready for a new graph: an empty tape, an empty arena."""
        self.state[:] = _FRESH
        self.registers[r.R_LENGTH] = 1

    def grow_positions(self, length: int) -> None:
        """Room for a tape of this length, and for as much again."""
        used, self.capacity = min(self.capacity, length), 2 * length
        for register, kind in _KEPT.items():
            old = self.arrays.get(register)
            array = self._array(register, self.capacity, kind)
            # The zero value is at position 0: it has its place.
            array[0] = 0
            if old is not None:
                array[:used] = old[:used]
        for register, kind in _FILLED.items():
            self._array(register, self.capacity, kind)
        self.offset, self.gradient_offset = self.arrays[r.R_OFFSET], self.arrays[r.R_GRADIENT_OFFSET]
        self.mark = self.arrays[r.R_MARK]
        self.zero_rows = np.zeros(self.capacity, np.int64)
        self.registers[r.R_ZERO_ROWS] = self.zero_rows.ctypes.data
        self.registers[r.R_CAPACITY] = self.capacity
        self.moves += 1

    def grow_targets(self, count: int) -> None:
        self.targets = self._array(r.R_TARGETS, count)

    def grow_kinds(self) -> None:
        """Room for all signatures that exist, and for as many again."""
        kinds = max(2 * len(signatures), 256)
        self.registers[r.R_KINDS] = kinds
        self._array(r.R_TYPES, r.TYPE_INTEGERS * kinds)[:kinds] = -1
        self._array(r.R_PRODUCERS, min(kinds, p.MAX_TYPES) * p.WORDS)
        self.grow_plan(1 << 14, 1 << 12, 1 << 12)

    def grow_plan(self, lists: int, records: int, steps: int) -> None:
        """Room for a plan of this size, and for as much again."""
        self.moves += 1
        for register, size, kind in (
            (r.R_LISTS, lists, np.int64), (r.R_RECORDS, records, np.int64), (r.R_STEPS, steps, np.int32),
        ):  # fmt: skip
            if size > self.registers[register + 1]:
                self._array(register, 2 * size, kind)
                self.registers[register + 1] = 2 * size

    def grow_to_plan(self) -> None:
        """Room for the plan that was begun."""
        state = self.state
        steps = p.STEP * (2 * int(state[p.NODES]) + int(state[p.TYPES]))
        self.grow_plan(int(state[p.LISTS_SIZE]), int(state[p.RECORDS_SIZE]), steps)

    def grow_arenas(self, keep: bool) -> None:
        """Room for the values and the scratch memory of the present plan; `keep` the values that exist."""
        old, end, scratch = self.values, int(self.state[p.ARENA_END]), int(self.state[p.SCRATCH])
        if end > len(old):
            if not keep:
                # One at a time.
                self.values = old = old[:0]
            self.values = self._floats(r.R_VALUES, 2 * end)
            self.values[: len(old)] = old
        if scratch > len(self.scratch):
            self.scratch = self._floats(r.R_SCRATCH, 2 * scratch)

    def grow_gradients(self) -> None:
        """Room for the gradients of the present plan."""
        top = int(self.state[p.GRADIENT_TOP])
        if top > len(self.gradients):
            self.gradients = self.gradients[:0]
            self.gradients = self._floats(r.R_GRADIENTS, max(2 * top, len(self.values)))

    def prepare(self) -> None:
        """Make the registers right for all signatures and parameters that exist now."""
        registers = self.registers
        count = len(signatures)
        if count > registers[r.R_KINDS]:
            self.grow_kinds()
        kernel_table.reserve(count)
        views = len(signatures.entries) // ENTRY_FIELDS
        if r.R_NOTED not in self.arrays or views > len(self.arrays[r.R_NOTED]):
            self._array(r.R_NOTED, views)
            self._array(r.R_BLOCKS, views)
        if not registers[r.R_BIND_INNER]:
            flags = signatures.rows[self.signatures * COLUMNS + FLAGS : count * COLUMNS : COLUMNS]
            if (flags & COMPOUND).any():
                registers[r.R_BIND_INNER] = compound_stage()
        registers[r.R_ROWS] = signatures.rows.ctypes.data
        registers[r.R_ENTRIES] = signatures.entries.ctypes.data
        registers[r.R_KERNELS] = kernel_table.rows.ctypes.data
        registers[r.R_PARAMETERS] = addresses.values.ctypes.data
        registers[r.R_PARAMETER_GRADIENTS] = addresses.gradients.ctypes.data
        registers[r.R_PARAMETER_META] = addresses.meta.ctypes.data
        self.signatures, self.version = count, addresses.version
