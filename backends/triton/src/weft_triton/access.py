"""How device code reads an instruction: header, views, constants, payload.

An instruction is `HEADER` words, then `VIEW` words for each of its views; `encode.py` writes it. Everything is an index
into 32-bit words, so that one copy takes a whole plan to the device.
"""

from __future__ import annotations

import triton
import triton.language as tl

# Words of an instruction's header.
OPCODE, FIRST_TILE, ROWS, START, CONSTANTS, PAYLOAD, PAYLOAD_STRIDE, DATA = range(8)
HEADER = 8
# Words of a view: index of its memory's address, row offsets, floats added to each of them, flags.
BASE, LIST, SHIFT, FLAGS = range(4)
VIEW = 4
# Flag of a view: others may add to the same memory at the same time.
SHARED = 1
# Places in a plan's table of addresses; parameter number n of the plan has its values at `FIRST_PARAMETER + 2 * n`, its
# gradients behind.
ABSENT, VALUES, GRADIENTS = range(3)
FIRST_PARAMETER = 3
# Parameter `id` in the table of what is on the device: `RESIDENT + 2 * id`, the gradients behind.
RESIDENT = 8
# Words at the start of a plan: seed and random stream, low and high.
SEED_LOW, SEED_HIGH, STREAM_LOW, STREAM_HIGH = range(4)
PLAN_HEADER = 8


@triton.jit
def rows(words, at):
    """How many instructions of the tape run together."""
    return tl.load(words + at + 2)


@triton.jit
def start(words, at):
    """The number of the first row inside its type."""
    return tl.load(words + at + 3)


@triton.jit
def constant(words, at, tables, k):
    """Constant `k` of the work, a whole number."""
    return tl.load(tables + tl.load(words + at + 4) + k)


@triton.jit
def constants(words, at, tables, k, mask):
    """Constants `k`, a block of whole numbers."""
    return tl.load(tables + tl.load(words + at + 4) + k, mask=mask, other=0)


@triton.jit
def setting(words, at, tables, k):
    """Constant `k` of the work, a float32."""
    return tl.load(tables + tl.load(words + at + 4) + k).to(tl.float32, bitcast=True)


@triton.jit
def payload(words, at, k, r, mask):
    """Payload number `k` of rows `r`."""
    place = tl.load(words + at + 5) + k * tl.load(words + at + 6)
    return tl.load(words + place + r, mask=mask, other=0)


@triton.jit
def staged(words, at, place, mask):
    """Numbers that the graph staged at these places."""
    return tl.load(words + tl.load(words + at + 7) + place, mask=mask, other=0).to(tl.float32, bitcast=True)


@triton.jit
def present(words, at, k):
    """Whether view `k` has memory."""
    return tl.load(words + at + 8 + 4 * k) != 0


@triton.jit
def base(bases, words, at, k):
    """The float32 pointer that row offsets of view `k` are added to."""
    address = tl.load(bases + tl.load(words + at + 8 + 4 * k))
    return address.to(tl.pointer_type(tl.float32)) + tl.load(words + at + 8 + 4 * k + 2)


@triton.jit
def row_offsets(words, at, k, r, mask):
    """Where rows `r` of view `k` start, in floats; 0 for every row of a parameter."""
    place = tl.load(words + at + 8 + 4 * k + 1)
    return tl.load(words + place + r, mask=mask & (place >= 0), other=0)


@triton.jit
def takes_gradient(words, at, k, offsets):
    """Whether rows at these offsets may receive a gradient: the zero value may not."""
    return (offsets != 0) | (tl.load(words + at + 8 + 4 * k + 1) < 0)


@triton.jit
def add(pointers, numbers, mask, words, at, k):
    """Add to memory of view `k`: atomically where others may add to it at the same time."""
    if tl.load(words + at + 8 + 4 * k + 3) & 1 != 0:
        tl.atomic_add(pointers, numbers, mask=mask, sem="relaxed")
    else:
        tl.store(pointers, tl.load(pointers, mask=mask, other=0.0) + numbers, mask=mask)
