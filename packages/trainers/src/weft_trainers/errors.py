"""What trainers raise."""

from __future__ import annotations

from weft_core.errors import WeftError


class LossError(WeftError, RuntimeError, FloatingPointError):
    """A loss that is infinite or undefined; the parameters are as after the update before."""


class TrainerError(WeftError, RuntimeError):
    """An update that cannot be made; the parameters are as before it."""
