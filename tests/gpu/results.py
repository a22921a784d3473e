"""What all runs have measured: records by part and id, and the runs that they are from; kept in one JSON document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Record = dict[str, Any]


class Results:
    """Records of one machine; newer ones replace older ones of the same part and id."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], Record] = {}
        # Each with its date, command and facts.
        self.runs: list[Record] = []

    def add(self, record: Record) -> None:
        """A record, in the place of one with the same part and id."""
        self.records[record["part"], record["id"]] = record

    def merge(self, path: Path) -> None:
        """Add what another run has written; raises `SystemExit` when it is of another GPU."""
        document = json.loads(path.read_text(encoding="utf-8"))
        for run in document["runs"]:
            self.check(run["facts"]["gpu"], str(path))
            if run not in self.runs:
                self.runs.append(run)
        for record in document["records"]:
            self.add(record)

    def check(self, gpu: str, whose: str) -> None:
        """Figures of two GPUs do not belong into one table."""
        if self.runs and gpu != self.runs[-1]["facts"]["gpu"]:
            known = self.runs[-1]["facts"]["gpu"]
            raise SystemExit(f"{whose} is of {gpu}, the results so far are of {known}: choose another --out")

    def forget(self, part: str) -> None:
        """A part begins anew: what it left out before is no longer so."""
        stale = [key for key in self.records if key[0] == "left out" and key[1].startswith(f"{part}: ")]
        for key in stale:
            del self.records[key]

    def of(self, part: str) -> list[Record]:
        """All records of a part, in the order in which they came."""
        return [record for (name, _), record in self.records.items() if name == part]

    def save(self, path: Path) -> None:
        """Write aside and rename, so that a run that is stopped leaves a whole document."""
        unfinished = path.with_suffix(".part")
        document = {"runs": self.runs, "records": list(self.records.values())}
        unfinished.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        unfinished.replace(path)
