"""Every kernel of this backend, registered by import: a file of kernels per file of the op catalogue."""

from __future__ import annotations

from . import (
    activations,
    compound,
    elementwise,
    gated,
    indexing,
    inputs,
    list_reductions,
    losses,
    lstm,
    noise,
    products,
    reductions,
    selection,
    softmax,
    structure,
)

__all__ = [
    "activations",
    "compound",
    "elementwise",
    "gated",
    "indexing",
    "inputs",
    "list_reductions",
    "losses",
    "lstm",
    "noise",
    "products",
    "reductions",
    "selection",
    "softmax",
    "structure",
]
