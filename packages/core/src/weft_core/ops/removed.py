"""Inputs that DyNet 2.1 keeps by name only: each raises, and says what to use."""

from __future__ import annotations

from typing import Any, NoReturn


def matInput(d1: Any, d2: Any) -> NoReturn:
    """Raises `DeprecationWarning`: matrices are made by `inputTensor`."""
    raise DeprecationWarning("matInput is no longer there; use inputTensor(np.zeros((d1, d2))), and its set()")


def inputMatrix(v: Any, d: Any) -> NoReturn:
    """Raises `DeprecationWarning`: matrices are made by `inputTensor`."""
    raise DeprecationWarning(
        "inputMatrix is no longer there; use inputTensor(array), "
        "or inputTensorTranspose(v, d) for a flat list in column-major order"
    )
