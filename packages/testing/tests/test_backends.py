"""Our own backends pass the kit."""

from __future__ import annotations

import numpy as np
import pytest

from weft_core.backend import backends, load_backend
from weft_core.extend import Backend
from weft_core.numpy_backend import NumpyBackend
from weft_testing import BackendConformance

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


@pytest.mark.skipif("triton" not in available, reason="the Triton backend is not installed, or has no GPU")
class TestTriton(BackendConformance):
    @pytest.fixture
    def backend(self) -> Backend:
        return load_backend("triton")
