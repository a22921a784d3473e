"""What several tests of the core run in."""

from collections.abc import Iterator

import pytest

from weft_core.graph import ComputationGraph
from weft_core.numpy_backend import NumpyBackend


@pytest.fixture
def graph() -> Iterator[ComputationGraph]:
    """A graph of the NumPy backend in double precision, which is the current one for the test."""
    with ComputationGraph(backend=NumpyBackend("float64")) as graph:
        yield graph
