"""What a user may choose about this backend; each from an argument or from the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from weft_core.errors import BackendError

MODES = ("levels", "tape")
PRECISIONS = ("float32", "tf32", "bfloat16")
SCATTERS = ("sorted", "atomic")


def _chosen(variable: str, default: str) -> str:
    return os.environ.get(variable, default)


@dataclass(frozen=True)
class Options:
    """How graphs run on the device.

    `mode`: "levels", a launch for each level of a graph (the default: nothing can hang), or "tape", one cooperative
    launch with a barrier between levels. `precision` of matrix products: "float32" (the default: results equal those of
    the CPU to rounding), "tf32", or "bfloat16"; sums are float32 in all of them, and so are parameters and updates.
    `scatter`: gradients of looked-up rows are added up "sorted", the same bits in every run (the default), or "atomic".
    The environment variables WEFT_TRITON_MODE, WEFT_TRITON_PRECISION and WEFT_TRITON_SCATTER say the same.
    """

    mode: str = field(default_factory=lambda: _chosen("WEFT_TRITON_MODE", "levels"))
    precision: str = field(default_factory=lambda: _chosen("WEFT_TRITON_PRECISION", "float32"))
    scatter: str = field(default_factory=lambda: _chosen("WEFT_TRITON_SCATTER", "sorted"))

    def __post_init__(self) -> None:
        for name, known in (("mode", MODES), ("precision", PRECISIONS), ("scatter", SCATTERS)):
            if getattr(self, name) not in known:
                raise BackendError(
                    f"the Triton backend has no {name} {getattr(self, name)!r}; choose one of {', '.join(known)}"
                )
