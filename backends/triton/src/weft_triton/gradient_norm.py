"""The norm of gradients: sums of squares tile by tile, then the sum of these, always in the same order."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import triton
import triton.language as tl

from weft_core.rules import spans
from weft_core.store import FLOAT_BYTES, TOUCHED_COUNT, WHOLE_GRADIENT, ParameterStore, addresses

from .jobs import (
    BLOCK,
    GRADIENTS,
    LIST,
    MOMENTS,
    SIZE,
    Launch,
    floats,
    job_of,
    row_ids,
    row_places,
    rows,
    run,
    run_places,
)
from .residence import Allocation
from .toolchain import Program

if TYPE_CHECKING:
    from .residence import Residence

# Sums of tiles that are added at a time.
SUMS = 4096
RESULT_BYTES = 8
_WIDTH, _GRADIENTS = tl.constexpr(MOMENTS), tl.constexpr(GRADIENTS)
_SIZE, _LIST = tl.constexpr(SIZE), tl.constexpr(LIST)


@triton.jit
def squares_of_runs(job_table, count, sums, BLOCK: tl.constexpr):
    tile = tl.program_id(0).to(tl.int64)
    job = job_of(job_table.to(tl.pointer_type(tl.int64)), count, _WIDTH, tile)
    at, mask = run_places(job, tile, BLOCK)
    g = tl.load(floats(job, _GRADIENTS) + at, mask=mask, other=0.0)
    tl.store(sums.to(tl.pointer_type(tl.float32)) + tile, tl.sum(g * g, 0))


@triton.jit
def squares_of_rows(job_table, count, sums, BLOCK: tl.constexpr):
    tile = tl.program_id(0).to(tl.int64)
    job = job_of(job_table.to(tl.pointer_type(tl.int64)), count, _WIDTH, tile)
    place, column, mask = row_places(job, tile, BLOCK)
    row = tl.load(tl.load(job + _LIST).to(tl.pointer_type(tl.int32)) + place, mask=mask, other=0).to(tl.int64)
    g = tl.load(floats(job, _GRADIENTS) + row * tl.load(job + _SIZE) + column, mask=mask, other=0.0)
    tl.store(sums.to(tl.pointer_type(tl.float32)) + tile, tl.sum(g * g, 0))


@triton.jit
def sum_of_tiles(sums, count, result, BLOCK: tl.constexpr):
    total = tl.zeros([BLOCK], tl.float64)
    for start in range(0, count, BLOCK):
        k = start + tl.arange(0, BLOCK)
        total += tl.load(sums.to(tl.pointer_type(tl.float32)) + k, mask=k < count, other=0.0).to(tl.float64)
    tl.store(result.to(tl.pointer_type(tl.float64)), tl.sum(total, 0))


_ARGUMENTS = {"job_table": "i64", "count": "i32", "sums": "i64"}
of_runs = Program(squares_of_runs, _ARGUMENTS, {"BLOCK": BLOCK})
of_rows = Program(squares_of_rows, _ARGUMENTS, {"BLOCK": BLOCK})
of_tiles = Program(sum_of_tiles, {"sums": "i64", "count": "i32", "result": "i64"}, {"BLOCK": SUMS})


class PreparedNorm:
    """All gradients of a store on the device, good until `addresses.version` changes."""

    def __init__(self, residence: Residence, store: ParameterStore) -> None:
        self.residence = residence
        self.arena, self.runs, self.rows = Launch(residence), Launch(residence), Launch(residence)
        self._sums: Allocation | None = None
        residence.require(slot.id for slot in store.dense)
        if store.dense:
            base = residence.address_of(store.gradient_arena)
            self.arena.send([run(0, base + FLOAT_BYTES * start, end - start) for start, end in spans(store.dense)])
        self.version = addresses.version

    def compute(self, store: ParameterStore) -> float:
        """The square root of the sum of all squares."""
        whole = [table for table in store.tables if table.meta[WHOLE_GRADIENT]]
        touched = [t for t in store.tables if t.meta[TOUCHED_COUNT] and not t.meta[WHOLE_GRADIENT]]
        residence = self.residence
        residence.require(table.id for table in (*whole, *touched))
        self.runs.send([run(0, residence.address_of(t.gradient_arena), t.rows * t.row_size) for t in whole])
        self.rows.send([rows(0, residence.address_of(t.gradient_arena), t.row_size, (), row_ids(t)) for t in touched])
        tiles = self.arena.tiles + self.runs.tiles + self.rows.tiles
        sums = self._room(tiles)
        place = sums + RESULT_BYTES
        for launch, program in ((self.arena, of_runs), (self.runs, of_runs), (self.rows, of_rows)):
            if launch.tiles:
                program.launch(launch.tiles, launch.address, launch.count, place)
                place += FLOAT_BYTES * launch.tiles
        of_tiles.launch(1, sums + RESULT_BYTES, tiles, sums)
        result = np.empty(1, np.float64)
        residence.device.download(result, sums)
        return math.sqrt(result[0])

    def _room(self, tiles: int) -> int:
        """The address of a float64 and of a float32 for each tile."""
        nbytes = RESULT_BYTES + FLOAT_BYTES * tiles
        if self._sums is None or self._sums.nbytes < nbytes:
            self._sums = Allocation(self.residence, "sums of gradients", 2 * nbytes)
        return self._sums.address


def gradient_norm(residence: Residence, store: ParameterStore) -> float:
    """The square root of the sum of squares of all gradients of a store; waits for the device."""
    prepared = store.prepared
    if (
        not isinstance(prepared, PreparedNorm)
        or prepared.version != addresses.version
        or prepared.residence is not residence
    ):
        store.prepared = prepared = PreparedNorm(residence, store)
    return prepared.compute(store)
