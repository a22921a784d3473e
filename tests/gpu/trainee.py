"""A task in one toolkit, trained on request; the inner side of `training.py` and of `losses.py`."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from examples import Data, Example
from measure import PHASES, Program, units
from task_data import sized
from timed import Timed
from worker import Answer

# Every round trains on the same groups, whoever is measured.
MOST_GROUPS = 64
DETAILED = 5


def options(description: str | None) -> argparse.ArgumentParser:
    """The options of every trainee."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, required=True, help="folder of the tasks' data")
    parser.add_argument("--task", required=True)
    parser.add_argument("--hidden", type=int, default=0, help="0: as stored")
    parser.add_argument("--brief", action="store_true", help="train on one group only")
    return parser


class Trainee(Timed):
    """`make(data, mode)` builds the program; `counts` are figures of the graph of a loss."""

    def __init__(
        self, chosen: argparse.Namespace, make: Callable[[Data, str], Program], synchronize: Callable[[], Any],
        counts: Callable[[Any], dict[str, Any]] = lambda loss: {},
    ) -> None:  # fmt: skip
        self.folder, self.task, self.hidden, self.brief = chosen.data, chosen.task, chosen.hidden, chosen.brief
        self.make, self.synchronize, self.counts = make, synchronize, counts
        self.program: Program
        self.groups: list[list[Example]] = []
        self.first_loss = 0.0

    def ready(self, batch: int, mode: str) -> None:
        """A new program, and groups of `batch` examples."""
        data = sized(self.folder, self.task, self.hidden)
        batch = min(batch, len(data.examples))
        every = data.groups(batch)
        self.pieces = max(4, min(MOST_GROUPS, 256 // batch, len(data.examples) // batch)) if not self.brief else 1
        self.groups = [next(every) for _ in range(self.pieces)]
        self.program = self.make(data, mode)
        self.first_loss = 0.0

    def once(self, n: int) -> int:
        """A step of training."""
        group = self.groups[n % self.pieces]
        loss = self.step(group)
        self.first_loss = self.first_loss or loss / units(self.task, group)
        return units(self.task, group)

    def step(self, group: list[Example]) -> float:
        """The loss of a group before the program was trained on it."""
        loss = self.program.build(group)
        value = self.program.forward(loss)
        self.program.backward(loss)
        self.program.update()
        return value

    def prepare(self, *_: Any, **settings: Any) -> Answer:
        """Also the loss a unit before any training: that of all toolkits must agree."""
        return super().prepare(**settings) | {"first_loss": self.first_loss}

    def details(self) -> Answer:
        """Microseconds a unit of each phase, the device waited for after each; launches and levels of a step."""
        spent: dict[str, list[float]] = {phase: [] for phase in PHASES}
        counts: list[dict[str, Any]] = []
        for group in self.groups[:DETAILED]:
            loss: Any = None
            for phase in PHASES:
                start = time.perf_counter()
                if phase == "build":
                    loss = self.program.build(group)
                elif phase == "update":
                    self.program.update()
                else:
                    getattr(self.program, phase)(loss)
                self.synchronize()
                spent[phase].append(1e6 * (time.perf_counter() - start) / units(self.task, group))
                if phase == "backward":
                    counts.append(self.counts(loss))
        split = {phase: statistics.median(seconds) for phase, seconds in spent.items()}
        return {"split_us": split, "counts": {what: statistics.median(c[what] for c in counts) for what in counts[0]}}

    def losses(self, count: int, batch: int, mode: str) -> Answer:
        """Losses of `count` examples in groups of `batch`, each after training on those before it."""
        data = sized(self.folder, self.task, self.hidden)
        self.program = self.make(data, mode)
        groups = data.groups(batch)
        return {"losses": [self.step(next(groups)) for _ in range(count // batch)]}
