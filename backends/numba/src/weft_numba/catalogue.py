"""Every kernel of this backend, registered by import: a file of kernels per file of the op catalogue."""

from __future__ import annotations

from . import elementwise, gated, inputs

__all__ = ["elementwise", "gated", "inputs"]
