"""The NumPy backend: runs the reference of every operation, one call per step. The oracle of all other backends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from . import plan as p
from .backend import Backend, BackendEntry, Execution, Group, hookimpl
from .errors import BackendError
from .operation import Array, Call
from .planner import ZERO_FLOATS, Plan, Planner, count_groups
from .profile import BACKWARD, FORWARD
from .rules import RuleState, UpdateRule, spans
from .settings import settings
from .signature import Signature, signatures
from .store import LookupTable, ParameterStore, owner, parameter_gradients, seen_gradients, seen_values

if TYPE_CHECKING:
    from .graph import ComputationGraph
    from .shape import Shape


class NumpyBackend(Backend):
    """Interpreted planning, NumPy arithmetic; `dtype` is the precision of values and gradients of nodes."""

    name = "numpy"
    capabilities = frozenset({"reference"})

    def __init__(self, dtype: DTypeLike = np.float32) -> None:
        self.dtype = np.dtype(dtype)

    def execution(self, graph: ComputationGraph) -> Execution:
        return NumpyExecution(graph, self.dtype)

    def update(
        self,
        rule: UpdateRule,
        state: RuleState,
        store: ParameterStore,
        settings: dict[str, float],
        scale: float,
        sparse: bool,
    ) -> None:
        rule.apply(state, store, settings, scale, sparse)

    def gradient_norm(self, store: ParameterStore) -> float:
        parts = [store.seen_gradients(start, end) for start, end in spans(store.dense)]
        parts += [table.seen_gradients()[table.touched_gradients()] for table in store.tables]
        return float(np.sqrt(sum(np.square(part, dtype=np.float64).sum() for part in parts)))

    def set_threads(self, threads: int) -> None:
        """One thread is what there is; raises `BackendError` for more."""
        if threads != 1:
            raise BackendError(
                f"the NumPy backend runs on one thread, {threads} were asked for; "
                "choose the Numba backend, or set the variables of NumPy's BLAS"
            )


class NumpyExecution(Execution):
    """Values and gradients of one graph in two flat arrays."""

    def __init__(self, graph: ComputationGraph, dtype: np.dtype[Any]) -> None:
        self.graph = graph
        self.planner = Planner(graph)
        self.values = np.zeros(ZERO_FLOATS, dtype)
        self.gradients: NDArray[Any] | None = None
        self.draw = 0
        self.plan: Plan | None = None
        self.reached = -1

    def forward(self, indices: Sequence[int]) -> None:
        offset = self.planner.offset
        if all(i < len(offset) and offset[i] >= 0 for i in indices):
            return
        profile, since = settings.profile, perf_counter()
        try:
            self.plan = self.planner.forward(indices)
            self._grow(self.planner.state[p.ARENA_END])
            if profile is not None:
                since = profile.add(FORWARD, "plan", self.plan.nodes, since)
            for step in self._steps(self.plan):
                step.forward(self.values)
                if profile is not None:
                    since = profile.add(FORWARD, step.signature, step.count, since)
        except BaseException:
            # The plan has given out rows that nothing was computed into.
            self.planner.invalidate()
            raise

    def _grow(self, top: int) -> None:
        if top > len(self.values):
            grown = np.zeros(max(top, 2 * len(self.values)), self.values.dtype)
            grown[: len(self.values)] = self.values
            self.values = grown

    def backward(self, index: int, full: bool) -> None:
        profile, since = settings.profile, perf_counter()
        plan = self.planner.backward(index, full)
        self.gradients = np.zeros(self.planner.state[p.GRADIENT_TOP], self.values.dtype)
        self.gradients[self.planner.gradient_offset[index]] = 1
        self.reached = index
        if profile is not None:
            since = profile.add(BACKWARD, "plan", plan.nodes, since)
        for step in reversed(list(self._steps(plan))):
            step.backward(self.values, self.gradients)
            if profile is not None:
                since = profile.add(BACKWARD, step.signature, step.count, since)

    def _steps(self, plan: Plan) -> Iterator[Step]:
        stream = self.graph.number + (self.draw << 32)
        # A copy: a view would keep the graph from staging more.
        data = np.array(self.graph.data, np.float32)
        for s in range(0, len(plan.steps), p.STEP):
            if not plan.steps[s + p.S_WHOLE]:
                t, start, count = plan.steps[s : s + 3]
                yield Step(plan, plan.record_of[t], start, count, data, stream)

    def value(self, index: int, shape: Shape) -> NDArray[np.float32]:
        if index < 0:
            return seen_values(-1 - index).copy()
        start = self.planner.offset[index]
        return self.values[start : start + shape.total].copy()

    def gradient(self, index: int, shape: Shape) -> NDArray[np.float32] | None:
        if index < 0:
            return seen_gradients(-1 - index).copy()
        if self.gradients is None or index > self.reached:
            return None
        start = self.planner.gradient_offset[index]
        if not self.planner.needs_gradient(index):
            return np.zeros(shape.total, np.float32)
        return self.gradients[start : start + shape.total].copy()

    def invalidate(self, redraw: bool) -> None:
        self.planner.invalidate()
        self.draw += redraw

    def rewrite(self, position: int, number: int) -> None:
        """Nothing to do: the planner reads the tape itself."""

    def drop(self, start: int, end: int) -> None:
        self.planner.drop(start, end)

    def close(self) -> None:
        self.values = np.zeros(0, self.values.dtype)
        self.gradients = self.plan = None

    def counts(self) -> dict[str, int]:
        if self.plan is None:
            return {}
        return {
            "nodes": self.plan.nodes,
            "steps": len(self.plan.steps) // p.STEP,
            "types": len(self.plan.record_of),
            "arena": self.planner.state[p.ARENA_END],
        }

    def groups(self) -> list[Group]:
        return count_groups(self.plan.steps, self.plan.records, self.plan.record_of) if self.plan else []


class PlanTables(Protocol):
    """What a step reads of a plan: records and row lists, in lists or integer arrays."""

    @property
    def records(self) -> Any: ...

    @property
    def lists(self) -> Any: ...


class Step:
    """Instructions of one signature that run together: gather operands, call the reference, scatter results."""

    def __init__(
        self, plan: PlanTables, record: int, start: int, count: int, data: NDArray[np.float32], stream: int
    ) -> None:
        self.plan = plan
        self.record = record
        self.start = start
        self.count = count
        self.signature: Signature = signatures[plan.records[record + p.T_SIGNATURE]]
        self.operation = self.signature.operation
        self.inputs = self.signature.operands + self.signature.parameters
        total = plan.records[record + p.T_COUNT]
        first = plan.records[record + p.T_PAYLOAD_LIST] + start
        payload = [plan.lists[first + k * total : first + k * total + count] for k in range(self.signature.payload)]
        table = np.array(payload, np.int64).reshape(len(payload), count).T
        self.call = Call(self.signature, table, data, settings.seed, stream)

    def _view(self, k: int) -> int:
        return self.record + p.HEADER + k * p.VIEW

    def _rows(self, k: int, field: int) -> list[int]:
        first = self.plan.records[self._view(k) + field] + self.start
        rows: list[int] = self.plan.lists[first : first + self.count]
        return rows

    def _gather(self, arena: NDArray[Any], k: int, shape: Shape, field: int = p.V_LIST) -> Array:
        """`dims + (N,)`: the rows of one view; a parameter has N = 1."""
        if shape.parameter >= 0:
            values = seen_values(shape.parameter).astype(arena.dtype, copy=False)
            return values.reshape((*shape.dims, 1), order="F")
        rows = np.array(self._rows(k, field))[:, None] + np.arange(shape.total)
        flat = arena[rows].reshape(self.count * shape.batch, shape.size)
        if shape.batch == 1 and self.signature.batch > 1 and not self.operation.per_node:
            flat = np.repeat(flat, self.signature.batch, axis=0)
        return flat.T.reshape((*shape.dims, len(flat)), order="F")

    def _flat(self, array: Array, shape: Shape) -> Array:
        """`(instructions, elements)`, memory order."""
        return np.ascontiguousarray(array).reshape((-1, array.shape[-1]), order="F").T.reshape(-1, shape.total)

    def _single_nodes(self) -> Iterator[Step]:
        for r in range(self.count):
            yield Step(self.plan, self.record, self.start + r, 1, self.call.data, self.call.graph)

    def forward(self, values: NDArray[Any]) -> None:
        if self.operation.per_node and self.count > 1:
            for step in self._single_nodes():
                step.forward(values)
            return
        shapes = self.signature.results + self.signature.saved
        first = len(shapes)
        operands = [self._gather(values, first + k, s) for k, s in enumerate(self.inputs)]
        with np.errstate(all="ignore"):
            results = self.operation.forward(self.call, *operands)
        for k, (result, shape) in enumerate(zip(results, shapes, strict=True)):
            examples = shape.batch if self.operation.per_node else self.count * shape.batch
            whole = np.broadcast_to(result, (*shape.dims, examples))
            for row, flat in zip(self._rows(k, p.V_LIST), self._flat(whole, shape), strict=True):
                values[row : row + shape.total] = flat

    def backward(self, values: NDArray[Any], gradients: NDArray[Any]) -> None:
        if not self.plan.records[self.record + p.T_NEEDS]:
            return
        if self.operation.per_node and self.count > 1:
            for step in self._single_nodes():
                step.backward(values, gradients)
            return
        shapes = self.signature.results + self.signature.saved
        first = len(shapes)
        operands = [self._gather(values, first + k, s) for k, s in enumerate(self.inputs)]
        results = tuple(self._gather(values, k, s) for k, s in enumerate(shapes))
        dresults = tuple(self._gather(gradients, k, s, p.V_GRADIENT_LIST) for k, s in enumerate(shapes))
        with np.errstate(all="ignore"):
            doperands = self.operation.backward(self.call, dresults, results, *operands)
        for k, (d, shape) in enumerate(zip(doperands, self.inputs, strict=True)):
            if d is not None and self.plan.records[self._view(first + k) + p.V_NEEDS]:
                self._add(gradients, first + k, d, shape)

    def _add(self, gradients: NDArray[Any], k: int, d: Array, shape: Shape) -> None:
        if shape.parameter >= 0:
            self._add_to_parameter(d, shape)
            return
        if shape.batch == 1 and self.signature.batch > 1 and not self.operation.per_node:
            d = d.reshape((*shape.dims, self.count, self.signature.batch)).sum(axis=-1)
        for row, flat in zip(self._rows(k, p.V_GRADIENT_LIST), self._flat(d, shape), strict=True):
            gradients[row : row + shape.total] += flat

    def _add_to_parameter(self, d: Array, shape: Shape) -> None:
        slot = owner(shape.parameter)
        if isinstance(slot, LookupTable):
            if self.operation.scatters:
                rows = self.call.indices()
                slot.touch(rows)
                np.add.at(slot.gradients, rows, self._flat(d, shape_of_row(shape)))
                return
            slot.meta[3] = 1
        flat = parameter_gradients(shape.parameter)
        flat += d.sum(axis=-1).reshape(-1, order="F").astype(flat.dtype)


def shape_of_row(shape: Shape) -> Shape:
    """Shape of one row of a look-up table whose expression has the rows as last axis."""
    from .shape import shape_of

    return shape_of(shape.dims[:-1])


@hookimpl
def weft_backends() -> list[BackendEntry]:
    """The NumPy backend, always available."""
    return [BackendEntry("numpy", NumpyBackend)]
