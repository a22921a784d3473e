"""The suite that every backend must pass, and what is special about this one."""

from __future__ import annotations

import pytest
from weft_counting.backend import CountingBackend

import weft_core as w
from weft_core.backend import backends, load_backend
from weft_testing import BackendConformance


class TestCountingBackend(BackendConformance):
    @pytest.fixture
    def backend(self) -> CountingBackend:
        return CountingBackend()


def test_it_is_found_by_its_name() -> None:
    assert "counting" in [entry.name for entry in backends() if entry.available]
    assert isinstance(load_backend("counting"), CountingBackend)


def test_it_counts_steps() -> None:
    backend = CountingBackend()
    with w.ComputationGraph(backend=backend):
        ys = [w.tanh(w.inputVector([float(k)])) for k in range(10)]
        total = w.esum(ys)
        total.value()
        total.value()
    assert backend.total == {"plans": 1, "nodes": 21, "steps": 3}
