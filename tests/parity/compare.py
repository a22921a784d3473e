"""Comparing two sets of results: the largest relative difference of each case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from table import EXACT, LOOSE, TABLE

Results = Mapping[str, NDArray[Any]]
# Largest differences relative to the largest magnitude of an array, or to 1 where that is smaller.
FORWARD, BACKWARD = 1e-5, 1e-4


@dataclass
class Line:
    """What came out for one case: the largest differences, and sentences about what is wrong.

    `known` is the reason of a case whose results are others on purpose.
    """

    name: str
    results: int = 0
    forward: float = 0.0
    backward: float = 0.0
    wrong: list[str] = field(default_factory=list)
    known: str = ""

    def __str__(self) -> str:
        mark = self.known or ("DIFFERS" if self.wrong else "ok")
        return f"{self.name:50} {self.results:5} {self.forward:10.1e} {self.backward:10.1e}  {mark}"


def difference(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """The largest difference, relative to the largest magnitude that is expected, at least 1; nan where one is."""
    if not expected.size:
        return 0.0
    found, expected = found.astype(np.float64), expected.astype(np.float64)
    scale = max(1.0, float(np.abs(expected).max()))
    with np.errstate(invalid="ignore"):
        return float(np.abs(found - expected).max()) / scale


def case_of(key: str) -> str:
    """The name of the case that a result belongs to."""
    return key.partition("/")[0].partition("[")[0]


def compared(found: Results, expected: Results, tolerances: tuple[float, float] = (FORWARD, BACKWARD)) -> list[Line]:
    """A line for each case that both, or only the second, have results of."""
    lines: dict[str, Line] = {}
    for key, wanted in expected.items():
        name = case_of(key)
        line = lines.setdefault(name, Line(name, known=TABLE[name].differs if name in TABLE else ""))
        line.results += 1
        if key not in found:
            line.wrong.append(f"{key} is missing")
            continue
        problem = check(line, key, found[key], wanted, tolerances)
        if problem:
            line.wrong.append(problem)
    return list(lines.values())


def check(
    line: Line, key: str, found: NDArray[Any], wanted: NDArray[Any], tolerances: tuple[float, float]
) -> str | None:
    """Compare one result; what is wrong with it, as a sentence."""
    kind = key.partition("/")[2]
    if found.shape != wanted.shape:
        return f"{key} has shape {found.shape} instead of {wanted.shape}"
    if kind.startswith(EXACT):
        return None if np.array_equal(found, wanted) else f"{key} is {found.tolist()} instead of {wanted.tolist()}"
    apart = difference(found, wanted)
    loose = kind.startswith(LOOSE)
    if loose:
        line.backward = max(line.backward, apart)
    else:
        line.forward = max(line.forward, apart)
    limit = tolerances[loose]
    return None if apart <= limit else f"{key} differs by {apart:.2e}, more than {limit:.0e}"


def report(lines: Iterable[Line]) -> str:
    """A table of all cases, what is wrong, and a summary."""
    lines = list(lines)
    head = f"{'case':50} {'count':>5} {'forward':>10} {'backward':>10}"
    compared = [line for line in lines if not line.known]
    wrong = [problem for line in compared for problem in line.wrong]
    forward = max((line.forward for line in compared), default=0.0)
    backward = max((line.backward for line in compared), default=0.0)
    total = (
        f"{len(lines)} cases, {sum(line.results for line in lines)} results: largest difference forward {forward:.1e}"
    )
    total += f", backward {backward:.1e}; {len(wrong)} results differ"
    return "\n".join([head, *map(str, lines), *wrong, total])
