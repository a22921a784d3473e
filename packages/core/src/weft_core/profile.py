"""Where the time of graphs goes: seconds of every kind of step, forward and backward, and of planning."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from .settings import settings

if TYPE_CHECKING:
    from .signature import Signature

FORWARD, BACKWARD = "FWD", "BWD"


@dataclass
class Line:
    """One kind of work: steps that ran, instructions in them, seconds."""

    steps: int = 0
    instructions: int = 0
    seconds: float = 0.0


class Profile:
    """Times every step of every graph while it is on, in whatever thread: `with Profile() as profile:`, then print it.

    Steps run one by one then, so a profiled program is slower by a few microseconds a step. Times are of the process's
    steps themselves; planning and reading the tape have a line of their own, recording and updates have none.
    """

    def __init__(self) -> None:
        self.lines: dict[tuple[str, str], Line] = {}

    def start(self) -> Profile:
        """Time what runs from here on; another profile that is on stops."""
        settings.profile = self
        return self

    def stop(self) -> Profile:
        """Time no longer; what was timed stays."""
        if settings.profile is self:
            settings.profile = None
        return self

    def __enter__(self) -> Profile:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def add(self, direction: str, kind: Signature | str, instructions: int, since: float) -> float:
        """Note a step that began at `since` (`perf_counter()`) and ends now; returns the time now."""
        now = perf_counter()
        line = self.lines.setdefault((direction, kind if isinstance(kind, str) else kind_of(kind)), Line())
        line.steps += 1
        line.instructions += instructions
        line.seconds += now - since
        return now

    def total(self) -> float:
        """Seconds of all lines."""
        return sum(line.seconds for line in self.lines.values())

    def table(self) -> str:
        """One line for each kind of work, the longest first: milliseconds, share, steps, instructions, kind."""
        total = self.total()
        rows = [f"{'ms':>10} {'share':>7} {'steps':>8} {'nodes':>9}  what"]
        for (direction, kind), line in sorted(self.lines.items(), key=lambda item: -item[1].seconds):
            share = line.seconds / total if total else 0.0
            rows.append(
                f"{1e3 * line.seconds:10.3f} {share:7.1%} {line.steps:8} {line.instructions:9}  {direction} {kind}"
            )
        rows.append(f"{1e3 * total:10.3f} {1:7.1%}  total")
        return "\n".join(rows)

    def __str__(self) -> str:
        return self.table()


def kind_of(signature: Signature) -> str:
    """Operation, shapes of operands and results."""
    operands = ", ".join(map(str, signature.operands + signature.parameters))
    results = ", ".join(map(str, signature.results))
    return f"{signature.operation.name}({operands}) -> {results}"
