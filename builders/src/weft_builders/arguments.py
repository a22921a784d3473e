"""What constructors take: whole numbers, and the collection in which a builder makes its own."""

from __future__ import annotations

from typing import Any

from weft_core.collection import ParameterCollection

# Beyond it, no value could have this size.
LARGEST = 2**31 - 1


def whole_number(owner: str, what: str, number: Any) -> int:
    """A size or a count, truncated as in DyNet; raises TypeError or ValueError for what is none."""
    if not isinstance(number, (str, bytes)):
        try:
            if abs(number) <= LARGEST:
                return int(number)
        except TypeError:
            pass
        else:
            raise ValueError(f"{owner}: {what} must be a whole number up to {LARGEST}, got {number}")
    raise TypeError(f"{owner}: {what} must be a whole number, got {type(number).__name__}")


def subcollection(owner: str, model: Any, name: str) -> ParameterCollection:
    """A new collection of this name inside the model's; raises TypeError where the model is no collection."""
    if not isinstance(model, ParameterCollection):
        raise TypeError(f"{owner} needs a ParameterCollection to keep its parameters in, got {type(model).__name__}")
    return model.add_subcollection(name)
