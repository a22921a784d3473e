"""Device memory of a graph: values, gradients and the plan; grown with their contents, kept for the next graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from weft_core.planner import ZERO_FLOATS

from .errors import OutOfDeviceMemory

if TYPE_CHECKING:
    from collections.abc import Callable

    from .device import DeviceMemory

BYTES = 4


class Arena:
    """One growing block of 32-bit words on the device, zero wherever nothing was written."""

    def __init__(self, device: DeviceMemory, name: str, report: Callable[[], str]) -> None:
        self.device = device
        self.name = name
        self.address = 0
        self.size = 0
        self._report = report

    def reserve(self, size: int, keep: int) -> bool:
        """Room for so many words, of which the first `keep` stay; whether the block has moved.

        Raises `OutOfDeviceMemory`, which says what every arena holds; this one is then as it was.
        """
        if size <= self.size:
            return False
        for wanted in (2 * size, size):
            try:
                self._replace(wanted, keep)
                return True
            except OutOfDeviceMemory:
                if not keep:
                    # What is not kept makes room.
                    self.free()
        try:
            self._replace(size, keep)
        except OutOfDeviceMemory as error:
            raise OutOfDeviceMemory(
                f"the {self.name} of this graph need {BYTES * size:,} bytes on the device: {error}. In use: "
                f"{self._report()}. Compute fewer examples in one graph"
            ) from None
        return True

    def _replace(self, size: int, keep: int) -> None:
        address = self.device.allocate(BYTES * size)
        self.device.clear(address, BYTES * size)
        if keep and self.address:
            self.device.copy(address, self.address, BYTES * min(keep, self.size))
        self.device.free(self.address)
        self.address, self.size = address, size

    def free(self) -> None:
        """Give the memory back."""
        self.device.free(self.address)
        self.address = self.size = 0

    def read(self, start: int, count: int) -> NDArray[np.float32]:
        """A copy of floats from here."""
        numbers = np.empty(count, np.float32)
        self.device.download(numbers, self.address + BYTES * start)
        return numbers

    def write(self, start: int, numbers: NDArray[np.float32]) -> None:
        """Replace floats; they stay unchanged on the host until the copy is done, which is waited for."""
        self.device.upload(self.address + BYTES * start, np.ascontiguousarray(numbers))
        self.device.synchronize()


class Arenas:
    """Values, gradients and plan of one graph."""

    def __init__(self, device: DeviceMemory, report: Callable[[], str]) -> None:
        self.device = device
        self.values = Arena(device, "values", report)
        self.gradients = Arena(device, "gradients", report)
        self.plan = Arena(device, "instructions", report)
        self.values.reserve(ZERO_FLOATS + (1 << 16), 0)

    def sizes(self) -> dict[str, int]:
        """Bytes by name."""
        return {arena.name: BYTES * arena.size for arena in (self.values, self.gradients, self.plan)}

    def free(self) -> None:
        """Give all memory back."""
        for arena in (self.values, self.gradients, self.plan):
            arena.free()


class Staging:
    """Page-locked host buffers for plans: one that no copy reads any more is there without waiting.

    Copies are numbered; whoever reads from the device has waited for all before, and says so with `reached`.
    """

    MOST = 3

    def __init__(self, device: DeviceMemory) -> None:
        self.device = device
        self.sent = self.reached = 0
        self.buffers: list[Buffer] = []

    def take(self) -> Buffer:
        """A buffer that nobody uses."""
        free = [b for b in self.buffers if not b.taken]
        for buffer in free:
            if buffer.last <= self.reached:
                buffer.taken = True
                return buffer
        if len(self.buffers) < self.MOST or not free:
            buffer = Buffer(self.device.pinned(BYTES << 16).view(np.int32))
            self.buffers.append(buffer)
        else:
            self.synchronize()
            buffer = free[0]
        buffer.taken = True
        return buffer

    def grow(self, buffer: Buffer, size: int) -> None:
        """Room for so many words; what they held stays."""
        words = self.device.pinned(BYTES * 2 * size).view(np.int32)
        words[: len(buffer.words)] = buffer.words
        if buffer.last > self.reached:
            self.synchronize()
        buffer.words = words

    def send(self, buffer: Buffer, first: int, end: int, target: int) -> None:
        """Copy words to the same places of the plan at `target`."""
        self.sent += 1
        buffer.last = self.sent
        self.device.upload(target + BYTES * first, buffer.words[first:end])

    def synchronize(self) -> None:
        """Wait for everything."""
        self.device.synchronize()
        self.reached = self.sent


class Buffer:
    """A page-locked buffer of words, and the number of the last copy from it."""

    def __init__(self, words: NDArray[np.int32]) -> None:
        self.words = words
        self.last = 0
        self.taken = False
