"""Training throughput of the four tasks: Weft on the GPU, Weft's CPU backend, and PyTorch on the same GPU."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from contest import compete
from part import Chosen, chosen, left_out, record
from task_data import STORED
from worker import Lost, Worker

BATCHES, HIDDEN = (1, 16, 64, 256), (256, 64, 1024)
# PyTorch's ways: one step or node at a time; prepared by hand for cuDNN, or for large products on trees.
PYTORCH = {"lm": ("cell", "sequence"), "tagger": ("cell", "packed"), "chars": ("cell", "packed"),
           "tree": ("node", "levels")}  # fmt: skip
LEVELS, TAPE, CPU, STEPWISE, PREPARED = "weft levels", "weft tape", "weft cpu", "torch stepwise", "torch prepared"
ROUND_SECONDS, QUICK_SECONDS, SURVEY_SECONDS = 0.5, 0.3, 60.0
# How far losses of one untrained model may lie apart, relative to the smallest.
SAME = {"float32": 1e-4, "tf32": 1e-2}


@dataclass(frozen=True)
class Job:
    """Contestants on one task and hidden size (0: the stored one) that stay for all batches."""

    task: str
    hidden: int
    batches: tuple[int, ...]
    precision: str = "float32"

    @property
    def size(self) -> int:
        """The hidden size itself."""
        return self.hidden or STORED[self.task]


def jobs(options: Chosen) -> Iterator[Job]:
    """What is measured, the most important first."""
    batches = options.pick(BATCHES, (1, 16, 64), (2,))
    for task in options.tasks:
        yield Job(task, 0, batches)
    if options.quick or options.rehearse:
        left_out("training", "batch 256, hidden 64, 256 and 1024, tf32", "not part of this length")
        return
    for task in options.tasks:
        yield Job(task, 0, (64,), "tf32")
    for hidden in HIDDEN:
        yield from (Job(task, hidden, BATCHES) for task in options.tasks if STORED[task] != hidden)


def contestants(job: Job, options: Chosen) -> dict[str, Worker]:
    """A process for each."""
    arguments = ["--data", str(options.data), "--task", job.task, "--hidden", str(job.hidden)]
    arguments += ["--brief"] if options.rehearse else []
    found = {}
    # A rehearsal has everyone on one task, and on the others what is prepared in PyTorch.
    everyone = not options.rehearse or job.task == options.tasks[0]
    for name, mode in ((LEVELS, "levels"), (TAPE, "tape")) if everyone else ():
        variables = {"WEFT_TRITON_MODE": mode, "WEFT_TRITON_PRECISION": job.precision}
        found[name] = Worker("trainee_weft.py", *arguments, WEFT_BACKEND="triton", **variables)
    if job.precision == "float32" and everyone:
        found[CPU] = Worker("trainee_weft.py", *arguments, WEFT_BACKEND="numba")
    if find_spec("torch"):
        more = ["--device", options.device, "--precision", job.precision]
        if job.precision == "float32" and everyone:
            found[STEPWISE] = Worker("trainee_torch.py", *arguments, *more)
        found[PREPARED] = Worker("trainee_torch.py", *arguments, *more)
    return found


def mode_of(name: str, task: str, batch: int) -> str:
    """The program that a contestant trains: Weft's is written with cells."""
    if name == STEPWISE:
        return PYTORCH[task][0]
    if name == PREPARED:
        return PYTORCH[task][1]
    return "cells-batched" if task == "lm" and batch > 1 else "cells"


def run(job: Job, options: Chosen) -> bool:
    """All batches of a job, from small to large; whether everyone trains, and the same thing."""
    workers, good = contestants(job, options), True
    survey(job, workers)
    for batch in job.batches:
        title = f"{job.task}, hidden {job.size}, batch {batch}, {job.precision}"
        if options.left <= 0:
            left_out("training", title, "out of time")
            continue
        modes = {name: mode_of(name, job.task, batch) for name in workers}
        settings = {name: {"batch": batch, "mode": mode} for name, mode in modes.items()}
        seconds = options.pick(ROUND_SECONDS, QUICK_SECONDS, 0.0)
        print(f"  {title}", flush=True)
        found = compete(workers, settings, seconds, options)
        for name, figures in found.items():
            keep(job, batch, name, modes[name], figures)
        good &= agrees(job, batch, found) and not any("lost" in figures for figures in found.values())
    for worker in workers.values():
        worker.stop()
    return good


def survey(job: Job, workers: dict[str, Worker]) -> None:
    """Weft compiles for all batches at once."""

    def ask(name: str) -> None:
        programs = [(batch, mode_of(name, job.task, batch)) for batch in job.batches]
        with suppress(Lost):
            workers[name].ask(SURVEY_SECONDS, do="survey", programs=programs)

    with ThreadPoolExecutor() as pool:
        list(pool.map(ask, [name for name in (LEVELS, TAPE) if name in workers]))


def agrees(job: Job, batch: int, found: dict[str, dict[str, Any]]) -> bool:
    """Whether everyone had the same loss on the first examples, before any training."""
    losses = {name: figures["first_loss"] for name, figures in found.items() if "first_loss" in figures}
    if not losses or max(losses.values()) - min(losses.values()) <= SAME[job.precision] * abs(min(losses.values())):
        return True
    left_out("training", f"{job.task}, hidden {job.size}, batch {batch}", f"FIRST LOSSES DIFFER: {losses}")
    return False


def keep(job: Job, batch: int, name: str, mode: str, figures: dict[str, Any]) -> None:
    """Record and print one line."""
    id = f"{job.task}, hidden {job.size}, batch {batch}, {job.precision}, {name}"
    where = {"task": job.task, "hidden": job.size, "stored": not job.hidden, "batch": batch}
    record("training", id, **where, precision=job.precision, name=name, mode=mode, **figures)
    if "rate" not in figures:
        print(f"    {name:16} lost or slow: {figures.get('lost') or figures.get('slow')}", flush=True)
        return
    counts = ", ".join(f"{count} {what}" for what, count in figures["counts"].items())
    speed = f"{figures['rate']:12,.0f} a second, first step {figures['first_seconds']:.1f} s"
    print(f"    {name:16}{speed}{'; ' if counts else ''}{counts}", flush=True)


def main() -> None:
    options = chosen(__doc__)
    if not find_spec("torch"):
        left_out("training", "PyTorch", "torch is not installed here")
    # A list: a job with an error does not end the others.
    if not all([run(job, options) for job in jobs(options)]):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
