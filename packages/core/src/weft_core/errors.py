"""Exceptions that Weft raises; each carries a sentence that says what to do, and the line of the program."""

from __future__ import annotations

import linecache
import sys
from types import FrameType

# Top-level modules that belong to Weft: a program's own line is the innermost one outside of them.
_OURS = frozenset(
    {"weft", "weft_builders", "weft_core", "weft_numba", "weft_testing", "weft_trainers", "weft_triton"}
    | {"dynet", "_dynet", "numpy", "contextlib", "functools"}
)


def program_line() -> str:
    """Where the running program called Weft: `file:line: source`; empty where there is no such line."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _OURS:
            path, line = frame.f_code.co_filename, frame.f_lineno
            source = linecache.getline(path, line, frame.f_globals).strip()
            return f"{path}:{line}: {source}" if source else f"{path}:{line}"
        frame = frame.f_back
    return ""


class WeftError(Exception):
    """Base of every exception that is Weft's own; a note names the line of the program that it is about."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        line = program_line()
        if line:
            self.add_note(f"at {line}")


class ShapeError(WeftError, ValueError):
    """Operand shapes that an operation does not accept."""


class OperandError(WeftError, TypeError):
    """An operand that is not an expression, or a list of them."""


class StaleExpression(WeftError, RuntimeError):
    """An expression of a graph that was renewed, left or reverted."""


class GradientError(WeftError, RuntimeError):
    """A gradient was asked for that no backward pass has computed."""


class IndexValueError(WeftError, ValueError, IndexError):
    """An index in the payload of an operation is outside of its axis."""


class InvalidValue(WeftError, RuntimeError):
    """A computed value is not a number or not finite, in a graph that checks its values."""


class SeedError(WeftError, ValueError, OverflowError):
    """A seed that no random stream has."""


class BackendError(WeftError, RuntimeError):
    """A backend is absent, unsuitable, or failed."""


class FormulaError(WeftError, ValueError):
    """A formula text that is not an expression of the known functions and names."""
