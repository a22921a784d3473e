"""What the parts of the session share: their options, and the records that they print for the command to keep.

A record is a dictionary with `part` and `id`; a later one with the same two replaces it.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# The start of a line of output that is a record.
MARK = "\x1e"
TASKS = ("tagger", "tree", "chars", "lm")


@dataclass(frozen=True)
class Chosen:
    """The options of a part; `seconds` is the time after which it begins nothing new."""

    quick: bool
    rehearse: bool
    tasks: list[str]
    seconds: float
    data: Path
    started: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds left."""
        return self.seconds - (time.monotonic() - self.started)

    @property
    def device(self) -> str:
        """Where PyTorch computes."""
        return "cpu" if self.rehearse else "cuda"

    def pick(self, full: Any, quick: Any, rehearsal: Any) -> Any:
        """One of three, by how much time there is."""
        return rehearsal if self.rehearse else quick if self.quick else full


def chosen(description: str | None) -> Chosen:
    """Read the options of a part."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rehearse", action="store_true")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--data", type=Path, required=True, help="folder of the tasks' data")
    return Chosen(**vars(parser.parse_args()))


def record(part: str, id: str, **figures: Any) -> None:
    """Hand a record to the command."""
    print(MARK + json.dumps({"part": part, "id": id, **figures}), flush=True)


def left_out(part: str, what: str, why: str) -> None:
    """Say what was not done; the report lists it."""
    record("left out", f"{part}: {what}", why=why)
    print(f"  left out: {what} ({why})", flush=True)
