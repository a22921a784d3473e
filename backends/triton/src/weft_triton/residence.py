"""Parameters and moments in device memory between updates; whoever asks for them on the host gets them back."""

from __future__ import annotations

import gc
import weakref
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from weft_core.residence import Floats, Movable
from weft_core.store import FLOAT_BYTES, Arena, LookupTable, addresses, place_of

from .access import RESIDENT
from .errors import OutOfDeviceMemory

if TYPE_CHECKING:
    from .device import DeviceMemory

# Kernels read whole blocks of this many floats where an array begins on one; what lies behind its end is zero.
PADDING = 16


class Allocation:
    """Device memory that is given back once nobody refers to it: at the next look of its residence, in its thread."""

    def __init__(self, residence: Residence, label: str, nbytes: int) -> None:
        self.nbytes = nbytes
        self.address = residence.address_for(label, nbytes)
        # Not freed here: this may run in the middle of anything.
        weakref.finalize(self, residence.garbage.append, self.address).atexit = False


class Held:
    """The newest numbers of one array of the host; the memory stays when they go home, and serves again."""

    def __init__(self, residence: Residence, movable: Movable, label: str) -> None:
        self.residence = residence
        self.places = movable.places if isinstance(movable, Arena) else []
        self.nbytes = movable.array.nbytes
        padded = -(-self.nbytes // (PADDING * FLOAT_BYTES)) * PADDING * FLOAT_BYTES
        self.memory = Allocation(residence, label, padded)
        residence.device.clear(self.memory.address + self.nbytes, padded - self.nbytes)

    def fetch(self, array: Floats, start: int, stop: int) -> None:
        """Copy `start` to `stop` of the first axis to the host."""
        part = array[start:stop]
        if part.size:
            self.residence.device.download(part, self.memory.address + start * array.strides[0])

    def release(self) -> None:
        """The numbers are at home again."""
        if self.places:
            self.residence.forget([id for id, _ in self.places])


class Residence:
    """What the device holds of parameters and moments.

    `table`: device addresses of values at `RESIDENT + 2 * id`, of gradients behind, 0 where the newest numbers
    are not on the device; `version` grows with every change.
    """

    def __init__(self, device: DeviceMemory) -> None:
        self.device = device
        self.version = 0
        # Addresses whose allocations nobody refers to any more.
        self.garbage: deque[int] = deque()
        self._held: weakref.WeakKeyDictionary[Movable, Held] = weakref.WeakKeyDictionary()
        self._sizes: dict[int, tuple[str, int]] = {}
        self._table = np.zeros(0, np.int64)
        # Parameters in the table, and the version of their addresses on the host that was seen last.
        self._present: set[int] = set()
        self._seen = -1

    @property
    def table(self) -> NDArray[np.int64]:
        """The addresses, as many as there are parameters in the process; take it anew after `require`."""
        self._settle()
        return self._table

    def require(self, ids: Iterable[int]) -> None:
        """Values and gradients of these parameters are on the device afterwards.

        Raises `StaleExpression` for a parameter that is gone, `OutOfDeviceMemory` when there is no room.
        """
        self._settle()
        for id in ids:
            if id not in self._present:
                arenas, *_ = place_of(id)
                if isinstance(arenas, LookupTable):
                    # Updates that rows have missed would go to the host.
                    arenas.clear_arrears()
                what = "look-up tables" if isinstance(arenas, LookupTable) else "parameters"
                values = self.hold(arenas.value_arena, what)
                gradients = self.hold(arenas.gradient_arena, f"gradients of {what}")
                self._enter(arenas.value_arena.places, values, gradients)
        self._settle()

    def hold(self, movable: Movable, label: str) -> int:
        """The device address of an array, whose newest numbers are on the device from now on."""
        held = self._held.get(movable)
        if held is not None and movable.resident is held:
            return held.memory.address
        array = movable.here()
        if held is None or held.nbytes != array.nbytes:
            self._held.pop(movable, None)
            del held
            held = self._held[movable] = Held(self, movable, label)
        if array.size:
            self.device.upload(held.memory.address, array)
        movable.leave(held)
        return held.memory.address

    def address_of(self, movable: Movable) -> int:
        """The device address of an array that is held."""
        return self._held[movable].memory.address

    def _enter(self, places: Iterable[tuple[int, int]], values: int, gradients: int) -> None:
        """Write the addresses of all parameters of an arena, which begins at these."""
        for id, offset in places:
            if id in addresses.slots:
                at = RESIDENT + 2 * id
                self._table[at : at + 2] = values + FLOAT_BYTES * offset, gradients + FLOAT_BYTES * offset
                self._present.add(id)
        self.version += 1

    def forget(self, ids: Iterable[int]) -> None:
        """The newest numbers of these parameters are no longer all here."""
        for id in ids:
            if id in self._present:
                self._present.discard(id)
                self._table[RESIDENT + 2 * id : RESIDENT + 2 * id + 2] = 0
        self.version += 1

    def _settle(self) -> None:
        """Room for all parameters, none that is gone, no memory that nobody uses."""
        if self._seen != addresses.version:
            self._seen = addresses.version
            size = RESIDENT + 2 * len(addresses.values)
            if size > len(self._table):
                grown = np.zeros(size, np.int64)
                grown[: len(self._table)] = self._table
                self._table = grown
                self.version += 1
            gone = [id for id in self._present if id not in addresses.slots]
            if gone:
                self.forget(gone)
        if self.garbage:
            self._collect()

    def _collect(self) -> None:
        while self.garbage:
            address = self.garbage.popleft()
            del self._sizes[address]
            self.device.free(address)

    def address_for(self, label: str, nbytes: int) -> int:
        """New memory for an `Allocation`; raises `OutOfDeviceMemory`, which says what has how much."""
        self._collect()
        try:
            address = self.device.allocate(nbytes)
        except OutOfDeviceMemory:
            self._make_room()
            try:
                address = self.device.allocate(nbytes)
            except OutOfDeviceMemory as error:
                held = ", ".join(f"{name} {size:,}" for name, size in self.report().items())
                raise OutOfDeviceMemory(
                    f"{label} need {nbytes:,} bytes more on the device: {error}. In use: {held or 'nothing'}"
                ) from None
        self._sizes[address] = label, nbytes
        return address

    def _make_room(self) -> None:
        """Give back the memory of arrays whose numbers are on the host."""
        for movable in [m for m, held in self._held.items() if m.resident is not held]:
            del self._held[movable]
        gc.collect()
        self._collect()

    def report(self) -> dict[str, int]:
        """Bytes in use, by what they hold."""
        self._collect()
        sizes: dict[str, int] = {}
        for label, nbytes in self._sizes.values():
            sizes[label] = sizes.get(label, 0) + nbytes
        return sizes
