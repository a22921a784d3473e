"""Contestants measured in turns: each in a process of its own, warmed up first, medians of several rounds."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Mapping
from typing import Any

from part import Chosen
from worker import Lost, Worker

Settings = dict[str, Any]
# Compiling the kernels of a new model included.
PREPARE_SECONDS = 150.0
ROUNDS = 3
# Somebody whose step takes longer than this is not measured; who takes less, may have fewer rounds.
SLOWEST_STEP, MOST_SECONDS = 20.0, 6.0


def compete(
    contestants: Mapping[str, Worker], settings: Mapping[str, Settings], seconds: float, options: Chosen
) -> dict[str, dict[str, Any]]:
    """Figures of everyone who has settings: `rate` (median of units a second) and `spread`; or `lost`, why there is no
    rate, or `slow`, why it was not measured.

    `seconds`: of one round of one contestant.
    """
    found: dict[str, dict[str, Any]] = {name: {} for name in settings}
    _together(contestants, settings, found)
    running = {name: figures["step_seconds"] for name, figures in found.items() if "lost" not in figures}
    for name in [name for name, step in running.items() if step > SLOWEST_STEP]:
        found[name]["slow"] = f"one step takes {running.pop(name):.0f} s"
    rates: dict[str, list[float]] = {name: [] for name in running}
    rounds = ROUNDS if not options.rehearse else 1
    for turn in range(rounds):
        for name, step in running.items():
            if "lost" in found[name] or turn * max(step, seconds) > MOST_SECONDS:
                continue
            try:
                answer = contestants[name].ask(60 + 5 * step, do="measure", seconds=seconds, first=turn)
            except Lost as lost:
                found[name]["lost"] = str(lost)
            else:
                rates[name].append(answer["units"] / answer["seconds"])
    for name, several in rates.items():
        figures = found[name]
        if several:
            middle = statistics.median(several)
            figures |= {"rate": middle, "spread": (max(several) - min(several)) / middle, "rounds": len(several)}
        if "lost" not in figures:
            try:
                figures |= contestants[name].ask(60 + 10 * running[name], do="details")
            except Lost as lost:
                figures["lost"] = str(lost)
    return found


def _together(
    contestants: Mapping[str, Worker], settings: Mapping[str, Settings], found: Mapping[str, dict[str, Any]]
) -> None:
    """Everyone starts, loads and compiles at the same time: it is waiting for compilers, mostly."""

    def prepare(name: str) -> None:
        try:
            found[name].update(contestants[name].ask(PREPARE_SECONDS, do="prepare", **settings[name]))
        except Lost as lost:
            found[name]["lost"] = str(lost)

    threads = [threading.Thread(target=prepare, args=(name,)) for name in settings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
