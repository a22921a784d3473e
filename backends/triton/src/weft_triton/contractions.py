"""Contraction of a tensor with a vector: a product, the first two axes of the tensor as its rows."""

from __future__ import annotations

from weft_core.signature import Signature

from .lowering import Lowering, lowering
from .products import Product, lower_product


@lowering("contract3d_1d")
def lower_contraction(signature: Signature, plan: Lowering) -> None:
    """The vector is a matrix of one column."""
    x, y = signature.operands
    rows, columns, inner = x.dims
    lower_product(Product(rows * columns, inner, 1, x.batch, y.batch), plan)
