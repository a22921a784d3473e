"""A task in Weft, trained on request; the backend is that of WEFT_BACKEND. See `trainee.py`."""

from __future__ import annotations

import os
from typing import Any

import weft_tasks
from examples import Data
from measure import Program
from trainee import Trainee, options
from worker import serve

COUNTED = ("nodes", "levels", "launches", "large_launches", "uploads", "host_steps")


def make(data: Data, mode: str) -> Program:
    """The program of a task, with sparse updates of look-up tables."""
    program: Program = weft_tasks.program(data, mode)
    return program


def counts(loss: Any) -> dict[str, Any]:
    """Figures of the graph of one step, forward and backward; the update is not among them."""
    figures = loss.graph.execution.counts()
    return {name: figures[name] for name in COUNTED if name in figures}


def main() -> None:
    synchronize: Any = lambda: None  # noqa: E731
    if os.environ["WEFT_BACKEND"] == "triton":
        from weft_device import device_backend

        synchronize = device_backend().device.synchronize
    serve(Trainee(options(__doc__).parse_args(), make, synchronize, counts).handle)


if __name__ == "__main__":
    main()
