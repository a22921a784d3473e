"""The NumPy backend, counting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from weft_core.extend import Execution
from weft_core.graph import ComputationGraph
from weft_core.numpy_backend import NumpyBackend, NumpyExecution


class CountingExecution(NumpyExecution):
    """One graph, whose steps are counted in the backend."""

    def __init__(self, graph: ComputationGraph, dtype: np.dtype, total: Counter[str]) -> None:
        super().__init__(graph, dtype)
        self.total = total

    def forward(self, indices: Sequence[int]) -> None:
        before = self.plan
        super().forward(indices)
        # Values that were computed before need no plan.
        if self.plan is not before:
            counts = self.counts()
            self.total["plans"] += 1
            self.total["nodes"] += counts["nodes"]
            self.total["steps"] += counts["steps"]


class CountingBackend(NumpyBackend):
    """`total` holds forward plans, nodes and steps of all graphs of this backend."""

    name = "counting"
    # The version of the contract that this backend was written for, not that of the core it happens to meet.
    api_version = (1, 0)

    def __init__(self) -> None:
        super().__init__()
        self.total: Counter[str] = Counter()

    def execution(self, graph: ComputationGraph) -> Execution:
        return CountingExecution(graph, self.dtype, self.total)
