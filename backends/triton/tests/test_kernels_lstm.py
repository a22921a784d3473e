"""Primitives of the LSTM over more than a tile of lanes, and where one state or one example's gates serve all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import weft_core as w
from weft_core import ComputationGraph, Expression
from weft_core.numpy_backend import NumpyBackend
from weft_core.operation import operations
from weft_core.ops.lstm import LSTMGates
from weft_triton.backend import TritonBackend

Floats = NDArray[np.float64]
BACKENDS: tuple[Any, Any] = (TritonBackend(), NumpyBackend("float64"))
gates = operations[LSTMGates.name]


def compare(function: Callable[..., Expression], *dims: tuple[int, int], instructions: int = 3) -> None:
    """Values and gradients of several instructions on operands of these sizes and examples, the last one shared."""
    outcomes = []
    for backend in BACKENDS:
        rng = np.random.default_rng(2)
        with ComputationGraph(backend=backend) as graph:
            last = w.inputTensor(rng.standard_normal(dims[-1]), batched=True)
            operands = [
                [w.inputTensor(rng.standard_normal(d), batched=True) for d in dims[:-1]] for _ in range(instructions)
            ]
            ys = [function(*xs, last) for xs in operands]
            weights = [w.inputTensor(rng.standard_normal((y.shape.size, y.shape.batch)), batched=True) for y in ys]
            w.sum_batches(w.esum([w.dot_product(y, v) for y, v in zip(ys, weights)])).backward(full=True)
            found = [y.npvalue() for y in ys] + [x.gradient() for xs in operands for x in xs] + [last.gradient()]
            outcomes.append([np.array(a, np.float64) for a in found])
            assert backend is not BACKENDS[0] or graph.execution.counts()["host_steps"] == 0
    for a, b in zip(*outcomes):
        np.testing.assert_allclose(a, b.reshape(a.shape), rtol=0, atol=3e-6 * np.abs(b).max())


@pytest.mark.parametrize(("hidden", "batch"), [(3, 2), (300, 1), (70, 5)])
def test_gates(hidden: int, batch: int) -> None:
    compare(lambda x: gates.record((x,)), (4 * hidden, batch))


@pytest.mark.parametrize("function", [w.vanilla_lstm_c, w.vanilla_lstm_h])
@pytest.mark.parametrize(("hidden", "batches"), [(1030, (1, 1)), (300, (5, 5)), (300, (1, 5)), (130, (4, 1))])
def test_states(function: Callable[..., Expression], hidden: int, batches: tuple[int, int]) -> None:
    compare(function, (hidden, batches[0]), (4 * hidden, batches[1]))


def test_a_step_from_no_state_at_all() -> None:
    """The zero value takes no gradient."""
    compare(lambda g: w.vanilla_lstm_c(w.zeros((20,)), g), (80, 3))
