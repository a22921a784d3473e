"""Compiling once for many graphs: they run without kernels first, to learn which opcodes they take.

A stream kernel is compiled for each new set of opcodes, which takes seconds, and a graph has several sets: forward,
backward, and others when it is larger. One kernel with all of them is what a process ends up with anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

from weft_triton.backend import TritonBackend
from weft_triton.stream import Streams


class Survey:
    """Takes the place of a backend's streams: notes the opcodes that are asked for, and runs nothing."""

    def __init__(self) -> None:
        self.opcodes: set[int] = set()

    def of(self, opcodes: frozenset[int]) -> Any:
        """A stream whose kernels do nothing."""
        self.opcodes |= opcodes
        kernel = SimpleNamespace(launch=lambda *arguments: None)
        return SimpleNamespace(level=kernel, tape=kernel)


def prepare(backend: TritonBackend, works: Iterable[Callable[[], Any]]) -> int:
    """Give the backend kernels that have all opcodes of this work; returns how many opcodes there are."""
    small, large = Survey(), Survey()
    backend._streams_of.clear()
    backend._streams, backend._large_streams = small, large  # type: ignore[assignment]
    for work in works:
        # The real run will say what is wrong.
        with suppress(Exception):
            work()
    backend._streams_of.clear()
    backend._streams = Streams(backend.options.precision)
    backend._large_streams = Streams(backend.options.precision, warps=8)
    for survey, streams in ((small, backend._streams), (large, backend._large_streams)):
        if survey.opcodes:
            streams.of(frozenset(survey.opcodes))
    return len(small.opcodes | large.opcodes)
