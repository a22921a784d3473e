"""Matrix products of tiles in the precision that the user chose; sums are float32 in all of them."""

from __future__ import annotations

import triton
import triton.language as tl

from .toolchain import INTERPRETED

_INTERPRETED = tl.constexpr(INTERPRETED)


@triton.jit
def dot(a, b, total, PRECISION: tl.constexpr):
    """total + a b. `PRECISION` counts as in `options.PRECISIONS`: float32, tf32, bfloat16."""
    if PRECISION == 2:
        a, b = a.to(tl.bfloat16), b.to(tl.bfloat16)
        if _INTERPRETED:
            # The interpreter multiplies bit patterns of bfloat16.
            a, b = a.to(tl.float32), b.to(tl.float32)
        result = tl.dot(a, b, total)
    elif PRECISION == 1:
        result = tl.dot(a, b, total, input_precision="tf32")
    else:
        result = tl.dot(a, b, total, input_precision="ieee")
    return result
