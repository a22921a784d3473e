"""Generated Triton source lives in files of Weft's cache folder: Triton reads the source of what it compiles."""

from __future__ import annotations

from types import ModuleType

from weft_numba import cache

from .formulas import IMPORTS


def write_module(name: str, text: str) -> ModuleType:
    """Import generated source, which may use `triton` and `tl`; the same text is one module however often written.

    `name` is an identifier; the file's name is made of it and a digest of the text.
    """
    return cache.write_module(f"triton_{name}", IMPORTS + text)
