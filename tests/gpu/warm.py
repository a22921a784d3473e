"""Makes the tasks' data, and compiles once what every later process then finds on disk."""

from __future__ import annotations

import time

import data
from part import TASKS, chosen, record
from task_data import write_tiny
from worker import Worker


def main() -> None:
    options = chosen(__doc__)
    start = time.monotonic()
    if options.rehearse:
        write_tiny(options.data)
        return
    data.prepare(options.data)
    made = time.monotonic() - start
    print(f"data in {made:.0f} s\n{data.figures(options.data)}", flush=True)
    # One after another: two would compile the same twice.
    for backend in ("numba", "triton"):
        since = time.monotonic()
        for task in TASKS[:2]:
            worker = Worker("trainee_weft.py", "--data", str(options.data), "--task", task, WEFT_BACKEND=backend)
            worker.ask(options.seconds, do="losses", count=1, batch=1, mode="cells")
            worker.stop()
        seconds = time.monotonic() - since
        record("warm", backend, seconds=seconds)
        print(f"kernels of the {backend} backend compiled in {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
