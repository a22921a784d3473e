"""Kernels of inputs and look-ups."""

from __future__ import annotations

from weft_core.plan import T_BATCH, V_PARAMETER
from weft_core.store import FLAGS, MAKE_UP, MAKE_UP_JOB, TOUCHED, TOUCHED_COUNT

from .kernels import kernel
from .pointers import bytes_at, call_kernel, copy_floats, floats, integers
from .registers import R_DATA, R_PARAMETER_META
from .views import gradient, payload, register, size, total, value, view, wants_gradient


def input_forward(record: int, start: int, count: int) -> None:
    """Copy staged numbers into the arena."""
    y = view(record, 0)
    data = register(record, R_DATA)
    for row in range(start, start + count):
        copy_floats(value(y, row), data + 4 * payload(record, 0, row), total(y))


def lookup_forward(record: int, start: int, count: int) -> None:
    """Copy rows of the table, each made current first where rows may have missed updates."""
    y, table = view(record, 0), view(record, 1)
    n = size(y)
    base = value(table, 0)
    meta = integers(integers(register(record, R_PARAMETER_META))[integers(table)[V_PARAMETER]])
    for row in range(start, start + count):
        target = value(y, row)
        for b in range(integers(record)[T_BATCH]):
            index = payload(record, b, row)
            if meta[MAKE_UP] != 0:
                call_kernel(meta[MAKE_UP], meta[MAKE_UP_JOB], index, 1)
            copy_floats(target + 4 * b * n, base + 4 * n * index, n)


def lookup_backward(record: int, start: int, count: int) -> None:
    """Add gradients to the table's rows, and note which rows were touched."""
    y, table = view(record, 0), view(record, 1)
    if not wants_gradient(table):
        return
    n = size(y)
    base = gradient(table, 0)
    meta = integers(integers(register(record, R_PARAMETER_META))[integers(table)[V_PARAMETER]])
    touched, flags = integers(meta[TOUCHED]), bytes_at(meta[FLAGS])
    for row in range(start, start + count):
        source = gradient(y, row)
        for b in range(integers(record)[T_BATCH]):
            index = payload(record, b, row)
            if flags[index] == 0:
                flags[index] = 1
                touched[meta[TOUCHED_COUNT]] = index
                meta[TOUCHED_COUNT] += 1
            dy, target = floats(source + 4 * b * n), floats(base + 4 * n * index)
            for i in range(n):
                target[i] += dy[i]


kernel("input", forward=input_forward)
kernel("lookup", forward=lookup_forward, backward=lookup_backward)
