"""Arrays of the host whose newest numbers may be elsewhere: a backend keeps them in memory of its own between looks."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]

# Two threads that want one array back must not fetch it twice: the second would undo what the first has written.
_coming_home = threading.RLock()


class Resident(Protocol):
    """The memory of a backend that holds the newest numbers of an array."""

    def fetch(self, array: Floats, start: int, stop: int) -> None:
        """Copy `start` to `stop` of the first axis into the array on the host."""

    def release(self) -> None:
        """The numbers are at home again, and may change there."""


class Movable(ABC):
    """A float32 array of the host, or of a backend that holds newer numbers.

    `array` is the memory on the host, whatever it holds: use `here` or `seen`. A view of it stays right until a backend
    with memory of its own computes with these numbers.
    """

    __slots__ = ("__weakref__", "array", "resident")

    def __init__(self, array: Floats) -> None:
        self.array = array
        self.resident: Resident | None = None

    @abstractmethod
    def moved(self) -> None:
        """The newest numbers are at another address now, or nowhere on the host."""

    def here(self) -> Floats:
        """The array, to read and to change: it holds the newest numbers, and nobody else does."""
        if self.resident is not None:
            self._come_home()
        return self.array

    def _come_home(self) -> None:
        with _coming_home:
            if self.resident is not None:
                self.resident.fetch(self.array, 0, len(self.array))
                self.resident.release()
                self.resident = None
                self.moved()

    def seen(self, start: int = 0, stop: int | None = None) -> Floats:
        """`start` to `stop` of the first axis, to read only: the newest numbers, which stay where they are."""
        part = self.array[start:stop]
        part.flags.writeable = False
        if self.resident is not None:
            self.resident.fetch(self.array, start, start + len(part))
        return part

    def leave(self, resident: Resident) -> None:
        """From now on a backend changes these numbers, and the array on the host grows old."""
        self.resident = resident
        self.moved()

    def replace(self, array: Floats) -> None:
        """Another array takes its place; it holds the newest numbers."""
        # The old one lives until nobody has its address.
        previous = self.array
        self.array, self.resident = array, None
        self.moved()
        del previous
