"""The training loop that every peer runs: a fixed number of examples for the loss, then timed training."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples import TASKS, Data, Example
from peer import pin

PHASES = ("build", "forward", "backward", "update")
PLANNING_GROUPS = 10


@dataclass
class Settings:
    """What one run measures; the fields are the options of every peer's command line."""

    data: Path
    task: str
    batch: int
    mode: str
    update: str
    seconds: float
    loss_examples: int


class Program:
    """One task in one toolkit: the four phases of a training step."""

    def build(self, group: list[Example]) -> Any:
        """Records the graph of one group and returns its loss."""
        raise NotImplementedError

    def forward(self, loss: Any) -> float:
        raise NotImplementedError

    def backward(self, loss: Any) -> None:
        raise NotImplementedError

    def update(self) -> None:
        raise NotImplementedError

    def forward_again(self, loss: Any) -> bool:
        """Forward without planning, of a graph that has been computed; False where a toolkit has no such thing."""
        return False


def settings(modes: Sequence[str]) -> Settings:
    """Reads the command line of a peer that knows `modes`; pins the process to a core where it can."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True, help="folder written by data.py")
    parser.add_argument("--task", choices=TASKS, required=True)
    parser.add_argument("--batch", type=int, default=1, help="examples per graph")
    parser.add_argument("--mode", choices=modes, default=modes[0])
    parser.add_argument("--update", choices=("sparse", "dense"), default="sparse", help="of look-up tables")
    parser.add_argument("--seconds", type=float, default=3.0, help="timed training after the loss is taken")
    parser.add_argument("--loss-examples", type=int, default=256)
    chosen = Settings(**vars(parser.parse_args()))
    pin()
    return chosen


def units(task: str, group: list[Example]) -> int:
    """Predicted words of a language model, tagged words, or tree nodes: all are the length of `words`."""
    return sum(len(example.words) for example in group)


def run(peer: str, program: Program, data: Data, chosen: Settings) -> None:
    """Trains, and prints one line of JSON with the loss, the speed and the time of each phase per unit."""
    groups = data.groups(chosen.batch)
    total, seen, seen_units = 0.0, 0, 0
    while seen < chosen.loss_examples:
        group = next(groups)
        total += _step(program, group, [0.0] * 4)
        seen += len(group)
        seen_units += units(chosen.task, group)
    spent, trained = [0.0] * 4, 0
    while sum(spent) < chosen.seconds:
        group = next(groups)
        _step(program, group, spent)
        trained += units(chosen.task, group)
    speed = trained / sum(spent) if trained else 0.0
    planning = _planning(program, [next(groups) for _ in range(PLANNING_GROUPS)], chosen.task) if trained else 0.0
    result = {
        "peer": peer,
        "task": chosen.task,
        "batch": chosen.batch,
        "mode": chosen.mode,
        "update": chosen.update,
        "units_per_s": speed,
        "gflops": 6e-9 * data.multiply_adds() * speed,  # 2 per multiply-add, thrice for training
        "units": trained,
        "loss_examples": seen,
        "loss_total": total,
        "loss_mean": total / seen,
        "loss_per_unit": total / seen_units,
        "split_us": {phase: 1e6 * t / max(trained, 1) for phase, t in zip(PHASES, spent)},
        "planning_us": planning,
    }
    print(json.dumps(result), flush=True)


def _step(program: Program, group: list[Example], spent: list[float]) -> float:
    clock = time.perf_counter
    t0 = clock()
    loss = program.build(group)
    t1 = clock()
    value = program.forward(loss)
    t2 = clock()
    program.backward(loss)
    t3 = clock()
    program.update()
    t4 = clock()
    for phase, seconds in enumerate((t1 - t0, t2 - t1, t3 - t2, t4 - t3)):
        spent[phase] += seconds
    return value


def _planning(program: Program, groups: list[list[Example]], task: str) -> float:
    """Microseconds a unit that a first forward takes beyond one that needs no planning; it is part of `forward`."""
    clock = time.perf_counter
    costs = []
    for group in groups:
        loss = program.build(group)
        t0 = clock()
        program.forward(loss)
        t1 = clock()
        if not program.forward_again(loss):
            return 0.0
        costs.append(((t1 - t0) - (clock() - t1)) / units(task, group))
    return 1e6 * statistics.median(costs)
