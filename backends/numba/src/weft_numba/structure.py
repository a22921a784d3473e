"""Kernels of reshape, transpose and concatenations."""

from __future__ import annotations

import math

import numpy as np

from weft_core.ops.attributes import integer
from weft_core.signature import Signature

from .kernels import kernel
from .moves import add_pieces, copy_pieces, piece, places, shifted, table


def same_order(signature: Signature) -> list[int]:
    """Elements stay in their order."""
    result, x = signature.results[0], signature.operands[0]
    return table([piece(0, places(result).reshape(-1, order="F"), places(x).reshape(-1, order="F"))])


def transposed(signature: Signature) -> list[int]:
    """Axis `i` of the result is axis `attributes[i]` of the operand."""
    axes = [integer(axis) for axis in signature.attributes]
    source = places(signature.operands[0], len(axes)).transpose((*axes, len(axes)))
    return table([piece(0, places(signature.results[0]), source)])


def concatenated(signature: Signature) -> list[int]:
    """One piece for each operand, one after another along the axis; those of one shape differ in their place only."""
    axis, result = integer(signature.attributes[0]), signature.results[0]
    whole, step = places(result), math.prod(result.dims[:axis])
    known: dict[tuple[object, ...], tuple[int, list[int]]] = {}
    pieces, begin = [], 0
    for k, x in enumerate(signature.operands):
        size = x.dim(axis)
        if (x.dims, x.batch) not in known:
            target = whole[(*[slice(None)] * axis, slice(begin, begin + size))]
            known[x.dims, x.batch] = begin, piece(k, target, places(x, len(result.dims)))
        first_begin, first_piece = known[x.dims, x.batch]
        pieces.append(shifted(first_piece, k, (begin - first_begin) * step))
        begin += size
    return table(pieces)


def concatenated_examples(signature: Signature) -> list[int]:
    """One piece for each operand: all its examples."""
    ends = np.cumsum([x.batch for x in signature.operands])
    targets = np.split(places(signature.results[0]), ends[:-1], axis=-1)
    sources = [places(x) for x in signature.operands]
    return table([piece(k, y, x) for k, (y, x) in enumerate(zip(targets, sources, strict=True))])


kernel("reshape", forward=copy_pieces, backward=add_pieces, table=same_order)
kernel("transpose", forward=copy_pieces, backward=add_pieces, table=transposed)
kernel("concatenate", forward=copy_pieces, backward=add_pieces, table=concatenated)
kernel("concatenate_to_batch", forward=copy_pieces, backward=add_pieces, table=concatenated_examples)
