"""The Numba backend: graphs on compiled machines, update rules as compiled loops."""

from __future__ import annotations

from typing import TYPE_CHECKING

from weft_core.backend import Backend, Execution

from . import catalogue
from .blas import limit_threads
from .lazy import CompiledRows
from .machine import NumbaExecution
from .threads import use_threads
from .update import apply_rule, squared_norm

if TYPE_CHECKING:
    from weft_core.graph import ComputationGraph
    from weft_core.lazy import UpdateLog
    from weft_core.rules import RuleState, UpdateRule
    from weft_core.store import Floats, ParameterStore


class NumbaBackend(Backend):
    """Compiled planner, virtual machine and CPU kernels, BLAS through SciPy; one thread unless asked for more."""

    name = "numba"
    capabilities = frozenset({"compiled", "custom-elementwise", "custom-gated"})
    # Importing the catalogue registers the kernels.
    kernel_files = catalogue.__all__

    def __init__(self) -> None:
        limit_threads(1)

    def execution(self, graph: ComputationGraph) -> Execution:
        return NumbaExecution(graph)

    def update(
        self,
        rule: UpdateRule,
        state: RuleState,
        store: ParameterStore,
        settings: dict[str, float],
        scale: float,
        sparse: bool,
    ) -> None:
        apply_rule(rule, state, store, settings, scale, sparse)

    def lazy_rows(self, rule: UpdateRule, values: Floats, moments: list[Floats], log: UpdateLog) -> CompiledRows:
        return CompiledRows(rule, values, moments, log)

    def gradient_norm(self, store: ParameterStore) -> float:
        return float(squared_norm(store) ** 0.5)

    def set_threads(self, threads: int) -> None:
        """Threads for large matrix products (in BLAS) and for updates of many parameters; results agree to rounding."""
        limit_threads(threads)
        use_threads(threads)
