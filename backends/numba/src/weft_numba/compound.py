"""The compound kernel: the kernels of inner instructions one after another, on records that the driver wrote.

A hoisted inner instruction reads nothing of the recurrence. It runs for all rows in the prologue, and its gradient for
all rows in the epilogue.
"""

from __future__ import annotations

from weft_core.plan import T_HOISTED, T_KERNELS, T_TABLE

from .cache import cached_njit
from .inner import OFFSET, OPERANDS, PARAMETERS, RESULTS, VIEW_FIELDS, VIEWS, layout_table
from .kernels import kernel
from .pointers import call_kernel, integers
from .registers import KERNEL_BACKWARD, KERNEL_EPILOGUE, KERNEL_FORWARD, KERNEL_PROLOGUE


@cached_njit
def entry_size(table: int, at: int) -> int:
    """Integers of the entry at `at`: its fields and its views."""
    numbers = integers(table)
    return VIEWS + VIEW_FIELDS * (numbers[at + RESULTS] + numbers[at + OPERANDS] + numbers[at + PARAMETERS])


@cached_njit
def run(inner: int, phase: int, start: int, count: int) -> None:
    """One phase of one inner instruction, where it has it."""
    address = integers(integers(inner)[T_KERNELS])[phase]
    if address:
        call_kernel(address, inner, start, count)


def prologue(record: int, start: int, count: int) -> None:
    table = integers(record)[T_TABLE]
    at = 1
    for _ in range(integers(table)[0]):
        inner = record + 8 * integers(table)[at + OFFSET]
        run(inner, KERNEL_PROLOGUE, start, count)
        if integers(inner)[T_HOISTED]:
            run(inner, KERNEL_FORWARD, start, count)
        at += entry_size(table, at)


def forward(record: int, start: int, count: int) -> None:
    table = integers(record)[T_TABLE]
    at = 1
    for _ in range(integers(table)[0]):
        inner = record + 8 * integers(table)[at + OFFSET]
        if not integers(inner)[T_HOISTED]:
            run(inner, KERNEL_FORWARD, start, count)
        at += entry_size(table, at)


@cached_njit
def inner_at(record: int, k: int) -> int:
    """The record of inner instruction `k`."""
    table = integers(record)[T_TABLE]
    at = 1
    for _ in range(k):
        at += entry_size(table, at)
    return record + 8 * integers(table)[at + OFFSET]


def backward(record: int, start: int, count: int) -> None:
    for k in range(integers(integers(record)[T_TABLE])[0] - 1, -1, -1):
        inner = inner_at(record, k)
        if not integers(inner)[T_HOISTED]:
            run(inner, KERNEL_BACKWARD, start, count)


def epilogue(record: int, start: int, count: int) -> None:
    for k in range(integers(integers(record)[T_TABLE])[0] - 1, -1, -1):
        inner = inner_at(record, k)
        if integers(inner)[T_HOISTED]:
            run(inner, KERNEL_BACKWARD, start, count)
        run(inner, KERNEL_EPILOGUE, start, count)


kernel("compound", prologue=prologue, forward=forward, backward=backward, epilogue=epilogue, table=layout_table)
