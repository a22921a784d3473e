"""Exceptions that Weft raises; each carries a sentence that says what to do."""

from __future__ import annotations


class WeftError(Exception):
    """Base of every exception that is Weft's own."""


class ShapeError(WeftError, ValueError):
    """Operand shapes that an operation does not accept."""


class StaleExpression(WeftError, RuntimeError):
    """An expression of a graph that was renewed, left or reverted."""


class GradientError(WeftError, RuntimeError):
    """A gradient was asked for that no backward pass has computed."""


class IndexValueError(WeftError, ValueError, IndexError):
    """An index in the payload of an operation is outside of its axis."""


class BackendError(WeftError, RuntimeError):
    """A backend is absent, unsuitable, or failed."""


class FormulaError(WeftError, ValueError):
    """A formula text that is not an expression of the known functions and names."""
