"""The first training step of a process, part by part; what is measured stands in `cold.py`."""

from __future__ import annotations

import time

from examples import load
from peer import chosen as read_settings
from peer import give

START = time.perf_counter()


def main() -> None:
    import weft_tasks  # imports Weft: timed

    clock = time.perf_counter
    imported = clock()
    settings = read_settings()
    data = load(settings.data, settings.task)
    groups = data.groups(settings.batch)
    group = next(groups)
    t0 = clock()
    mode = settings.variant or "cells"
    program = weft_tasks.program(data, "gates" if mode == "vanilla" and settings.task == "tree" else mode)
    t1 = clock()
    seconds = []
    for _ in range(3):
        begin = clock()
        loss = program.build(group)
        program.forward(loss)
        program.backward(loss)
        program.update()
        seconds.append(clock() - begin)
    give(
        {
            "import": imported - START,
            "create": t1 - t0,
            "first step": seconds[0],
            "later step": min(seconds[1:]),
            "compiling": t1 - t0 + seconds[0] - min(seconds[1:]),
        }
    )


if __name__ == "__main__":
    main()
