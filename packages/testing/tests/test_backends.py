"""Our own backends pass the kit."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from typing import TypeVar

import numpy as np
import pytest

from weft_core.backend import backends, load_backend
from weft_core.extend import Backend
from weft_core.numpy_backend import NumpyBackend
from weft_testing import BackendConformance, Case, Variant
from weft_testing.cases import CASES
from weft_testing.conformance import check_case
from weft_testing.graphs import SEEDS, check_random_graph
from weft_testing.random_cells import SEEDS as CELL_SEEDS
from weft_testing.random_cells import check_random_cell
from weft_testing.suite import case_parameters
from weft_testing.updates import RULES, SITUATIONS, check_update

T = TypeVar("T")
ALL = bool(os.environ.get("WEFT_ALL_GPU_TESTS"))
available = {entry.name for entry in backends() if entry.available}


class TestNumpy(BackendConformance):
    @pytest.fixture
    def backend(self) -> Backend:
        return NumpyBackend(np.float32)


@pytest.mark.skipif("numba" not in available, reason="the Numba backend is not installed")
class TestNumba(BackendConformance):
    @pytest.fixture
    def backend(self) -> Backend:
        return load_backend("numba")


def some(everything: Iterable[T], step: int) -> list[T]:
    """One of `step`; with WEFT_ALL_GPU_TESTS all: interpreted kernels take a second a row."""
    return list(everything)[:: 1 if ALL else step]


def some_operations() -> list[object]:
    """One variant of every third case, another variant from case to case; or all."""
    if ALL:
        return case_parameters()
    chosen = []
    for number, case in enumerate(some(CASES, 3)):
        variants = list(case.variants())
        variant = variants[number % len(variants)]
        chosen.append(pytest.param(case, variant, id=f"{case.name}-{variant.name}"))
    return chosen


@pytest.mark.skipif("triton" not in available, reason="the Triton backend is not installed, or has no GPU")
class TestTriton(BackendConformance):
    @pytest.fixture
    def backend(self) -> Backend:
        return load_backend("triton")

    @pytest.mark.parametrize(("case", "variant"), some_operations())
    def test_operation(self, backend: Backend, case: Case, variant: Variant) -> None:
        check_case(backend, case, variant)

    @pytest.mark.parametrize("seed", some(SEEDS, 5))
    def test_random_graph(self, backend: Backend, seed: int) -> None:
        check_random_graph(backend, seed)

    @pytest.mark.parametrize("seed", some(CELL_SEEDS, 5))
    def test_random_cell(self, backend: Backend, seed: int) -> None:
        check_random_cell(backend, seed)

    @pytest.mark.parametrize(("rule", "situation"), some(itertools.product(RULES, SITUATIONS), 4))
    def test_update(self, backend: Backend, rule: str, situation: str) -> None:
        check_update(backend, rule, situation)
