"""One graph's encoder: its arrays, grown before the compiled call that fills them, and what it found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from weft_core import plan as p
from weft_core.signature import signatures
from weft_core.store import addresses
from weft_numba import registers as r
from weft_numba.memory import Memory

from . import encode as e
from .fill import clear_gradients
from .lowering import Templates

if TYPE_CHECKING:
    from .arenas import Buffer, Staging
    from .residence import Residence


class Coder:
    """Writes plans as device instructions into a staging buffer."""

    def __init__(self, memory: Memory, templates: Templates, residence: Residence, staging: Staging) -> None:
        self.memory, self.templates, self.residence, self.staging = memory, templates, residence, staging
        self.job = np.zeros(e.REGISTERS, np.int64)
        self.job[e.E_FILL_OPCODE] = clear_gradients.opcode
        self.arrays: dict[int, NDArray[np.generic]] = {}
        self.buffer: Buffer | None = None
        self.levels = np.zeros(e.LEVEL << 8, np.int32)
        self.host = np.zeros(64, np.int32)
        self.opcodes = np.zeros(256, np.int64)

    def encode(self, backward: bool, seed: int, data: int, again: bool, values: int, gradients: int) -> None:
        """Write the present plan; `again`: its lists are in the buffer already, the new words go behind them.

        `values` and `gradients` are addresses of arenas that have room for the plan.
        """
        job = self.job
        if self.buffer is None:
            self.buffer = self.staging.take()
        if not again:
            job[e.E_LISTS_AT] = 0
            if self.buffer.last > self.staging.reached:
                self._exchange()
        job[e.E_SEED], job[e.E_DATA_SIZE] = seed, data
        job[e.E_VALUES], job[e.E_GRADIENTS] = values, gradients
        self._make_room()
        address = job.ctypes.data
        while (status := e.encode(self.memory.address, address, backward)) != e.DONE:
            if status == e.NEED_TEMPLATE:
                self._lower(int(job[e.E_TYPE]))
            elif status == e.NEED_PARAMETER:
                self.residence.require([int(job[e.E_TYPE])])
            elif status == e.NEED_LEVELS:
                self.levels = np.zeros(2 * e.LEVEL * int(job[e.E_LEVEL_COUNT]), np.int32)
            else:
                self.staging.grow(self.buffer, int(job[e.E_NEEDED]))
            self._make_room()

    def _exchange(self) -> None:
        """Another buffer, while a copy from this one may still go on."""
        assert self.buffer is not None
        self.buffer.taken = False
        self.buffer = self.staging.take()

    def _make_room(self) -> None:
        """Registers for arrays as large as the plan may need."""
        job, memory, templates = self.job, self.memory, self.templates
        assert self.buffer is not None
        state = memory.state
        positions, types, steps = memory.capacity, int(state[p.TYPES]), int(state[p.STEPS])
        for register in (e.E_POSITION_OF, e.E_ROOT, e.E_USES, e.E_LEVEL, e.E_DONE):
            self._array(register, positions, np.int32)
        self._array(e.E_STEP_LEVEL, steps, np.int32)
        for register in (e.E_FIRST, e.E_TEMPLATE_OF, e.E_TYPE_STEPS):
            self._array(register, types, np.int64)
        for register in (e.E_PARAMETER_USES, e.E_PARAMETER_SLOT):
            self._array(register, len(addresses.values), np.int32)
        if self._array(e.E_HEADS, templates.table_rows, np.int32):
            self.arrays[e.E_HEADS].fill(-1)
        if 2 * steps > len(self.host):
            self.host = np.zeros(4 * steps, np.int32)
        if len(self.opcodes) < 16 * types + 16:
            self.opcodes = np.zeros(32 * types + 32, np.int64)
        for register, array in (
            (e.E_WORDS, self.buffer.words), (e.E_TEMPLATES, templates.words), (e.E_INDEX, templates.index),
            (e.E_LEVELS, self.levels), (e.E_HOST, self.host), (e.E_OPCODES, self.opcodes),
            (e.E_RESIDENT, self.residence.table),
        ):  # fmt: skip
            job[register] = array.ctypes.data
        job[e.E_CAPACITY], job[e.E_INDEX_SIZE] = len(self.buffer.words), len(templates.index)
        job[e.E_LEVELS_SIZE] = len(self.levels)

    def _array(self, register: int, size: int, kind: type[np.generic]) -> bool:
        """Room for so many numbers; whether it is new."""
        known = self.arrays.get(register)
        if known is not None and len(known) >= size:
            return False
        array = self.arrays[register] = np.zeros(2 * size + 16, kind)
        self.job[register] = array.ctypes.data
        return True

    def _lower(self, number: int) -> None:
        """Make the template of a type of the plan."""
        memory = self.memory
        record = int(memory.record_of[number])
        records = memory.records
        signature = signatures[int(records[record + p.T_SIGNATURE])]
        views = int(records[record + p.T_RESULTS] + records[record + p.T_OPERANDS] + records[record + p.T_PARAMETERS])
        address = memory.address
        bits = [int(e.describe_view(address, record, k)) for k in range(views)]
        external, needs, aligned = ([bool(b & bit) for b in bits] for bit in (4, 2, 1))
        self.templates.add(signature, int(e.key_of(address, record)), external, needs, aligned)

    def head(self, seed: int, stream: int) -> None:
        """Write the words at the start of a plan: what random numbers are made from."""
        assert self.buffer is not None
        self.buffer.words[:4].view(np.uint64)[:] = seed & (1 << 64) - 1, stream & (1 << 64) - 1

    def release(self) -> None:
        """The graph is gone; its buffer may serve another one."""
        if self.buffer is not None:
            self.buffer.taken = False
            self.buffer = None

    @property
    def level_table(self) -> list[int]:
        """`encode.LEVEL` numbers for each level."""
        return self.levels[: e.LEVEL * int(self.job[e.E_LEVEL_COUNT])].tolist()

    @property
    def opcode_key(self) -> bytes:
        """The opcodes of the plan in the order in which it names them."""
        return self.opcodes[: int(self.job[e.E_OPCODE_COUNT])].tobytes()

    @property
    def step_levels(self) -> list[int]:
        """The level at which each step begins."""
        return self.arrays[e.E_STEP_LEVEL].tolist()

    def rewrite_addresses(self) -> tuple[int, int]:
        """Parameters have moved: write the table of addresses anew; returns where it stands."""
        e.rewrite_addresses(self.memory.address, self.job.ctypes.data)
        return int(self.job[e.E_BASES_AT]), int(self.job[e.E_CODE_AT])

    @property
    def host_steps(self) -> dict[int, list[int]]:
        """Steps that the reference runs, by level."""
        steps: dict[int, list[int]] = {}
        for level, s in self.host[: 2 * int(self.job[e.E_HOST_COUNT])].reshape(-1, 2).tolist():
            steps.setdefault(level, []).append(s)
        return steps


def parameters_of(memory: Memory) -> list[int]:
    """Ids of all parameters that the present plan reads."""
    found: dict[int, None] = {}
    for record in memory.record_of.tolist():
        header = memory.records[record : record + p.HEADER]
        views = int(header[p.T_RESULTS] + header[p.T_OPERANDS] + header[p.T_PARAMETERS])
        for k in range(views):
            parameter = int(memory.records[record + p.HEADER + k * p.VIEW + p.V_PARAMETER])
            if parameter >= 0:
                found[parameter] = None
    return list(found)


def stream_of(memory: Memory) -> int:
    """The random stream that the registers name."""
    return int(memory.registers[r.R_STREAM])
