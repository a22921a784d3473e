"""Memory of the host in the place of a device: where interpreted kernels run, and what tests look into."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import DeviceError, OutOfDeviceMemory

# The device's own alignment of an allocation.
ALIGNMENT = 256


@dataclass
class Counters:
    """How often memory was asked for and moved, and how many bytes went which way."""

    allocations: int = 0
    frees: int = 0
    uploads: int = 0
    downloads: int = 0
    copies: int = 0
    clears: int = 0
    bytes_up: int = 0
    bytes_down: int = 0


@dataclass
class HostMemory:
    """A device of NumPy arrays; `limit` is its size in bytes, so that running out of memory can be tested.

    New memory holds NaN in every word: who reads what nobody wrote will see it.
    """

    limit: int | None = None
    name: str = "host"
    multiprocessors: int = 2
    capability: tuple[int, int] = (9, 0)
    stream: int = 0
    counters: Counters = field(default_factory=Counters)
    blocks: dict[int, NDArray[np.uint8]] = field(default_factory=dict)
    used: int = 0

    def allocate(self, nbytes: int) -> int:
        """The address of new memory, aligned; contents undefined."""
        size = max(nbytes, 1)
        if self.limit is not None and self.used + size > self.limit:
            raise OutOfDeviceMemory(
                f"{self.name} has no room for {nbytes:,} bytes more: {self.used:,} of {self.limit:,} are in use. "
                "Use smaller graphs, or renew the graph more often"
            )
        words = np.full(-(-size // 4) + ALIGNMENT // 4, np.nan, np.float32)
        block = words.view(np.uint8)[-words.ctypes.data % ALIGNMENT :][:size]
        address = int(block.ctypes.data)
        self.blocks[address] = block
        self.used += size
        self.counters.allocations += 1
        return address

    def free(self, address: int) -> None:
        """Give memory back; address 0 is nobody's and is ignored."""
        if not address:
            return
        if address not in self.blocks:
            raise DeviceError(f"{address:#x} is not the address of an allocation, or was freed before")
        self.used -= self.blocks.pop(address).nbytes
        self.counters.frees += 1

    def pinned(self, nbytes: int) -> NDArray[np.uint8]:
        """A host buffer from which uploads may be asynchronous."""
        return np.zeros(nbytes, np.uint8)

    def upload(self, address: int, array: NDArray[Any]) -> None:
        """Copy a contiguous array to the device."""
        if not array.flags.forc:
            raise DeviceError("only a contiguous array can be uploaded")
        self.at(address, array.nbytes)[:] = array.ravel("K").view(np.uint8)
        self.counters.uploads += 1
        self.counters.bytes_up += array.nbytes

    def download(self, array: NDArray[Any], address: int) -> None:
        """Fill a contiguous array from the device; waits for all work before it."""
        if not array.flags.forc:
            raise DeviceError("only into a contiguous array can be downloaded")
        array.ravel("K").view(np.uint8)[:] = self.at(address, array.nbytes)
        self.counters.downloads += 1
        self.counters.bytes_down += array.nbytes

    def copy(self, target: int, source: int, nbytes: int) -> None:
        """Copy inside of the device; the two may not overlap."""
        self.at(target, nbytes)[:] = self.at(source, nbytes)
        self.counters.copies += 1

    def clear(self, address: int, nbytes: int) -> None:
        """Set bytes to zero."""
        self.at(address, nbytes)[:] = 0
        self.counters.clears += 1

    def synchronize(self) -> None:
        """Wait until all work is done; here it always is."""

    def at(self, address: int, nbytes: int) -> NDArray[np.uint8]:
        """The bytes at an address inside of one allocation."""
        whole = self.blocks.get(address)
        if whole is not None and nbytes <= whole.nbytes:
            return whole[:nbytes]
        for start, block in self.blocks.items():
            if start <= address and address + nbytes <= start + block.nbytes:
                return block[address - start : address - start + nbytes]
        raise DeviceError(f"{nbytes:,} bytes at {address:#x} are not inside of one allocation")
