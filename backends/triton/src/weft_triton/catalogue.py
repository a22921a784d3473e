"""Every kernel of this backend, registered by import: a file of kernels per file of the op catalogue."""

from __future__ import annotations

from . import (
    activations,
    circular,
    contractions,
    convolution,
    elementwise,
    gated,
    indexing,
    inputs,
    linear_algebra,
    list_reductions,
    losses,
    narrow_filter,
    noise,
    normalisation,
    pooling,
    products,
    reductions,
    selection,
    softmax,
    structure,
)

__all__ = [
    "activations",
    "circular",
    "contractions",
    "convolution",
    "elementwise",
    "gated",
    "indexing",
    "inputs",
    "linear_algebra",
    "list_reductions",
    "losses",
    "narrow_filter",
    "noise",
    "normalisation",
    "pooling",
    "products",
    "reductions",
    "selection",
    "softmax",
    "structure",
]
