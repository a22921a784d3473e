"""The Triton backend of this process, and what measurements ask of a graph that has run on it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from weft_core.backend import load_backend
from weft_triton.backend import TritonBackend
from weft_triton.encode import LEVEL
from weft_triton.options import Options
from weft_triton.toolchain import INTERPRETED


def device_backend(**options: str) -> TritonBackend:
    """A new backend with `options` of `weft_triton.options.Options`, or the one of the process."""
    backend = TritonBackend(Options(**options)) if options else load_backend("triton")
    assert isinstance(backend, TritonBackend)
    if INTERPRETED:
        # Interpreted programs run one after another and cannot wait for each other.
        backend.resident_programs = 1
    return backend


def repeated(work: Callable[[], object], device: Any, seconds: float) -> float:
    """Seconds of one piece of work, enqueued over and over for about so long, the device's time included."""
    times = 1
    while True:
        device.synchronize()
        start = time.perf_counter()
        for _ in range(times):
            work()
        device.synchronize()
        spent = time.perf_counter() - start
        if spent >= seconds or seconds <= 0:
            return spent / times
        times = max(2 * times, min(100 * times, round(times * 1.2 * seconds / max(spent, 1e-9))))


def replay(graph: Any, backward: bool, seconds: float) -> float:
    """Seconds that the plan which is on the device takes to run: launches, but neither planning nor encoding."""
    execution = graph.execution
    return repeated(lambda: execution.launcher.run(backward, execution._run_on_host), execution.backend.device, seconds)


def level_works(graph: Any) -> list[Callable[[], None]]:
    """A launch of each level of the plan that ran last, alone."""
    launcher, backend = graph.execution.launcher, graph.execution.backend
    levels = launcher.coder.level_table
    stream, _ = backend.streams_for(launcher.coder.opcode_key)
    return [partial(launcher._run_level, stream, levels, n) for n in range(len(levels) // LEVEL)]
