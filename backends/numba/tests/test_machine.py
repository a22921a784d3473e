"""A graph's memory on the compiled machine: growth in one go, arrays kept from graph to graph, limits."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest

import weft_core as w
from weft_core import plan as p
from weft_core.errors import WeftError
from weft_numba import machine
from weft_numba.machine import NumbaExecution
from weft_numba.tape import AS_INTEGER, GET_ITEM, read_list


@pytest.fixture(autouse=True)
def numba_backend() -> None:
    w.init(backend="numba", seed=1)


def execution() -> NumbaExecution:
    return cast(NumbaExecution, w.cg().execution)


def chain(length: int) -> w.Expression:
    h = w.inputVector([0.5, -1.0, 2.0])
    for _ in range(length):
        h = w.tanh(h)
    return h


def chained(length: int) -> np.ndarray:
    h = np.array([0.5, -1.0, 2.0])
    for _ in range(length):
        h = np.tanh(h)
    return h


def test_a_graph_larger_than_all_before_it_is_planned_once() -> None:
    w.renew_cg()
    chain(1).npvalue()
    w.renew_cg()
    length = 4 * execution().memory.capacity
    y = chain(length)
    before = execution().calls
    np.testing.assert_allclose(y.npvalue(), chained(length), rtol=1e-3)
    # Select, grow, plan, grow, run: no part is done twice.
    assert execution().calls - before <= 3
    growths = execution().memory.growths
    w.renew_cg()
    y = chain(length)
    before = execution().calls
    np.testing.assert_allclose(y.npvalue(), chained(length), rtol=1e-3)
    assert execution().calls - before == 1
    assert execution().memory.growths == growths


def test_values_stay_when_a_graph_grows() -> None:
    w.renew_cg()
    first = chain(3)
    np.testing.assert_allclose(first.npvalue(), chained(3), rtol=1e-5)
    capacity = execution().memory.capacity
    second = first
    for _ in range(capacity):
        second = w.tanh(second)
    assert execution().memory.capacity == capacity
    np.testing.assert_allclose(second.npvalue(), chained(3 + capacity), rtol=1e-3)
    assert execution().memory.capacity > capacity
    np.testing.assert_allclose(first.npvalue(), chained(3), rtol=1e-5)


def test_gradients_have_memory_when_there_is_a_backward(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_pool", [])
    W = w.ParameterCollection().add_parameters((3, 3))
    with w.ComputationGraph(inference=True) as graph:
        w.sum_elems(W * chain(5)).value()
        memory = cast(NumbaExecution, graph.execution).memory
    assert len(memory.gradients) == 0
    # The same memory serves the next graph.
    with w.ComputationGraph() as graph:
        assert cast(NumbaExecution, graph.execution).memory is memory
        w.sum_elems(W * chain(5)).backward()
        assert len(memory.gradients) > 0


def test_more_floats_than_row_numbers_reach_are_refused() -> None:
    w.renew_cg()
    y = chain(3)
    execution().memory.state[p.ARENA_TOP] = p.LARGEST - 20
    with pytest.raises(WeftError, match="2\\*\\*31 floats"):
        y.value()
    np.testing.assert_allclose(y.npvalue(), chained(3), rtol=1e-5)


@pytest.mark.parametrize("number", [p.LARGEST + 1, -p.LARGEST - 1, 2**63, 2**80, -(2**80)])
def test_numbers_that_do_not_fit_are_seen_when_the_tape_is_read(number: int) -> None:
    copy, overflow = np.zeros(3, np.int32), np.zeros(1, np.int64)
    addresses = copy.ctypes.data, overflow.ctypes.data
    fits, too_large = [7, -8, p.LARGEST], [7, number, 9]
    assert read_list(GET_ITEM, AS_INTEGER, id(fits), 0, 3, *addresses)
    assert copy.tolist() == fits
    assert not read_list(GET_ITEM, AS_INTEGER, id(too_large), 0, 3, *addresses)
