"""Graphs that compute each instruction once it is recorded, and may check its values: slow, for finding errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import InvalidValue, program_line
from .graph import ComputationGraph
from .signature import signatures

if TYPE_CHECKING:
    from .backend import Backend


class CheckedGraph(ComputationGraph):
    """A graph that computes what was recorded before it records more; the last instruction when a value is asked for.

    With `check_validity`, raises `InvalidValue` when a value is infinite or undefined, with the line that recorded it.
    """

    __slots__ = ("_busy", "_check_validity", "_code", "_done", "_lines")

    def __init__(
        self,
        autobatch: bool | None = None,
        backend: Backend | None = None,
        *,
        inference: bool = False,
        check_validity: bool = False,
    ) -> None:
        self._code: list[int]
        self._busy = True
        self._check_validity = check_validity
        self._done = 1
        # Where the program recorded an instruction, by its position on the tape.
        self._lines: dict[int, str] = {}
        super().__init__(autobatch, backend, inference=inference)
        self._busy = False

    @property
    def code(self) -> list[int]:
        """The tape. Whoever takes it in order to record gets it after what is there was computed."""
        if not self._busy:
            self._catch_up()
            self._lines[len(self._code)] = program_line()
        return self._code

    @code.setter
    def code(self, code: list[int]) -> None:
        self._code = code

    @property
    def is_stale(self) -> bool:
        return not isinstance(self._code, list)

    def _catch_up(self) -> None:
        """Compute, and perhaps check, the instructions that are complete."""
        if self.is_stale or self._done == len(self._code):
            return
        self._busy = True
        try:
            start, self._done = self._done, len(self._code)
            line = "an unknown line"
            while start < self._done:
                # A sequence is recorded in one go, at the line of its first instruction.
                line = self._lines.get(start, line)
                signature = signatures[self._code[start]]
                for k, shape in enumerate(signature.results):
                    super().forward((start + k,))
                    if self._check_validity and not np.isfinite(self.execution.value(start + k, shape)).all():
                        raise InvalidValue(
                            f"NaN or Inf detected in the value {shape} of {signature.operation.name}, recorded at "
                            f"{line}; look at its operands, or at the parameters after the last update"
                        )
                start += signature.length
        finally:
            self._busy = False

    def _without_recording(self, method: str, *arguments: Any) -> Any:
        """Call a method of the base that reads the tape and does not record."""
        self._catch_up()
        self._busy = True
        try:
            return getattr(super(), method)(*arguments)
        finally:
            self._busy = False

    def close(self) -> None:
        self._busy = True
        super().close()

    def check(self, index: int) -> None:
        self._without_recording("check", index)

    def forward(self, indices: Any, recalculate: bool = False) -> None:
        self._without_recording("forward", indices, recalculate)

    def backward(self, index: int, full: bool = False) -> None:
        self._without_recording("backward", index, full)

    def invalidate(self) -> None:
        super().invalidate()
        self._done = 1

    def rewrite(self, position: int, number: int) -> None:
        self._without_recording("rewrite", position, number)

    def checkpoint(self) -> None:
        self._without_recording("checkpoint")

    def revert(self) -> None:
        self._without_recording("revert")
