"""Kernels of the LSTM primitives."""

from __future__ import annotations

import numpy as np

from weft_core.plan import T_BATCH

from .kernels import kernel
from .mathematics import logistic, tanh
from .pointers import floats, integers
from .views import batch_stride, gradient, size, value, view, wants_gradient

ONE = np.float32(1.0)


def gates_forward(record: int, start: int, count: int) -> None:
    """Logistic of three quarters of the rows, the second of them plus 1; tanh of the last."""
    y, x = view(record, 0), view(record, 1)
    n = size(y) // 4
    for row in range(start, start + count):
        for b in range(integers(record)[T_BATCH]):
            target, source = floats(value(y, row) + 16 * b * n), floats(value(x, row) + 16 * b * n)
            for j in range(n):
                target[j] = logistic(source[j])
            for j in range(n, 2 * n):
                target[j] = logistic(source[j] + ONE)
            for j in range(2 * n, 3 * n):
                target[j] = logistic(source[j])
            for j in range(3 * n, 4 * n):
                target[j] = tanh(source[j])


def gates_backward(record: int, start: int, count: int) -> None:
    """From the activated gates."""
    y, x = view(record, 0), view(record, 1)
    if not wants_gradient(x):
        return
    n = size(y) // 4
    for row in range(start, start + count):
        for b in range(integers(record)[T_BATCH]):
            gates, dy = floats(value(y, row) + 16 * b * n), floats(gradient(y, row) + 16 * b * n)
            dx = floats(gradient(x, row) + 16 * b * n)
            for j in range(3 * n):
                dx[j] += dy[j] * gates[j] * (ONE - gates[j])
            for j in range(3 * n, 4 * n):
                dx[j] += dy[j] * (ONE - gates[j] * gates[j])


def memory_forward(record: int, start: int, count: int) -> None:
    """c' = i g + f c."""
    y, state, gates = view(record, 0), view(record, 1), view(record, 2)
    n = size(y)
    for row in range(start, start + count):
        for b in range(integers(record)[T_BATCH]):
            target = floats(value(y, row) + 4 * b * n)
            c = floats(value(state, row) + 4 * b * batch_stride(state))
            a = floats(value(gates, row) + 4 * b * batch_stride(gates))
            for j in range(n):
                target[j] = a[j] * a[3 * n + j] + a[n + j] * c[j]


def memory_backward(record: int, start: int, count: int) -> None:
    """dc += f dc'; di += g dc', df += c dc', dg += i dc'."""
    y, state, gates = view(record, 0), view(record, 1), view(record, 2)
    n = size(y)
    for row in range(start, start + count):
        for b in range(integers(record)[T_BATCH]):
            dy = floats(gradient(y, row) + 4 * b * n)
            c = floats(value(state, row) + 4 * b * batch_stride(state))
            a = floats(value(gates, row) + 4 * b * batch_stride(gates))
            if wants_gradient(state):
                dc = floats(gradient(state, row) + 4 * b * batch_stride(state))
                for j in range(n):
                    dc[j] += a[n + j] * dy[j]
            if wants_gradient(gates):
                da = floats(gradient(gates, row) + 4 * b * batch_stride(gates))
                for j in range(n):
                    da[j] += a[3 * n + j] * dy[j]
                    da[n + j] += c[j] * dy[j]
                    da[3 * n + j] += a[j] * dy[j]


def output_forward(record: int, start: int, count: int) -> None:
    """h = o tanh(c)."""
    y, state, gates = view(record, 0), view(record, 1), view(record, 2)
    n = size(y)
    for row in range(start, start + count):
        for b in range(integers(record)[T_BATCH]):
            target = floats(value(y, row) + 4 * b * n)
            c = floats(value(state, row) + 4 * b * batch_stride(state))
            o = floats(value(gates, row) + 4 * (b * batch_stride(gates) + 2 * n))
            for j in range(n):
                target[j] = o[j] * tanh(c[j])


def output_backward(record: int, start: int, count: int) -> None:
    """dc += o (1 - tanh(c)^2) dh; do += tanh(c) dh."""
    y, state, gates = view(record, 0), view(record, 1), view(record, 2)
    n = size(y)
    for row in range(start, start + count):
        for b in range(integers(record)[T_BATCH]):
            dy = floats(gradient(y, row) + 4 * b * n)
            c = floats(value(state, row) + 4 * b * batch_stride(state))
            o = floats(value(gates, row) + 4 * (b * batch_stride(gates) + 2 * n))
            if wants_gradient(state):
                dc = floats(gradient(state, row) + 4 * b * batch_stride(state))
                for j in range(n):
                    t = tanh(c[j])
                    dc[j] += o[j] * (ONE - t * t) * dy[j]
            if wants_gradient(gates):
                do = floats(gradient(gates, row) + 4 * (b * batch_stride(gates) + 2 * n))
                for j in range(n):
                    do[j] += tanh(c[j]) * dy[j]


kernel("vanilla_lstm_gates", forward=gates_forward, backward=gates_backward)
kernel("vanilla_lstm_c", forward=memory_forward, backward=memory_backward)
kernel("vanilla_lstm_h", forward=output_forward, backward=output_backward)
