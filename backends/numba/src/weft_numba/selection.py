"""Kernels of parts of a value: sources that the payload moves along an axis or along the batch."""

from __future__ import annotations

import numpy as np

from weft_core.ops.attributes import integer
from weft_core.ops.axes import stride
from weft_core.signature import Signature

from .kernels import kernel
from .moves import Places, add_pieces, copy_pieces, piece, places, table


def cut(part: Places, axis: int, first: int, size: int = 1) -> Places:
    """`size` positions of an axis, which stays."""
    return np.moveaxis(np.moveaxis(part, axis, 0)[first : first + size], 0, axis)


def picked(signature: Signature) -> list[int]:
    """One position of the axis: one piece, or one for each example where each has its index."""
    (x,), axis, result = signature.operands, integer(signature.attributes[0]), signature.results[0]
    source = cut(places(x), axis, 0)
    target = places(result).reshape((*source.shape[:-1], result.batch), order="F")
    if signature.payload == 1:
        return table([piece(0, target, source, 0, stride(x, axis))])
    # An operand of batch 1 is there for every example.
    pairs = [(cut(target, -1, b), cut(source, -1, b % x.batch)) for b in range(result.batch)]
    return table([piece(0, y, part, b, stride(x, axis)) for b, (y, part) in enumerate(pairs)])


def picked_range(signature: Signature) -> list[int]:
    """Neighbours on the axis: the payload says where they begin."""
    (x,), (axis, size) = signature.operands, map(integer, signature.attributes)
    return table([piece(0, places(signature.results[0]), cut(places(x), axis, 0, size), 0, stride(x, axis))])


def selected(signature: Signature) -> list[int]:
    """One piece for each position that the payload names."""
    (x,), (axis, size) = signature.operands, map(integer, signature.attributes)
    target, source = places(signature.results[0]), cut(places(x), axis, 0)
    return table([piece(0, cut(target, axis, k), source, k, stride(x, axis)) for k in range(size)])


def picked_examples(signature: Signature) -> list[int]:
    """One piece for each example that the payload names."""
    (x,), target = signature.operands, places(signature.results[0])
    source = cut(places(x), -1, 0)
    return table([piece(0, cut(target, -1, k), source, k, x.size) for k in range(signature.payload)])


kernel("pick", forward=copy_pieces, backward=add_pieces, table=picked)
kernel("pick_range", forward=copy_pieces, backward=add_pieces, table=picked_range)
kernel("select", forward=copy_pieces, backward=add_pieces, table=selected)
kernel("pick_batch_elems", forward=copy_pieces, backward=add_pieces, table=picked_examples)
