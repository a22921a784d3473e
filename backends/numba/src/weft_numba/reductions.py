"""Kernels of reductions over elements, axes and batches, and the loops over lines that axis kernels share.

A *line* is the run of elements along the axis: element k stands k * stride floats after the first one. Line j
of an instruction, its examples included, becomes element j of a result that the axis has left.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from weft_core.ops.attributes import integer
from weft_core.plan import T_BATCH
from weft_core.shape import Shape
from weft_core.signature import Signature

from .cache import KERNEL_FASTMATH, cached_njit
from .kernels import kernel
from .mathematics import INFINITY, ZERO, absolute, exp, formula, log
from .pointers import floats, integers, intrinsic, zero_floats
from .views import gradient, layout, size, total, value, view, wants_gradient

loop: Callable[[Callable[..., Any]], Any] = cached_njit(fastmath=set(KERNEL_FASTMATH))
"""Decorator of functions with a loop that a kernel calls: what LLVM may do in a kernel, it may do here."""

# Integers of the table of an axis kernel, and of a sum's.
STRIDE, LENGTH, SIGN = range(3)
INNER, SUMMED, BLOCKS, TARGETS = range(4)


@intrinsic
def larger(typingctx: Any, x: Any, y: Any) -> Any:
    """The larger of two numbers, NaN if either is; LLVM vectorises a loop of it, which no comparison gives."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        binary = ir.FunctionType(ir.FloatType(), [ir.FloatType()] * 2)
        function = builder.module.declare_intrinsic("llvm.maximum", [ir.FloatType()], binary)
        return builder.call(function, arguments, fastmath=("nsz",))

    return types.float32(types.float32, types.float32), generate


def axis_layout(x: Shape, axis: int) -> list[int]:
    """Stride and length of the lines along an axis."""
    return [math.prod(x.dims[:axis]), x.dim(axis)]


def along_attribute(signature: Signature) -> list[int]:
    """Lines along the axis that is the first attribute."""
    return axis_layout(signature.operands[0], integer(signature.attributes[0]))


def along_first(signature: Signature) -> list[int]:
    """Lines along the first axis."""
    return axis_layout(signature.operands[0], 0)


@cached_njit
def lines(record: int, x: int) -> int:
    """Number of lines of one instruction."""
    return total(x) // layout(record, LENGTH)


@cached_njit
def line(record: int, j: int) -> int:
    """Bytes from the start of an instruction to the first element of line j."""
    stride = layout(record, STRIDE)
    if stride == 1:
        return 4 * j * layout(record, LENGTH)
    return 4 * (j // stride * stride * layout(record, LENGTH) + j % stride)


@loop
def largest(address: int, n: int, stride: int) -> Any:
    """Largest element of a line."""
    x = floats(address)
    found = x[0]
    for k in range(1, n):
        found = larger(found, x[k * stride])
    return found


@loop
def sum_exp(address: int, n: int, stride: int, shift: Any) -> Any:
    """Sum of exp(x - shift) over a line."""
    x = floats(address)
    s = ZERO
    for k in range(n):
        s += exp(x[k * stride] - shift)
    return s


@cached_njit
def pivot(largest: Any) -> Any:
    """What to subtract before exp: the largest number; nothing where it is infinite or NaN."""
    return largest if absolute(largest) < INFINITY else ZERO


@formula
def centred(x: Any, shift: Any, normalizer: Any) -> Any:
    """`(x - shift) - normalizer`, in this order: reordered, as kernels allow it, it loses the digits of large x."""
    return (x - shift) - normalizer


@cached_njit
def first_position(address: int, n: int, stride: int, wanted: Any) -> int:
    """Position of the first element of a line that is `wanted`, or NaN."""
    x = floats(address)
    for k in range(n - 1):
        if x[k * stride] == wanted or x[k * stride] != x[k * stride]:
            return k
    return n - 1


@loop
def add_floats(target_address: int, source_address: int, n: int) -> None:
    """Add n floats to n others."""
    target, source = floats(target_address), floats(source_address)
    for i in range(n):
        target[i] += source[i]


# --- sums -----------------------------------------------------------------------------------------


def sum_layout(dims: Sequence[int], axes: Collection[int]) -> list[int]:
    """`[inner, length, blocks, target of each block...]` of a sum over axes.

    The operand is `blocks` blocks of `length` runs of `inner` floats; all runs of a block are added to the
    `inner` floats of the result that begin at its target.
    """
    first = min(axes)
    last = next(axis for axis in range(first, len(dims)) if axis + 1 not in axes)
    step = inner = math.prod(dims[:first])
    targets = [0]
    for axis in range(last + 1, len(dims)):
        stride = 0 if axis in axes else step
        targets = [t + k * stride for k in range(dims[axis]) for t in targets]
        step *= 1 if axis in axes else dims[axis]
    return [inner, math.prod(dims[first : last + 1]), len(targets), *targets]


def sum_elements_table(signature: Signature) -> list[int]:
    return [1, signature.operands[0].size, 1, 0]


def sum_axes_table(signature: Signature) -> list[int]:
    return sum_layout(signature.operands[0].dims, [integer(axis) for axis in signature.attributes])


def sum_batches_table(signature: Signature) -> list[int]:
    x = signature.operands[0]
    return [x.size, x.batch, 1, 0]


def sum_forward(record: int, start: int, count: int) -> None:
    """Add the runs of each block; runs of one float are summed in a register."""
    y, x = view(record, 0), view(record, 1)
    inner, length, blocks = layout(record, INNER), layout(record, SUMMED), layout(record, BLOCKS)
    for row in range(start, start + count):
        zero_floats(value(y, row), total(y))
        source = value(x, row)
        for b in range(integers(record)[T_BATCH]):
            for block in range(blocks):
                target = value(y, row) + 4 * (b * size(y) + layout(record, TARGETS + block))
                if inner == 1:
                    run, s = floats(source), ZERO
                    for k in range(length):
                        s += run[k]
                    floats(target)[0] += s
                else:
                    for k in range(length):
                        add_floats(target, source + 4 * k * inner, inner)
                source += 4 * inner * length


def sum_backward(record: int, start: int, count: int) -> None:
    """Every run of a block receives the gradient at the block's target."""
    y, x = view(record, 0), view(record, 1)
    if not wants_gradient(x):
        return
    inner, length, blocks = layout(record, INNER), layout(record, SUMMED), layout(record, BLOCKS)
    for row in range(start, start + count):
        target = gradient(x, row)
        for b in range(integers(record)[T_BATCH]):
            for block in range(blocks):
                source = gradient(y, row) + 4 * (b * size(y) + layout(record, TARGETS + block))
                if inner == 1:
                    run, dy = floats(target), floats(source)[0]
                    for k in range(length):
                        run[k] += dy
                else:
                    for k in range(length):
                        add_floats(target + 4 * k * inner, source, inner)
                target += 4 * inner * length


# --- along an axis --------------------------------------------------------------------------------


def cumsum_forward(record: int, start: int, count: int) -> None:
    """Running sums from the first element of each line."""
    y, x = view(record, 0), view(record, 1)
    stride = layout(record, STRIDE)
    for row in range(start, start + count):
        for j in range(lines(record, x)):
            source, target = floats(value(x, row) + line(record, j)), floats(value(y, row) + line(record, j))
            s = ZERO
            for k in range(layout(record, LENGTH)):
                s += source[k * stride]
                target[k * stride] = s


def cumsum_backward(record: int, start: int, count: int) -> None:
    """Running sums of the gradient from the last element of each line."""
    y, x = view(record, 0), view(record, 1)
    if not wants_gradient(x):
        return
    stride = layout(record, STRIDE)
    for row in range(start, start + count):
        for j in range(lines(record, x)):
            dy, dx = floats(gradient(y, row) + line(record, j)), floats(gradient(x, row) + line(record, j))
            s = ZERO
            for k in range(layout(record, LENGTH) - 1, -1, -1):
                s += dy[k * stride]
                dx[k * stride] += s


def extreme_table(sign: int) -> Callable[[Signature], list[int]]:
    """Table of a maximum (sign 1), or of a minimum (sign -1), which is the maximum of -x."""
    return lambda signature: [*along_attribute(signature), sign]


def extreme_forward(record: int, start: int, count: int) -> None:
    """Largest element of each line; of lines that lie side by side, all at once, run by run."""
    y, x = view(record, 0), view(record, 1)
    stride, n, sign = layout(record, STRIDE), layout(record, LENGTH), np.float32(layout(record, SIGN))
    for row in range(start, start + count):
        for block in range(lines(record, x) // stride):
            target = floats(value(y, row) + 4 * block * stride)
            source = value(x, row) + 4 * block * stride * n
            if stride == 1 and sign > ZERO:
                target[0] = largest(source, n, 1)
                continue
            for i in range(stride):
                target[i] = floats(source)[i]
            for k in range(1, n):
                run = floats(source + 4 * k * stride)
                for i in range(stride):
                    target[i] = sign * larger(sign * target[i], sign * run[i])


def extreme_backward(record: int, start: int, count: int) -> None:
    """The gradient goes to the first position that has the extreme."""
    y, x = view(record, 0), view(record, 1)
    if not wants_gradient(x):
        return
    stride, n = layout(record, STRIDE), layout(record, LENGTH)
    for row in range(start, start + count):
        found, dy = floats(value(y, row)), floats(gradient(y, row))
        for j in range(lines(record, x)):
            at = line(record, j)
            k = first_position(value(x, row) + at, n, stride, found[j])
            floats(gradient(x, row) + at)[k * stride] += dy[j]


def logsumexp_forward(record: int, start: int, count: int) -> None:
    """`pivot + ln sum exp(x - pivot)` of each line."""
    y, x = view(record, 0), view(record, 1)
    stride, n = layout(record, STRIDE), layout(record, LENGTH)
    for row in range(start, start + count):
        target = floats(value(y, row))
        for j in range(lines(record, x)):
            source = value(x, row) + line(record, j)
            shift = pivot(largest(source, n, stride))
            target[j] = shift + log(sum_exp(source, n, stride, shift))


def logsumexp_backward(record: int, start: int, count: int) -> None:
    """dx += dy exp(x - y)."""
    y, x = view(record, 0), view(record, 1)
    if not wants_gradient(x):
        return
    stride = layout(record, STRIDE)
    for row in range(start, start + count):
        for j in range(lines(record, x)):
            at = line(record, j)
            source, target = floats(value(x, row) + at), floats(gradient(x, row) + at)
            normalizer, dy = floats(value(y, row))[j], floats(gradient(y, row))[j]
            for k in range(layout(record, LENGTH)):
                target[k * stride] += dy * exp(source[k * stride] - normalizer)


kernel("sum_elems", forward=sum_forward, backward=sum_backward, table=sum_elements_table)
kernel("sum_dim", forward=sum_forward, backward=sum_backward, table=sum_axes_table)
kernel("sum_batches", forward=sum_forward, backward=sum_backward, table=sum_batches_table)
kernel("cumsum", forward=cumsum_forward, backward=cumsum_backward, table=along_attribute)
kernel("max_dim", forward=extreme_forward, backward=extreme_backward, table=extreme_table(1))
kernel("min_dim", forward=extreme_forward, backward=extreme_backward, table=extreme_table(-1))
kernel("logsumexp_dim", forward=logsumexp_forward, backward=logsumexp_backward, table=along_attribute)
