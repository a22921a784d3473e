"""Jobs of a launch over parameters: runs of an arena, tables, or rows of tables, each cut into tiles.

A program finds the job of its tile by the jobs' first tiles, so that one launch does any number of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import triton
import triton.language as tl
from numpy.typing import NDArray

from weft_core.store import TOUCHED_COUNT, LookupTable

from .residence import Allocation

if TYPE_CHECKING:
    from .residence import Residence

# Floats of a tile.
BLOCK = 1024
# A job: number of its first tile; addresses of values and gradients; how many floats of a run, or rows; floats in a
# row; address of a list with a number for each row: row ids, or flags; then the addresses of moments.
FIRST, VALUES, GRADIENTS, COUNT, SIZE, LIST, MOMENTS = range(7)
# Runs begin on multiples of this and may end on one, so that memory is read in the widest words.
ALIGNED = 16
_ALIGNED, _COUNT, _SIZE = tl.constexpr(ALIGNED), tl.constexpr(COUNT), tl.constexpr(SIZE)
# Jobs that are looked through at a time.
_SEARCHED = tl.constexpr(64)
_NO_TILE = tl.constexpr(1 << 62)


@triton.jit
def job_of(jobs, count, width, tile):
    """The job that a tile belongs to."""
    found = -1
    for start in range(0, count, _SEARCHED):
        k = start + tl.arange(0, _SEARCHED)
        first = tl.load(jobs + k * width, mask=k < count, other=_NO_TILE)
        found += tl.sum((first <= tile).to(tl.int32), 0)
    return jobs + found * width


@triton.jit
def run_places(job, tile, BLOCK: tl.constexpr):
    """Offsets of the tile's floats in a run, and which of them are there."""
    at = (tile - tl.load(job)) * BLOCK + tl.arange(0, BLOCK)
    return at, at < tl.multiple_of(tl.load(job + _COUNT), _ALIGNED)


@triton.jit
def row_places(job, tile, BLOCK: tl.constexpr):
    """Of the tile's floats: number of the row, place in the row, and which of them are there."""
    size = tl.load(job + _SIZE)
    first = (tile - tl.load(job)) * BLOCK
    lane = (first % size).to(tl.int32) + tl.arange(0, BLOCK)
    row = (first // size).to(tl.int32) + lane // size.to(tl.int32)
    return row, lane % size.to(tl.int32), row < tl.load(job + _COUNT)


@triton.jit
def floats(job, k):
    """The float32 pointer in field `k`."""
    return tl.multiple_of(tl.load(job + k).to(tl.pointer_type(tl.float32)), _ALIGNED)


@dataclass(frozen=True)
class Job:
    """`tiles` programs on one block of memory; the addresses are those of the device."""

    tiles: int
    values: int
    gradients: int
    count: int
    size: int = 0
    moments: Sequence[int] = ()
    # Travels with the job.
    list: NDArray[Any] | None = None


def run(values: int, gradients: int, floats: int, moments: Sequence[int] = ()) -> Job:
    """All of these floats, up to the next multiple of `ALIGNED`: what lies there is zero, and stays so."""
    count = -(-floats // ALIGNED) * ALIGNED
    return Job(-(-count // BLOCK), values, gradients, count, 0, moments)


def rows(values: int, gradients: int, size: int, moments: Sequence[int], listed: NDArray[Any]) -> Job:
    """Rows of this size, with a number for each."""
    return Job(-(-len(listed) * size // BLOCK), values, gradients, len(listed), size, moments, listed)


def vectors(
    values: int, gradients: int, count: int, size: int, moments: Sequence[int], listed: NDArray[Any] | None = None
) -> Job:
    """So many rows of this size, the first ones or listed ones, each of which is a tile."""
    return Job(count, values, gradients, count, size, moments, listed)


def row_ids(table: LookupTable) -> NDArray[np.int32]:
    """The rows of a table that have a gradient."""
    return table.touched[: table.meta[TOUCHED_COUNT]].astype(np.int32)


class Launch:
    """The jobs of a launch on the device."""

    def __init__(self, residence: Residence) -> None:
        self.residence = residence
        self.tiles = self.count = 0
        self._memory: Allocation | None = None

    @property
    def address(self) -> int:
        """Of the first job."""
        return self._memory.address if self._memory is not None else 0

    def send(self, jobs: Sequence[Job]) -> None:
        """Replace the jobs; all have the same number of moments."""
        self.tiles = self.count = 0
        if not jobs:
            return
        table = np.zeros((len(jobs), MOMENTS + len(jobs[0].moments)), np.int64)
        ends = np.cumsum([table.nbytes] + [-(-job.list.nbytes // 8) * 8 if job.list is not None else 0 for job in jobs])
        self._reserve(int(ends[-1]))
        buffer = np.zeros(int(ends[-1]), np.uint8)
        for row, job, start in zip(table, jobs, ends.tolist()):
            row[:] = self.tiles, job.values, job.gradients, job.count, job.size, 0, *job.moments
            if job.list is not None:
                row[LIST] = self.address + start
                buffer[start : start + job.list.nbytes] = job.list.view(np.uint8)
            self.tiles += job.tiles
        self.count = len(jobs)
        buffer[: table.nbytes] = table.view(np.uint8).reshape(-1)
        self.residence.device.upload(self.address, buffer)

    def _reserve(self, nbytes: int) -> None:
        if self._memory is None or self._memory.nbytes < nbytes:
            self._memory = Allocation(self.residence, "jobs of updates", 2 * nbytes)
