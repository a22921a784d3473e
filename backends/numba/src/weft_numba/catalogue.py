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
    softmax_loss,
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
    "softmax_loss",
    "structure",
]
