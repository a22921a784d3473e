"""Kernels of reductions of a list of expressions, element by element."""

from __future__ import annotations

from weft_core.plan import T_BATCH, T_OPERANDS

from .cache import cached_njit
from .kernels import kernel
from .mathematics import ZERO, exp, log
from .pointers import copy_floats, floats, integers, zero_floats
from .reductions import add_floats, larger, loop, pivot
from .views import batch_stride, gradient, scratch, size, total, value, view, wants_gradient


@cached_njit
def runs(record: int, x: int) -> int:
    """How often an operand meets a part of the result: once, or for each example where it has no batch."""
    return 1 if total(x) == total(view(record, 0)) else integers(record)[T_BATCH]


@cached_njit
def add_operand(record: int, target: int, x: int, row: int) -> None:
    """Add an operand to a result that begins at `target`."""
    for b in range(runs(record, x)):
        add_floats(target + 4 * b * total(x), value(x, row), total(x))


@loop
def raise_to(target_address: int, source_address: int, n: int) -> None:
    """The larger of two numbers, element by element."""
    target, source = floats(target_address), floats(source_address)
    for i in range(n):
        target[i] = larger(target[i], source[i])


@cached_njit
def maximum_of_operands(record: int, target: int, row: int) -> None:
    """Largest element among all operands."""
    for b in range(integers(record)[T_BATCH]):
        x = view(record, 1)
        copy_floats(target + 4 * b * size(x), value(x, row) + 4 * b * batch_stride(x), size(x))
    for k in range(1, integers(record)[T_OPERANDS]):
        x = view(record, 1 + k)
        for b in range(runs(record, x)):
            raise_to(target + 4 * b * total(x), value(x, row), total(x))


def esum_forward(record: int, start: int, count: int) -> None:
    """Sum of all operands; a sum of numbers stays in a register."""
    y = view(record, 0)
    operands = integers(record)[T_OPERANDS]
    for row in range(start, start + count):
        if total(y) == 1:
            s = ZERO
            for k in range(operands):
                s += floats(value(view(record, 1 + k), row))[0]
            floats(value(y, row))[0] = s
            continue
        zero_floats(value(y, row), total(y))
        for k in range(operands):
            add_operand(record, value(y, row), view(record, 1 + k), row)


def esum_backward(record: int, start: int, count: int) -> None:
    """Every operand receives the gradient."""
    y = view(record, 0)
    for row in range(start, start + count):
        dy = gradient(y, row)
        for k in range(integers(record)[T_OPERANDS]):
            x = view(record, 1 + k)
            if not wants_gradient(x):
                continue
            if total(y) == 1:
                floats(gradient(x, row))[0] += floats(dy)[0]
                continue
            for b in range(runs(record, x)):
                add_floats(gradient(x, row), dy + 4 * b * total(x), total(x))


def emax_forward(record: int, start: int, count: int) -> None:
    for row in range(start, start + count):
        maximum_of_operands(record, value(view(record, 0), row), row)


def emax_backward(record: int, start: int, count: int) -> None:
    """The first operand that has the maximum takes the gradient; nothing is left for later ones."""
    y = view(record, 0)
    for row in range(start, start + count):
        copy_floats(scratch(record), gradient(y, row), total(y))
        for k in range(integers(record)[T_OPERANDS]):
            x = view(record, 1 + k)
            n = total(x)
            source = floats(value(x, row))
            for b in range(runs(record, x)):
                left, found = floats(scratch(record) + 4 * b * n), floats(value(y, row) + 4 * b * n)
                if wants_gradient(x):
                    dx = floats(gradient(x, row))
                    for i in range(n):
                        dx[i] += left[i] if (source[i] == found[i]) | (source[i] != source[i]) else ZERO
                for i in range(n):
                    left[i] = ZERO if (source[i] == found[i]) | (source[i] != source[i]) else left[i]


def logsumexp_forward(record: int, start: int, count: int) -> None:
    """`pivot + ln sum exp(x - pivot)`; the result holds the pivot and scratch memory the sum."""
    y = view(record, 0)
    for row in range(start, start + count):
        maximum_of_operands(record, value(y, row), row)
        target, sums = floats(value(y, row)), floats(scratch(record))
        for i in range(total(y)):
            target[i] = pivot(target[i])
            sums[i] = ZERO
        for k in range(integers(record)[T_OPERANDS]):
            x = view(record, 1 + k)
            n = total(x)
            source = floats(value(x, row))
            for b in range(runs(record, x)):
                part, shift = floats(scratch(record) + 4 * b * n), floats(value(y, row) + 4 * b * n)
                for i in range(n):
                    part[i] += exp(source[i] - shift[i])
        for i in range(total(y)):
            target[i] += log(sums[i])


def logsumexp_backward(record: int, start: int, count: int) -> None:
    """dx += dy exp(x - y)."""
    y = view(record, 0)
    for row in range(start, start + count):
        for k in range(integers(record)[T_OPERANDS]):
            x = view(record, 1 + k)
            if not wants_gradient(x):
                continue
            n = total(x)
            source, dx = floats(value(x, row)), floats(gradient(x, row))
            for b in range(runs(record, x)):
                normalizer, dy = floats(value(y, row) + 4 * b * n), floats(gradient(y, row) + 4 * b * n)
                for i in range(n):
                    dx[i] += dy[i] * exp(source[i] - normalizer[i])


kernel("esum", forward=esum_forward, backward=esum_backward)
kernel("emax", forward=emax_forward, backward=emax_backward)
kernel("logsumexp", forward=logsumexp_forward, backward=logsumexp_backward)
