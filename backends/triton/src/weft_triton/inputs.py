"""Inputs: staged numbers and rows of look-up tables; gradients of rows are added up in sorted order, or atomically."""

from __future__ import annotations

import triton.language as tl

from weft_core.signature import Signature

from .access import add, base, constant, payload, row_offsets, rows, staged
from .lowering import Gradient, Lowering, Tiles, Value, lowering
from .opcodes import opcode

BLOCK = 1024
_BLOCK = tl.constexpr(BLOCK)


@opcode
def input_forward(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """y[e] = data[place + e]; constants: floats of an instruction."""
    e = tile * _BLOCK + tl.arange(0, _BLOCK)
    n = constant(words, at, tables, 0)
    mask = e < rows(words, at) * n
    r = e // n
    q = e - r * n
    x = staged(words, at, payload(words, at, 0, r, mask) + q, mask)
    tl.store(base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + q, x, mask=mask)


@opcode
def lookup_forward(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """y[:, b] = table[:, id of b]; constants: floats of a row of the table, examples."""
    e = tile * _BLOCK + tl.arange(0, _BLOCK)
    n = constant(words, at, tables, 0)
    per_row = n * constant(words, at, tables, 1)
    mask = e < rows(words, at) * per_row
    r = e // per_row
    q = e - r * per_row
    b = q // n
    place = tl.load(words + at + 5) + b * tl.load(words + at + 6) + r
    id = tl.load(words + place, mask=mask, other=0)
    x = tl.load(base(bases, words, at, 1) + id * n + q - b * n, mask=mask, other=0.0)
    tl.store(base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + q, x, mask=mask)


@opcode
def lookup_backward_atomic(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """table gradient[:, id of b] += dy[:, b], in whatever order."""
    e = tile * _BLOCK + tl.arange(0, _BLOCK)
    n = constant(words, at, tables, 0)
    per_row = n * constant(words, at, tables, 1)
    mask = e < rows(words, at) * per_row
    r = e // per_row
    q = e - r * per_row
    b = q // n
    place = tl.load(words + at + 5) + b * tl.load(words + at + 6) + r
    id = tl.load(words + place, mask=mask, other=0)
    dy = tl.load(base(bases, words, at, 0) + row_offsets(words, at, 0, r, mask) + q, mask=mask, other=0.0)
    tl.atomic_add(base(bases, words, at, 1) + id * n + q - b * n, dy, mask=mask, sem="relaxed")


@opcode
def lookup_backward_sorted(words, at, tile, bases, tables, PRECISION: tl.constexpr):
    """table gradient[:, id] += sum of dy[:, b] over all b with this id, in the order of the rows.

    The payload is what `encode.sort_rows` writes: groups of one id.
    """
    e = tile * _BLOCK + tl.arange(0, _BLOCK)
    n = constant(words, at, tables, 0)
    batch = constant(words, at, tables, 1)
    place = tl.load(words + at + 5)
    entries = tl.load(words + at + 6)
    group = e // n
    j = e - group * n
    mask = group < tl.load(words + place)
    first = tl.load(words + place + 1 + group, mask=mask, other=0)
    count = tl.load(words + place + 2 + group, mask=mask, other=0) - first
    source = base(bases, words, at, 0)
    total = tl.zeros([_BLOCK], tl.float32)
    for m in range(0, tl.max(count, 0)):
        some = mask & (m < count)
        member = tl.load(words + place + 2 + entries + first + m, mask=some, other=0)
        r = member // batch
        offset = row_offsets(words, at, 0, r, some) + (member - r * batch) * n + j
        total += tl.load(source + offset, mask=some, other=0.0)
    id = tl.load(words + place + 2 + 2 * entries + group, mask=mask, other=0)
    add(base(bases, words, at, 1) + id * n + j, total, mask, words, at, 1)


@lowering("input")
def lower_input(signature: Signature, plan: Lowering) -> None:
    """Numbers of the graph."""
    total = signature.results[0].total
    plan.forward(input_forward, Tiles(total, BLOCK), [Value(0)], constants=[total])


@lowering("lookup")
def lower_lookup(signature: Signature, plan: Lowering) -> None:
    """Rows of a table, and their gradients."""
    y = signature.results[0]
    constants = [y.size, y.batch]
    plan.forward(lookup_forward, Tiles(y.total, BLOCK), [Value(0), Value(1)], constants=constants)
    if plan.needs[1]:
        views = [Gradient(0), Gradient(1)]
        if plan.options.scatter == "sorted":
            plan.backward(
                lookup_backward_sorted, Tiles(y.total, BLOCK), views, constants=constants, sorted_by=signature.payload
            )
        else:
            plan.backward(lookup_backward_atomic, Tiles(y.total, BLOCK), views, constants=constants)
