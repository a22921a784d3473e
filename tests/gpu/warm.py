"""Makes the tasks' data, and compiles once what every later process then finds on disk."""

from __future__ import annotations

import time
from typing import Any

import data
from part import TASKS, chosen, record
from task_data import write_tiny
from worker import Worker

WORK: dict[str, dict[str, Any]] = {
    "numba": {"do": "losses", "count": 1, "batch": 1, "mode": "cells"},
    "triton": {"do": "survey", "programs": [(1, "cells")]},
}


def main() -> None:
    options = chosen(__doc__)
    start = time.monotonic()
    if options.rehearse:
        write_tiny(options.data)
        return
    data.prepare(options.data)
    made = time.monotonic() - start
    print(f"data in {made:.0f} s\n{data.figures(options.data)}", flush=True)
    # One after another: two would compile the same twice. Of the GPU's backend it is the planner, not the kernels.
    for backend, request in WORK.items():
        since = time.monotonic()
        for task in TASKS[:2]:
            worker = Worker("trainee_weft.py", "--data", str(options.data), "--task", task, WEFT_BACKEND=backend)
            worker.ask(options.seconds, **request)
            worker.stop()
        seconds = time.monotonic() - since
        record("warm", backend, seconds=seconds)
        print(f"compiled code of the {backend} backend ready in {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
