"""Kernel of ranges of axes."""

from __future__ import annotations

from weft_core.ops.indexing import StridedSelect
from weft_core.signature import Signature

from .kernels import kernel
from .moves import add_pieces, copy_pieces, piece, places, table


def strided(signature: Signature) -> list[int]:
    """Every s-th position of each axis."""
    operation = signature.operation
    assert isinstance(operation, StridedSelect)
    source = places(signature.operands[0])[operation.slices(signature.attributes)]
    return table([piece(0, places(signature.results[0]), source)])


kernel("strided_select", forward=copy_pieces, backward=add_pieces, table=strided)
