"""The four tasks trained on twenty examples: losses on the device must equal those of the CPU backend."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from part import Chosen, chosen, left_out, record
from worker import Lost, Worker

# Written as cells, and as plain programs.
MODES = {"lm": ("cells", "vanilla-single"), "tagger": ("cells", "vanilla"), "chars": ("cells", "vanilla"),
         "tree": ("cells", "gates")}  # fmt: skip
BATCHES = (1, 10)
COUNT = 20
TOLERANCE = 1e-4
ANSWER_SECONDS = 180.0
DEVICES = {
    "cpu": {"WEFT_BACKEND": "numba"},
    "levels": {"WEFT_BACKEND": "triton", "WEFT_TRITON_MODE": "levels"},
    "tape": {"WEFT_BACKEND": "triton", "WEFT_TRITON_MODE": "tape"},
}


def difference(found: list[float], wanted: list[float]) -> float:
    """The largest relative difference; infinite where one is not a number."""
    pairs = zip(found, wanted, strict=True)
    return max(abs(a - b) / abs(b) if a == a and b == b and b else float("inf") for a, b in pairs)


def compared(task: str, options: Chosen) -> bool:
    """Whether all losses of a task agree."""
    arguments = ["--data", str(options.data), "--task", task]
    workers = {name: Worker("trainee_weft.py", *arguments, **more) for name, more in DEVICES.items()}
    good = True
    modes, batches = options.pick((MODES[task], BATCHES), (MODES[task], (10,)), (MODES[task][:1], (2,)))
    for mode in modes:
        for name in ("levels", "tape"):
            with suppress(Lost):
                workers[name].ask(ANSWER_SECONDS, do="survey", programs=[(batch, mode) for batch in batches])
        for batch in batches:
            if options.left <= 0:
                left_out("tasks", f"{task}, {mode}, batch {batch}", "out of time")
                continue
            good &= _one(task, mode, batch, options.pick(COUNT, COUNT, 6), workers)
    for worker in workers.values():
        worker.stop()
    return good


def _one(task: str, mode: str, batch: int, count: int, workers: dict[str, Worker]) -> bool:
    """One program on all devices at the same time."""

    def losses(worker: Worker) -> list[float] | str:
        worker.losses = 0
        try:
            found: list[float] = worker.ask(ANSWER_SECONDS, do="losses", count=count, batch=batch, mode=mode)["losses"]
        except Lost as lost:
            return str(lost)
        return found

    with ThreadPoolExecutor(len(workers)) as pool:
        found = dict(zip(workers, pool.map(losses, workers.values()), strict=True))
    wanted, good = found.pop("cpu"), True
    for way, result in found.items():
        figures: dict[str, object] = {"task": task, "mode": mode, "batch": batch, "way": way, "examples": count}
        lost = next((f"{who}: {said}" for who, said in ((way, result), ("cpu", wanted)) if isinstance(said, str)), "")
        if lost:
            figures |= {"lost": lost, "ok": False}
        else:
            largest = difference(result, wanted)  # type: ignore[arg-type]
            figures |= {"difference": largest, "ok": largest <= TOLERANCE}
        good &= bool(figures["ok"])
        record("tasks", f"{task}, {mode}, batch {batch}, {way}", **figures)
        said = lost or f"{figures['difference']:.1e}"
        print(f"  {task}, {mode}, batch {batch}, {way}: {'' if figures['ok'] else 'FAILED '}{said}", flush=True)
    return good


def main() -> None:
    options = chosen(__doc__)
    tasks = options.tasks[:1] if options.rehearse else options.tasks
    if not all([compared(task, options) for task in tasks]):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
