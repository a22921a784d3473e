"""Barriers on the device, as many as are asked for: empty levels of a tape, or programs that hand numbers around."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import triton
import triton.language as tl
from worker import Answer, serve

from weft_triton import toolchain
from weft_triton.barrier import GIVEN_UP, PATIENCE, meet
from weft_triton.device import open_device
from weft_triton.fill import clear_gradients
from weft_triton.stream import Stream

LANES = 128
WORD = 4


@triton.jit
def hand_around(cells, counter, programs, levels, LANES: tl.constexpr, PATIENCE: tl.constexpr):
    """At each level every program takes what its neighbour wrote at the level before, and adds one.

    A number that is read before it is there, or read again from an old cache, is wrong from then on.
    """
    program = tl.program_id(0)
    neighbour = (program + 1) % programs
    lane = tl.arange(0, LANES)
    for n in range(0, levels):
        source = cells + (n % 2) * programs * LANES
        target = cells + ((n + 1) % 2) * programs * LANES
        tl.store(target + program * LANES + lane, tl.load(source + neighbour * LANES + lane) + 1)
        meet(counter, (n + 1) * programs, PATIENCE)


class Soak:
    """Both kernels, and the memory that they work on."""

    def __init__(self) -> None:
        self.device = open_device()
        self.tape = Stream(frozenset({clear_gradients.opcode}), "float32").tape
        self.exchange = toolchain.Program(
            hand_around, {"cells": "*i32", "counter": "*i32", "programs": "i32", "levels": "i32"},
            {"LANES": LANES, "PATIENCE": PATIENCE}, cooperative=True,
        )  # fmt: skip
        self.counter = self.device.allocate(WORD)

    def launch(self, kind: str, memory: int, programs: int, levels: int) -> None:
        """One launch with so many barriers; the counter begins at zero."""
        self.device.clear(self.counter, WORD)
        if kind == "empty levels":
            self.tape.launch(programs, memory, memory, memory, 0, 0, 0, levels, self.counter, programs, 0)
        else:
            self.exchange.launch(programs, memory, self.counter, programs, levels)

    def run(self, kind: str, times: int, levels: int, launches: int) -> Answer:
        """`launches` launches with `levels` barriers each, of `times` programs for each multiprocessor."""
        device = self.device
        programs = times * device.multiprocessors if not toolchain.INTERPRETED else 1
        words = 2 * levels if kind == "empty levels" else 2 * programs * LANES
        memory = device.allocate(WORD * words)
        cells = np.zeros((2, programs, LANES), np.int32)
        cells[0] = 1000 * np.arange(programs, dtype=np.int32)[:, None]
        self._prepare(kind, memory, words, cells)
        self.launch(kind, memory, programs, min(levels, 2))
        device.synchronize()
        spent, wrong, gave_up = 0.0, 0, False
        for _ in range(launches):
            self._prepare(kind, memory, words, cells)
            device.synchronize()
            start = time.perf_counter()
            self.launch(kind, memory, programs, levels)
            device.synchronize()
            spent += time.perf_counter() - start
            count = np.zeros(1, np.int32)
            device.download(count, self.counter)
            gave_up |= bool(count[0] & GIVEN_UP)
            wrong += int(count[0] != levels * programs)
            if kind != "empty levels":
                wrong += self._wrong_cells(memory, programs, levels)
        device.free(memory)
        return {
            "programs": programs, "barriers": levels * launches, "us": 1e6 * spent / (levels * launches),
            "wrong": wrong, "gave_up": gave_up,
        }  # fmt: skip

    def _prepare(self, kind: str, memory: int, words: int, cells: Any) -> None:
        if kind == "empty levels":
            self.device.clear(memory, WORD * words)
        else:
            self.device.upload(memory, cells)

    def _wrong_cells(self, memory: int, programs: int, levels: int) -> int:
        """Numbers that are not what the program so many places further on began with, plus the levels."""
        found = np.zeros((2, programs, LANES), np.int32)
        self.device.download(found, memory)
        wanted = 1000 * ((np.arange(programs) + levels) % programs) + levels
        return int((found[levels % 2] != wanted[:, None]).sum())


def main() -> None:
    soak = Soak()
    serve(lambda request: soak.run(**request))


if __name__ == "__main__":
    main()
