"""Kernel of the contraction of a tensor with a vector: a product, the first two axes of the tensor as its rows."""

from __future__ import annotations

import math

from weft_core.signature import Signature

from .kernels import kernel
from .products import product_backward, product_forward


def contraction_table(signature: Signature) -> list[int]:
    """Rows, inner size and columns of one example's product."""
    dims = signature.operands[0].dims
    return [math.prod(dims[:2]), dims[2], 1]


kernel("contract3d_1d", forward=product_forward, backward=product_backward, table=contraction_table)
