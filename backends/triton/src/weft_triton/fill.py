"""The first work of a backward pass: gradients are cleared, and start from 1 at one place."""

from __future__ import annotations

import triton.language as tl

from .access import base
from .encode import FILL_BLOCK
from .opcodes import opcode

_BLOCK = tl.constexpr(FILL_BLOCK)


@opcode
def clear_gradients(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """Floats up to the word `rows` become 0, and 1 at the word `start`."""
    e = tile * _BLOCK + tl.arange(0, _BLOCK)
    seed = tl.where(e == tl.load(words + at + 3), 1.0, 0.0)
    tl.store(base(bases, words, at, 0) + e, seed, mask=e < tl.load(words + at + 2))
