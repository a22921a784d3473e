"""Compiling for many graphs at once: rows of the kit run without kernels to learn which opcodes they take.

A stream kernel is compiled for each new set of opcodes, which takes seconds, and a row of the kit has several sets. With
one kernel that has the opcodes of a group of rows, the group compiles once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any

from weft_testing import running
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


def _nothing(*arguments: object, **more: object) -> None:
    pass


@contextmanager
def without_comparisons() -> Iterator[None]:
    """What was not computed cannot be compared.

    Whoever has imported the kit's comparisons has the functions themselves: only their code is exchanged everywhere.
    """
    functions: list[Any] = [running.compare, running.require]
    before = [function.__code__ for function in functions]
    for function in functions:
        function.__code__ = _nothing.__code__
    try:
        yield
    finally:
        for function, code in zip(functions, before, strict=True):
            function.__code__ = code


def prepare(backend: TritonBackend, checks: Iterable[Callable[[Any], None]]) -> int:
    """Give the backend kernels that have all opcodes of these checks; returns how many opcodes there are."""
    small, large = Survey(), Survey()
    backend._streams_of.clear()
    backend._streams, backend._large_streams = small, large  # type: ignore[assignment]
    with without_comparisons():
        for check in checks:
            # The real run will say what is wrong.
            with suppress(Exception):
                check(backend)
    backend._streams_of.clear()
    backend._streams = Streams(backend.options.precision)
    backend._large_streams = Streams(backend.options.precision, warps=8)
    for survey, streams in ((small, backend._streams), (large, backend._large_streams)):
        if survey.opcodes:
            streams.of(frozenset(survey.opcodes))
    return len(small.opcodes | large.opcodes)
