"""The Triton backend: graphs and updates on a GPU."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from weft_core.backend import Backend, Execution
from weft_core.errors import BackendError
from weft_numba.memory import Memory

from . import catalogue
from .arenas import BYTES, Arena, Arenas, Staging
from .device import DeviceMemory, open_device
from .encode import OF_LARGE
from .gradient_norm import gradient_norm
from .lowering import Templates
from .machine import TritonExecution
from .options import Options
from .residence import Residence
from .stream import Stream, Streams
from .toolchain import INTERPRETED
from .update import apply_rule, apply_rule_and_idle_steps

if TYPE_CHECKING:
    from weft_core.graph import ComputationGraph
    from weft_core.rules import RuleState, UpdateRule
    from weft_core.store import ParameterStore

# Programs of a tape for each multiprocessor: all of them must be resident.
RESIDENT_PROGRAMS = 2


class TritonBackend(Backend):
    """The compiled planner of the CPU backend, one stream kernel for a model's opcodes, parameters on the device."""

    name = "triton"
    capabilities = frozenset({"compiled", "custom-elementwise", "custom-gated"})
    # Importing the catalogue registers the opcodes.
    kernel_files = catalogue.__all__

    def __init__(self, options: Options | None = None, device: DeviceMemory | None = None) -> None:
        self.options = options or Options()
        # Graphs of all threads share one stream, one staging memory, one table of templates.
        self.lock = threading.RLock()
        self.device = device or open_device()
        self.residence = Residence(self.device)
        self.templates = Templates(self.options)
        self.staging = Staging(self.device)
        # Interpreted programs run one after another: they cannot wait for each other.
        self.resident_programs = 1 if INTERPRETED else RESIDENT_PROGRAMS * self.device.multiprocessors
        self.barrier_address = self.device.allocate(BYTES)
        self._streams = Streams(self.options.precision)
        self._large_streams = Streams(self.options.precision, warps=8)
        self._streams_of: dict[bytes, tuple[Stream, Stream | None]] = {}
        self._pool: list[tuple[Memory, Arenas]] = []
        self._arenas: list[Arenas] = []
        self._constants = Arena(self.device, "constants", self.describe_memory)
        self._constants_sent = 0

    def execution(self, graph: ComputationGraph) -> Execution:
        return TritonExecution(graph, self)

    def take(self) -> tuple[Memory, Arenas]:
        """The planner's arrays and the arenas of a graph that is gone, or new ones."""
        with self.lock:
            if self._pool:
                return self._pool.pop()
            arenas = Arenas(self.device, self.describe_memory)
            self._arenas.append(arenas)
            return Memory(), arenas

    def give_back(self, memory: Memory, arenas: Arenas) -> None:
        """A graph is gone; its memory serves the next one."""
        self._pool.append((memory, arenas))

    def describe_memory(self) -> str:
        """How many bytes every arena holds."""
        sizes: dict[str, int] = {}
        for arenas in self._arenas:
            for name, size in arenas.sizes().items():
                sizes[name] = sizes.get(name, 0) + size
        sizes |= self.residence.report()
        return ", ".join(f"{name} {size:,} bytes" for name, size in sizes.items() if size)

    @property
    def constants_address(self) -> int:
        """Where the constants of all works stand."""
        return self._constants.address

    def send_constants(self) -> None:
        """Copy the constants of works that were made since the last time."""
        used = self.templates.constants_used
        if used > self._constants_sent:
            self._constants.reserve(used, keep=0)
            self.device.upload(self._constants.address, self.templates.constants[:used])
            self.device.synchronize()
            self._constants_sent = used

    def streams_for(self, key: bytes) -> tuple[Stream, Stream | None]:
        """The kernels for the opcodes that a plan names: the stream, and the one for large products if it has any."""
        found = self._streams_of.get(key)
        if found is None:
            opcodes = np.frombuffer(key, np.int64).tolist()
            small = frozenset(n for n in opcodes if n < OF_LARGE)
            large = frozenset(n - OF_LARGE for n in opcodes if n >= OF_LARGE)
            found = self._streams.of(small), self._large_streams.of(large) if large else None
            self._streams_of[key] = found
        return found

    def update(
        self,
        rule: UpdateRule,
        state: RuleState,
        store: ParameterStore,
        settings: dict[str, float],
        scale: float,
        sparse: bool,
    ) -> None:
        with self.lock:
            apply_rule(self.residence, rule, state, store, settings, scale, sparse)

    def update_idle(
        self, rule: UpdateRule, state: RuleState, store: ParameterStore, settings: dict[str, float], scale: float
    ) -> bool:
        with self.lock:
            return apply_rule_and_idle_steps(self.residence, rule, state, store, settings, scale)

    def gradient_norm(self, store: ParameterStore) -> float:
        with self.lock:
            return gradient_norm(self.residence, store)

    def set_threads(self, threads: int) -> None:
        """Threads of the host are not used; raises `BackendError` for more than one."""
        if threads != 1:
            raise BackendError(f"the Triton backend runs on the GPU, {threads} threads of the CPU would do nothing")
