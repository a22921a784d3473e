"""Barriers by the hundred thousand: does every program get through, in what time, and does it see what others wrote?"""

from __future__ import annotations

from part import chosen, left_out, record
from worker import Lost, Worker

KINDS = ("empty levels", "numbers handed around")
TIMES = (1, 2)
ANSWER_SECONDS = 150.0


def main() -> None:
    options = chosen(__doc__)
    # Barriers of a launch, launches: many short tapes, and a long one.
    sizes = options.pick([(1000, 100), (100_000, 1)], [(1000, 100)], [(5, 2)])
    worker = Worker("soak_worker.py")
    failed = False
    for kind in KINDS:
        for times in TIMES:
            for levels, launches in sizes:
                id = f"{kind}, {times} a multiprocessor, {launches} x {levels}"
                if options.left <= 0:
                    left_out("soak", id, "out of time")
                    continue
                worker.losses = 0
                try:
                    answer = worker.ask(ANSWER_SECONDS, kind=kind, times=times, levels=levels, launches=launches)
                except Lost as lost:
                    answer = {"lost": str(lost)}
                bad = "lost" in answer or answer["wrong"] or answer["gave_up"]
                failed |= bool(bad)
                record("soak", id, kind=kind, times=times, levels=levels, launches=launches, ok=not bad, **answer)
                print(f"  {id}: {'FAILED ' if bad else ''}{answer}", flush=True)
    worker.stop()
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
