"""A task in Weft, trained on request; the backend is that of WEFT_BACKEND. See `trainee.py`."""

from __future__ import annotations

import argparse
import os
from typing import Any

import weft_tasks
from examples import Data
from measure import Program
from trainee import Trainee, options
from worker import Answer, serve

COUNTED = ("nodes", "levels", "launches", "large_launches", "uploads", "host_steps")
# Groups of each size that are looked at: they differ in what they need.
SURVEYED = 4


def make(data: Data, mode: str) -> Program:
    """The program of a task, with sparse updates of look-up tables."""
    program: Program = weft_tasks.program(data, mode)
    return program


def counts(loss: Any) -> dict[str, Any]:
    """Figures of the graph of one step, forward and backward; the update is not among them."""
    figures = loss.graph.execution.counts()
    return {name: figures[name] for name in COUNTED if name in figures}


class OnCpu(Trainee):
    """On the CPU backend."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        super().__init__(chosen, make, lambda: None, counts)

    def survey(self, programs: list[tuple[int, str]]) -> Answer:
        """Nothing to learn."""
        return {}


class OnDevice(Trainee):
    """On the Triton backend."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        from weft_device import device_backend

        self.backend = device_backend()
        super().__init__(chosen, make, self.backend.device.synchronize, counts)

    def survey(self, programs: list[tuple[int, str]]) -> Answer:
        """One kernel for these batches and modes."""
        from survey import prepare

        def steps() -> None:
            for batch, mode in programs:
                self.ready(batch, mode)
                for group in self.groups[:SURVEYED]:
                    self.step(group)

        return {"opcodes": prepare(self.backend, [steps])}


def main() -> None:
    chosen = options(__doc__).parse_args()
    serve((OnDevice if os.environ["WEFT_BACKEND"] == "triton" else OnCpu)(chosen).handle)


if __name__ == "__main__":
    main()
