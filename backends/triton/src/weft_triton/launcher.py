"""Launching an encoded plan: a launch for each level, or one for every run of levels that needs nothing else."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from weft_core import plan as p
from weft_core.profile import BACKWARD, FORWARD
from weft_core.settings import settings
from weft_core.signature import Signature, signatures

from . import encode as e
from .arenas import BYTES
from .barrier import GIVEN_UP
from .errors import DeviceError
from .stream import Stream

if TYPE_CHECKING:
    from .arenas import Arenas
    from .backend import TritonBackend
    from .coder import Coder

RunOnHost = Callable[[int, bool], None]


class Launcher:
    """Runs what a coder has written, on the arenas of its graph."""

    def __init__(self, backend: TritonBackend, arenas: Arenas, coder: Coder) -> None:
        self.backend = backend
        self.arenas = arenas
        self.coder = coder
        self.counts = {"levels": 0, "launches": 0, "large_launches": 0, "host_steps": 0, "uploads": 0}
        self._large: Stream | None = None
        self._met = False

    def send(self, again: bool) -> None:
        """One copy takes the words to the device; those of the plan that are there stay."""
        coder, arenas, staging = self.coder, self.arenas, self.backend.staging
        assert coder.buffer is not None
        end = int(coder.job[e.E_END])
        first = int(coder.job[e.E_BASES_AT]) if again else 0
        if arenas.plan.reserve(end, keep=0):
            first = 0
        staging.send(coder.buffer, first, end, arenas.plan.address)
        self.counts["uploads"] += 1
        self.backend.send_constants()

    def run(self, backward: bool, run_on_host: RunOnHost) -> None:
        """Run all levels in order."""
        coder, backend = self.coder, self.backend
        levels, hosts = coder.level_table, coder.host_steps
        stream, self._large = backend.streams_for(coder.opcode_key)
        self.counts["levels"] += len(levels) // e.LEVEL
        if settings.profile is not None:
            self._run_timed(stream, levels, hosts, backward, run_on_host)
        elif backend.options.mode == "tape":
            self._run_tape(stream, levels, hosts, backward, run_on_host)
        else:
            for n in range(len(levels) // e.LEVEL):
                self._run_level(stream, levels, n)
                for s in hosts.get(n, ()):
                    self._host(run_on_host, s, backward)

    def _run_level(self, stream: Stream, levels: list[int], n: int) -> None:
        """Both kernels of one level, as far as they have tiles."""
        job = self.coder.job
        first, count, large_first, large_count = levels[n * e.LEVEL : n * e.LEVEL + 4]
        places = *self._places(), int(job[e.E_TILES_AT])
        # A program for each tile: what a loop over tiles would keep in registers is theirs.
        if count:
            stream.level.launch(count, *places, first)
            self.counts["launches"] += 1
        if large_count:
            assert self._large is not None
            self._large.level.launch(large_count, *places, large_first)
            self.counts["large_launches"] += 1

    def _places(self) -> tuple[int, int, int]:
        """Addresses of the plan, of its table of addresses, and of the constants."""
        plan = self.arenas.plan.address
        return plan, plan + BYTES * int(self.coder.job[e.E_BASES_AT]), self.backend.constants_address

    def _run_tape(
        self, stream: Stream, levels: list[int], hosts: dict[int, list[int]], backward: bool, run_on_host: RunOnHost
    ) -> None:
        """One cooperative launch for levels that follow each other without large products and steps of the host."""
        end = len(levels) // e.LEVEL
        n = 0
        while n < end:
            stop = n
            while stop < end and not levels[stop * e.LEVEL + e.L_LARGE_COUNT] and stop not in hosts:
                stop += 1
            if stop - n > 1:
                self._launch_tape(stream, n, stop - n, max(levels[k * e.LEVEL + e.L_COUNT] for k in range(n, stop)))
                n = stop
                continue
            self._run_level(stream, levels, n)
            for s in hosts.get(n, ()):
                self._host(run_on_host, s, backward)
            n += 1

    def _launch_tape(self, stream: Stream, first: int, levels: int, tiles: int) -> None:
        job, backend = self.coder.job, self.backend
        programs = max(1, min(tiles, backend.resident_programs))
        backend.device.clear(backend.barrier_address, BYTES)
        places = *self._places(), int(job[e.E_TILES_AT]), int(job[e.E_LEVELS_AT])
        stream.tape.launch(programs, *places, first, levels, backend.barrier_address, programs, 0)
        self.counts["launches"] += 1
        self._met = True

    def check(self) -> None:
        """Raise `DeviceError` when programs of the last tape have given up waiting for each other."""
        if not self._met:
            return
        self._met = False
        count = np.zeros(1, np.int32)
        self.backend.device.download(count, self.backend.barrier_address)
        if count[0] & GIVEN_UP:
            raise DeviceError(
                "programs of a tape waited too long for each other, and its results are wrong; use "
                "WEFT_TRITON_MODE=levels, which has no barrier, and report this with the name of the device"
            )

    def _host(self, run_on_host: RunOnHost, s: int, backward: bool) -> None:
        run_on_host(s, backward)
        self.counts["host_steps"] += 1
        assert self.coder.buffer is not None
        self.backend.staging.send(self.coder.buffer, *self.coder.rewrite_addresses(), self.arenas.plan.address)

    def _run_timed(
        self, stream: Stream, levels: list[int], hosts: dict[int, list[int]], backward: bool, run_on_host: RunOnHost
    ) -> None:
        """Level by level, each waited for; steps of one level share its time."""
        direction = BACKWARD if backward else FORWARD
        profile, device, memory = settings.profile, self.backend.device, self.coder.memory
        assert profile is not None
        by_level: dict[int, list[tuple[Signature, int]]] = {}
        starts = self.coder.step_levels
        for s in range(int(memory.state[p.STEPS])):
            t, _, count, whole = memory.steps[s * p.STEP : (s + 1) * p.STEP].tolist()
            record = int(memory.record_of[t])
            if not backward or memory.records[record + p.T_NEEDS]:
                signature = signatures[int(memory.records[record + p.T_SIGNATURE])]
                by_level.setdefault(int(starts[s]), []).append((signature, 0 if whole else count))
        kinds: list[tuple[Signature, int]] = []
        for n in range(len(levels) // e.LEVEL):
            since = perf_counter()
            self._run_level(stream, levels, n)
            device.synchronize()
            ended = perf_counter()
            kinds = by_level.get(n, kinds)
            if not kinds:
                profile.add(direction, "clear gradients", 0, since)
            for signature, count in kinds:
                profile.add(direction, signature, count, perf_counter() - (ended - since) / len(kinds))
            kinds = [(signature, 0) for signature, _ in kinds]
            for s in hosts.get(n, ()):
                since = perf_counter()
                self._host(run_on_host, s, backward)
                t = int(memory.steps[s * p.STEP + p.S_TYPE])
                signature = signatures[int(memory.records[int(memory.record_of[t]) + p.T_SIGNATURE])]
                profile.add(direction, f"{signature.operation.name} on the host", 0, since)
