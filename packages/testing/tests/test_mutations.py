"""Seeded bugs are found: every mutation fails the check that is made for it, which passes without the mutation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from weft_core import plan as planner
from weft_core.elementwise import Elementwise
from weft_core.extend import Backend, RuleState, UpdateRule
from weft_core.graph import ComputationGraph
from weft_core.numpy_backend import NumpyBackend, NumpyExecution, Step
from weft_core.operation import operations
from weft_core.planner import Plan
from weft_core.store import ParameterStore
from weft_testing import CASES, Case, ConformanceError, check_case, check_reference, check_signatures
from weft_testing.programs import PROGRAMS
from weft_testing.updates import check_update

Mutation = Callable[[Step], None]
by_name = {case.name: case for case in CASES}


def check(backend: Backend, name: str) -> None:
    """All variants of a case."""
    for variant in by_name[name].variants():
        check_case(backend, by_name[name], variant)


# --- a backend whose steps go wrong ----------------------------------------------------------------


class MutantExecution(NumpyExecution):
    mutate: Mutation

    def _steps(self, plan: Plan) -> Iterator[Step]:
        for step in super()._steps(plan):
            self.mutate(step)
            yield step


class MutantBackend(NumpyBackend):
    """The NumPy backend in float32, each step changed before it runs."""

    name = "mutant"

    def __init__(self, mutate: Mutation) -> None:
        super().__init__(np.float32)
        self.mutate = mutate

    def execution(self, graph: ComputationGraph) -> MutantExecution:
        execution = MutantExecution(graph, self.dtype)
        execution.mutate = self.mutate
        return execution


class Wrapped:
    """An operation whose forward or backward is another function; everything else is that of the operation."""

    def __init__(self, operation: Any, **methods: Any) -> None:
        self.operation = operation
        self.methods = methods

    def __getattr__(self, name: str) -> Any:
        return self.methods.get(name) or getattr(self.operation, name)


def wrong_backward(name: str, change: Callable[[Any], Any]) -> Mutation:
    """The gradients of one operation pass through `change`."""

    def mutate(step: Step) -> None:
        right = step.operation
        if right.name == name:

            def backward(*arguments: Any) -> Any:
                return tuple(None if d is None else change(d) for d in right.backward(*arguments))

            step.operation = Wrapped(right, backward=backward)  # type: ignore[assignment]

    return mutate


def wrong_forward(name: str, change: Callable[[Any], Any]) -> Mutation:
    """The results of one operation pass through `change`."""

    def mutate(step: Step) -> None:
        right = step.operation
        if right.name == name:

            def forward(*arguments: Any) -> Any:
                return tuple(change(y) for y in right.forward(*arguments))

            step.operation = Wrapped(right, forward=forward)  # type: ignore[assignment]

    return mutate


def without_batch_sum(step: Step) -> None:
    """An operand that is repeated over the batch gets the gradient of the first example only."""
    right = step._add

    def add(gradients: Any, k: int, d: Any, shape: Any) -> None:
        if shape.batch == 1 and step.signature.batch > 1 and not step.operation.per_node and shape.parameter < 0:
            d = d.reshape((*shape.dims, step.count, step.signature.batch)).copy()
            d[..., 1:] = 0
            d = d.reshape((*shape.dims, -1))
        right(gradients, k, d, shape)

    step._add = add  # type: ignore[method-assign]


def gradients_that_overwrite(step: Step) -> None:
    """What an operand received from others is lost."""
    right = step._add

    def add(gradients: Any, k: int, d: Any, shape: Any) -> None:
        if shape.parameter < 0:
            for row in step._rows(k, planner.V_GRADIENT_LIST):
                gradients[row : row + shape.total] = 0
        right(gradients, k, d, shape)

    step._add = add  # type: ignore[method-assign]


def payload_of_the_first(step: Step) -> None:
    """All instructions of a step use the payload of its first one."""
    if step.operation.name in ("pick", "pick_range", "lookup"):
        step.call.payload = np.repeat(step.call.payload[:1], step.count, axis=0)


def another_stream(step: Step) -> None:
    """Random numbers of another graph."""
    step.call.graph += 1


def attributes_of_the_default(step: Step) -> None:
    """Settings of elementwise operations are ignored."""
    if isinstance(step.operation, Elementwise) and step.operation.settings:
        step.call.signature = AttributesOf(step.signature, tuple(step.operation.settings.values()))  # type: ignore[assignment]


class AttributesOf:
    """A signature with other attributes."""

    def __init__(self, signature: Any, attributes: tuple[Any, ...]) -> None:
        self.signature = signature
        self.attributes = attributes

    def __getattr__(self, name: str) -> Any:
        return getattr(self.signature, name)


STEP_MUTATIONS: dict[str, tuple[Mutation, str]] = {
    "gradient of tanh 1% off": (wrong_backward("tanh", lambda d: 1.01 * d), "tanh"),
    "gradient of tanh slightly off": (wrong_backward("tanh", lambda d: 1.0001 * d), "tanh"),
    "gradient of softmax without its sum": (wrong_backward("softmax", lambda d: d + 0.01), "softmax"),
    "gradient of a weight dropped": (wrong_backward("affine", lambda d: d * (d.shape[-1] > 1)), "affine_transform"),
    "gradient of a matrix transposed": (
        wrong_backward("matrix_product", lambda d: d.swapaxes(0, 1) if d.ndim == 3 and d.shape[0] == d.shape[1] else d),
        "multiply-twice",
    ),
    "value of log_softmax off": (wrong_forward("log_softmax", lambda y: y + 1e-3), "log_softmax"),
    "last element of a wide vector lost": (
        wrong_forward("exp", lambda y: np.where(np.arange(len(y)).reshape((-1,) + (1,) * (y.ndim - 1)) == 36, 0, y)),
        "exp",
    ),
    "batch sum dropped": (without_batch_sum, "cmult"),
    "batch sum of concatenate dropped": (without_batch_sum, "concatenate"),
    "gradients overwrite each other": (gradients_that_overwrite, "tanh"),
    "operand used twice": (gradients_that_overwrite, "esum-twice"),
    "pick takes the first index": (payload_of_the_first, "pick"),
    "range starts at the first start": (payload_of_the_first, "pick_range"),
    "lookup takes the first row": (payload_of_the_first, "lookup"),
    "masks of another graph": (another_stream, "dropout"),
    "numbers of another graph": (another_stream, "random_normal"),
    "settings ignored": (attributes_of_the_default, "silu-beta"),
}


@pytest.mark.parametrize("mutation", STEP_MUTATIONS)
def test_a_wrong_step_is_found(mutation: str) -> None:
    mutate, name = STEP_MUTATIONS[mutation]
    check(MutantBackend(lambda step: None), name)
    with pytest.raises(ConformanceError, match=name):
        check(MutantBackend(mutate), name)


# --- a signature that misses an attribute ----------------------------------------------------------


class Forgetful(dict[Any, Any]):
    """A table of signatures that forgets the attributes in its keys."""

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(key[1:])

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key[1:], value)


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        ("softmax", "softmax-axis"),
        ("sum_dim", "sum_dim"),
        ("cumsum", "cumsum"),
        ("max_dim", "max_dim"),
        ("strided_select", "strided_select"),
        ("select", "select-axis"),
        ("transpose", "transpose-axes"),
        ("elu", "elu-alpha"),
        ("huber", "huber_distance"),
        ("hinge", "hinge"),
        ("shared_dropout", "dropout_dim"),
        ("noise", "noise"),
    ],
)
def test_a_signature_without_its_attributes_is_found(
    operation: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_signatures(by_name[name])
    monkeypatch.setattr(operations[operation], "table", Forgetful())
    with pytest.raises(ConformanceError, match=name):
        check_signatures(by_name[name])


# --- a backend that forgets ------------------------------------------------------------------------


class Deaf(NumpyExecution):
    """Does not hear that an input was set."""

    def invalidate(self, redraw: bool) -> None:
        self.draw += redraw


class Guessing(NumpyExecution):
    """Has a gradient for every node."""

    def gradient(self, index: int, shape: Any) -> Any:
        return np.ones(shape.total, np.float32)


class Accumulating(NumpyExecution):
    """Adds the gradient of every backward to those of nodes, too."""

    def backward(self, index: int, full: bool) -> None:
        before = self.gradients
        super().backward(index, full)
        if before is not None and self.gradients is not None and len(before) == len(self.gradients):
            self.gradients += before


@pytest.mark.parametrize(
    ("kind", "program"),
    [
        (Deaf, "inputs_can_be_set"),
        (Guessing, "nobackprop_and_full_gradients"),
        (Guessing, "gradients_of_nodes_that_no_backward_reached"),
        (Accumulating, "backward_twice_accumulates_in_parameters_only"),
    ],
)
def test_a_forgetful_execution_is_found(
    kind: type[NumpyExecution], program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Forgetting(NumpyBackend):
        def execution(self, graph: ComputationGraph) -> NumpyExecution:
            return kind(graph, self.dtype)

    PROGRAMS[program](NumpyBackend(np.float32))
    with pytest.raises(ConformanceError):
        PROGRAMS[program](Forgetting(np.float32))


# --- wrong updates ---------------------------------------------------------------------------------


class WrongUpdates(NumpyBackend):
    def __init__(self, mutation: str) -> None:
        super().__init__(np.float32)
        self.mutation = mutation

    def update(
        self,
        rule: UpdateRule,
        state: RuleState,
        store: ParameterStore,
        settings: dict[str, float],
        scale: float,
        sparse: bool,
    ) -> None:
        kept = store.gradients.copy()
        frozen = [slot for slot in (*store.dense, *store.tables) if not slot.updated]
        if self.mutation == "frozen parameters move":
            for slot in frozen:
                slot.updated = True
        if self.mutation == "scale ignored":
            scale = 1.0
        if self.mutation == "always sparse":
            sparse = True
            for table in store.tables:
                table.meta[3] = 0
        if self.mutation == "always dense":
            sparse = False
        super().update(rule, state, store, settings, scale, sparse)
        for slot in frozen:
            slot.updated = False
        if self.mutation == "gradients stay":
            store.gradients[:] = kept


@pytest.mark.parametrize(
    ("mutation", "rule", "situation"),
    [
        ("scale ignored", "descent", "dense"),
        ("gradients stay", "descent", "dense"),
        ("frozen parameters move", "momentum", "frozen"),
        ("always dense", "decaying", "sparse"),
        ("always sparse", "momentum", "whole_table"),
        ("always sparse", "adaptive", "all_rows"),
    ],
)
def test_a_wrong_update_is_found(mutation: str, rule: str, situation: str) -> None:
    check_update(NumpyBackend(np.float32), rule, situation)
    with pytest.raises(ConformanceError, match=situation):
        check_update(WrongUpdates(mutation), rule, situation)


# --- a wrong reference -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "operation"), [("tanh", "tanh"), ("cdiv-outer", "cdiv"), ("logsumexp_dim", "logsumexp_dim")]
)
def test_a_wrong_reference_is_found_by_central_differences(
    name: str, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case: Case = by_name[name]
    variant = next(case.variants())
    check_reference(case, variant)
    right = operations[operation].backward

    def backward(*arguments: Any) -> Any:
        return tuple(None if d is None else 1.01 * d for d in right(*arguments))

    monkeypatch.setattr(operations[operation], "backward", backward)
    with pytest.raises(ConformanceError, match=name):
        check_reference(case, variant)
