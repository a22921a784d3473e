"""Attributes of a signature as the numbers that an operation put there."""

from __future__ import annotations

from ..operation import Attribute


def integer(attribute: Attribute) -> int:
    """An axis or a count."""
    assert isinstance(attribute, int)
    return attribute


def number(attribute: Attribute) -> float:
    """A rate, a margin, a standard deviation."""
    assert isinstance(attribute, (int, float))
    return float(attribute)
