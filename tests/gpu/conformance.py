"""The conformance kit on the device: all rows launched level by level, a choice of them as tapes.

Rows are shared out to several processes. A row that crashes its process or hangs counts as failed, and a new process
goes on with the next one.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

from conformance_worker import rows
from part import Chosen, chosen, left_out, record
from worker import Lost, Worker

# Rows that run as tapes, too: every program, random graphs and cells, one variant of each operation.
TAPE = r"test_(program|random_graph|random_cell)|test_operation\[.*-unbatched\]"
QUICK = {"levels": r"test_(program|update)|test_random_\w+\[1?\d\]|test_operation\[.*-(unbatched|batched)\]",
         "tape": r"test_program|test_random_\w+\[\d\]"}  # fmt: skip
REHEARSAL = {
    "levels": r"test_operation\[(tanh|logistic)-unbatched\]|test_it",
    "tape": r"test_operation\[tanh-unbatched\]",
}
MOST_PROCESSES = 12
# The first row of a group compiles: forty opcodes of random graphs take a minute.
ROW_SECONDS = 200.0
REPORT_SECONDS = 5.0


@dataclass
class Tally:
    """What is known so far about the rows of one mode."""

    mode: str
    rows: int
    passed: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    slowest: tuple[float, str] = (0.0, "")
    started: float = field(default_factory=time.monotonic)
    told: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, row: str, wrong: str, seconds: float) -> None:
        """One row is done."""
        with self.lock:
            self.slowest = max(self.slowest, (seconds, row))
            if wrong:
                self.failures[row] = wrong
                print(f"  failed, {self.mode}: {row}: {wrong}", flush=True)
            else:
                self.passed += 1
            if time.monotonic() - self.told > REPORT_SECONDS:
                self.tell()

    def tell(self) -> None:
        """Record the present state: it is kept even if this process is stopped."""
        self.told = time.monotonic()
        done = self.passed + len(self.failures)
        record(
            "conformance", self.mode, mode=self.mode, rows=self.rows, passed=self.passed, failed=len(self.failures),
            not_run=self.rows - done, seconds=time.monotonic() - self.started, failures=self.failures,
            slowest=self.slowest,
        )  # fmt: skip


def groups_of(names: list[str]) -> deque[list[str]]:
    """Rows that share kernels: those of one operation, other rows by the ten; what compiles longest comes first."""
    groups: dict[str, list[str]] = {}
    for n, row in enumerate(names):
        operation = re.match(r"test_operation\[([^-\]]*)", row)
        groups.setdefault(operation[1] if operation else f"{row.partition('[')[0]} {n // 10}", []).append(row)
    return deque(sorted(groups.values(), key=lambda group: not group[0].startswith("test_random")))


def work(groups: deque[list[str]], tally: Tally, options: Chosen) -> None:
    """Take groups of rows until there are none or the time is up; one process, made anew when it is lost."""
    worker = Worker("conformance_worker.py", "--mode", tally.mode)
    while groups and options.left > 0:
        try:
            group = groups.popleft()
        except IndexError:
            break
        survey(worker, group)
        for row in group:
            if options.left <= 0:
                break
            began = time.monotonic()
            worker.losses = 0
            try:
                answer = worker.ask(min(ROW_SECONDS, options.left + 30), row=row)
            except Lost as lost:
                tally.note(row, f"the process was lost: {lost}", time.monotonic() - began)
                continue
            tally.note(row, answer["wrong"], answer["seconds"])
            if answer.get("fatal"):
                worker.stop()
    worker.stop()


def survey(worker: Worker, group: list[str]) -> None:
    """Let the process compile for the whole group at once; without that, it compiles for each row."""
    worker.losses = 0
    with suppress(Lost):
        worker.ask(ROW_SECONDS, prepare=group)


def run(mode: str, names: list[str], options: Chosen) -> Tally:
    """All rows in one mode."""
    tally, groups = Tally(mode, len(names)), groups_of(names)
    print(f"{mode}: {len(names)} rows", flush=True)
    count = min(MOST_PROCESSES, max(1, (os.cpu_count() or 1) - 2), len(groups)) if not options.rehearse else 1
    threads = [threading.Thread(target=work, args=(groups, tally, options)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tally.tell()
    missing = tally.rows - tally.passed - len(tally.failures)
    if missing:
        left_out("conformance", f"{missing} rows, {mode}", "out of time")
    slowest = f"slowest {tally.slowest[1]} {tally.slowest[0]:.1f} s"
    print(f"{mode}: {tally.passed} passed, {len(tally.failures)} failed, {missing} not run; {slowest}", flush=True)
    return tally


def main() -> None:
    options = chosen(__doc__)
    every = list(rows())
    failed = 0
    for mode, full in (("levels", ""), ("tape", TAPE)):
        pattern = options.pick(full, QUICK[mode], REHEARSAL[mode])
        kept = [row for row in every if re.match(pattern, row)]
        if len(kept) < len(every):
            others = len(every) - len(kept)
            left_out("conformance", f"{others} of {len(every)} rows, {mode}", "not chosen for this mode")
        failed += len(run(mode, kept, options).failures)
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
