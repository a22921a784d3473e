"""Our own backends pass the kit."""

from __future__ import annotations

import os

import numpy as np
import pytest

from weft_core.backend import backends, load_backend
from weft_core.extend import Backend
from weft_core.numpy_backend import NumpyBackend
from weft_testing import BackendConformance, Case, Variant
from weft_testing.cases import CASES
from weft_testing.conformance import check_case
from weft_testing.suite import case_parameters

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


def some_of_each() -> list[object]:
    """One variant of each case, another one from case to case; with WEFT_ALL_GPU_TESTS all of them.

    The kernels of the Triton backend are interpreted here, at a second a row.
    """
    if os.environ.get("WEFT_ALL_GPU_TESTS"):
        return case_parameters()
    chosen = []
    for number, case in enumerate(CASES):
        variants = list(case.variants())
        variant = variants[number % len(variants)]
        chosen.append(pytest.param(case, variant, id=f"{case.name}-{variant.name}"))
    return chosen


@pytest.mark.skipif("triton" not in available, reason="the Triton backend is not installed, or has no GPU")
class TestTriton(BackendConformance):
    @pytest.fixture
    def backend(self) -> Backend:
        return load_backend("triton")

    @pytest.mark.parametrize(("case", "variant"), some_of_each())
    def test_operation(self, backend: Backend, case: Case, variant: Variant) -> None:
        check_case(backend, case, variant)
