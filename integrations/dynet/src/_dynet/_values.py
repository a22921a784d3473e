"""Boxes for C++ numbers and arrays, which Python programs hardly need."""

from __future__ import annotations

from collections.abc import Iterable
from operator import index

import numpy as np


class UnsignedValue:
    """A whole number from 0."""

    def __init__(self, val: int = 0) -> None:
        self.set(val)

    def set(self, val: int) -> None:
        """Replace the number; raises OverflowError outside of 32 bits."""
        self._value = _unsigned(val)

    def get(self) -> int:
        """The number."""
        return self._value


class FloatValue:
    """A number, of the precision of float32."""

    def __init__(self, val: float = 0) -> None:
        self.set(val)

    def set(self, val: float) -> None:
        """Replace the number."""
        self._value = float(np.float32(val))

    def get(self) -> float:
        """The number."""
        return self._value


class UnsignedVectorValue:
    """A list of whole numbers from 0."""

    def __init__(self, vals: Iterable[int]) -> None:
        self.set(vals)

    def set(self, vals: Iterable[int]) -> None:
        """Replace the list; raises OverflowError for a number outside of 32 bits."""
        self._values = [_unsigned(val) for val in vals]

    def get(self) -> list[int]:
        """The list."""
        return list(self._values)

    def size(self) -> int:
        """How many numbers there are."""
        return len(self._values)


class FloatVectorValue:
    """A list of numbers, of the precision of float32."""

    def __init__(self, vals: Iterable[float]) -> None:
        self.set(vals)

    def set(self, vals: Iterable[float]) -> None:
        """Replace the list."""
        self._values = [float(np.float32(val)) for val in vals]

    def get(self) -> list[float]:
        """The list."""
        return list(self._values)

    def size(self) -> int:
        """How many numbers there are."""
        return len(self._values)


def _unsigned(value: int) -> int:
    if not 0 <= index(value) < 2**32:
        raise OverflowError(f"an unsigned number is from 0 to 2**32 - 1, got {value}")
    return index(value)
