"""Planning on every backend: what runs together, graphs for inference, limits of the numbers that plans are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import weft_core as w
from weft_core import plan as p
from weft_core.expression import Expression
from weft_core.extend import gated
from weft_core.graph import ComputationGraph

UNIT = gated(
    "planner_unit",
    gates="z u",
    states="h",
    results="y",
    forward="""
        z = logistic(z)
        u = tanh(u)
        y = z * h + (1 - z) * u
    """,
    backward="""
        dz = dy * (h - u) * z * (1 - z)
        du = dy * (1 - z) * (1 - u * u)
        dh = dy * z
    """,
)
SIZE = 8


@pytest.fixture(params=["numpy", "numba"], autouse=True)
def backend(request: pytest.FixtureRequest) -> str:
    w.init(backend=request.param, seed=1)
    return str(request.param)


def counters(graph: ComputationGraph) -> Any:
    """The state of the graph's planner; an array in compiled code."""
    execution: Any = graph.execution
    return execution.planner.state if hasattr(execution, "planner") else execution.memory.state


class Layers:
    """Recurrent layers, each of which hides its gates, over one sequence; every layer is a component."""

    def __init__(self, layers: int) -> None:
        self.model = w.ParameterCollection()
        self.parameters = [
            (
                self.model.add_parameters((2 * SIZE, SIZE)),
                self.model.add_parameters((2 * SIZE, SIZE)),
                self.model.add_parameters(2 * SIZE),
            )
            for _ in range(layers)
        ]

    def hidden(self, steps: int) -> list[list[Expression]]:
        xs = [w.inputVector([0.1 * (t + k) for k in range(SIZE)]) for t in range(steps)]
        layers = []
        for W, U, b in self.parameters:
            h = w.zeros(SIZE)
            hidden = []
            for x in xs:
                (h,) = UNIT([(W, x), (U, h)], b, [h])
                hidden.append(h)
            layers.append(hidden)
            xs = hidden
        return layers


def test_hidden_results_of_components_share_memory_in_a_graph_for_inference(backend: str) -> None:
    layers, steps = 6, 40
    model = Layers(layers)
    w.renew_cg()
    expected = w.npvalues([h for layer in model.hidden(steps) for h in layer])
    normal = w.cg().execution.counts()["arena"]
    w.renew_cg(inference=True)
    expressions = [h for layer in model.hidden(steps) for h in layer]
    np.testing.assert_array_equal(w.npvalues(expressions), expected)
    saved = normal - w.cg().execution.counts()["arena"]
    assert saved == (layers - 1) * steps * 2 * SIZE
    # Values that have a name stay, also when more is computed.
    more = [w.tanh(h) for h in expressions]
    np.testing.assert_allclose(w.npvalues(more), np.tanh(expected), rtol=1e-6)
    np.testing.assert_array_equal(w.npvalues(expressions), expected)


def test_a_graph_for_inference_computes_anew_when_an_input_changes() -> None:
    model = Layers(2)
    W, U, b = model.parameters[0]

    def run(inference: bool) -> list[float]:
        w.renew_cg(inference=inference)
        x = w.scalarInput(0.5)
        h = w.zeros(SIZE)
        for _ in range(3):
            (h,) = UNIT([(W, h + x), (U, h)], b, [h])
        y = w.sum_elems(h)
        first = y.value()
        x.set(2.0)
        return [first, y.value()]

    numbers = run(True)
    assert numbers == run(False)
    assert numbers[0] != numbers[1]


def test_backward_in_a_graph_for_inference_says_what_to_do() -> None:
    model = Layers(1)
    with ComputationGraph(inference=True):
        loss = w.sum_elems(model.hidden(2)[0][-1])
        with pytest.raises(w.GradientError, match="without inference=True"):
            loss.backward()
        assert np.isfinite(loss.value())


def test_groups_name_what_runs_together() -> None:
    steps = 5
    model = Layers(2)
    hidden = model.hidden(steps)
    losses = [w.sum_elems(w.square(h)) for h in hidden[-1]]
    loss = w.esum(losses)
    loss.value()
    execution = loss.graph.execution
    groups, counts = execution.groups(), execution.counts()
    assert sum(group.instructions for group in groups) == counts["nodes"]
    by_name: dict[str, list[tuple[int, int]]] = {}
    for group in groups:
        name = group.kind[1:].partition("(")[0]
        by_name.setdefault(name, []).append((group.instructions, group.steps))
    assert by_name["planner_unit"] == [(steps, steps)] * 2
    assert by_name["square"] == [(steps, 1)]


def test_an_alias_takes_no_level() -> None:
    """A slice is memory of its operand: instructions that read a slice and the whole run in one step."""
    W = w.ParameterCollection().add_parameters((4, 4))
    w.renew_cg()
    h = w.inputVector([1.0, 2.0, 3.0, 4.0])
    for _ in range(3):
        h = w.tanh(w.reshape(w.tanh(W * h), (4,)))
    w.sum_elems(h).value()
    steps = sum(group.steps for group in w.cg().execution.groups())
    assert steps == 3 * 3 + 2


def test_numbers_of_instructions_start_again_when_they_are_used_up(backend: str) -> None:
    model = Layers(2)

    def run(numbered: int | None) -> list[Any]:
        for parameter in model.model.parameters_list():
            parameter.scale_gradient(0)
        w.renew_cg()
        first = model.hidden(3)[-1][-1]
        values = [first.npvalue()]
        if numbered is not None:
            counters(w.cg())[p.NUMBERED] = numbered
        loss = w.dot_product(first, model.hidden(4)[-1][-1])
        values.append(loss.value())
        loss.backward()
        return values + [q.grad_as_array() for q in model.model.parameters_list()]

    expected = run(None)
    for before_the_end in (0, 3, 10):
        for value, other in zip(run(p.LARGEST - before_the_end), expected, strict=True):
            np.testing.assert_array_equal(value, other)
        assert counters(w.cg())[p.NUMBERED] < 1000


def test_a_parameter_that_is_gone_is_an_error() -> None:
    w.renew_cg()
    y = w.ParameterCollection().add_parameters((2, 3)) * w.inputVector([1.0, 2.0, 3.0])
    with pytest.raises(w.StaleExpression, match="keep a reference"):
        y.npvalue()


@pytest.mark.parametrize("autobatch", [True, False])
def test_many_plans_of_one_graph_agree_with_one(autobatch: bool) -> None:
    """Values are computed in pieces, partly reverted, and gradients cover all that is left."""
    model = Layers(2)

    def gradients(pieces: bool) -> list[Any]:
        for parameter in model.model.parameters_list():
            parameter.scale_gradient(0)
        w.renew_cg(autobatching=autobatch)
        hidden = model.hidden(6)
        losses = [w.squared_norm(h) for h in hidden[-1]]
        if pieces:
            hidden[0][2].value()
            w.cg_checkpoint()
            w.tanh(hidden[1][3]).value()
            w.cg_revert()
            losses[1].value()
        loss = w.esum(losses)
        loss.value()
        loss.backward()
        return [q.grad_as_array() for q in model.model.parameters_list()]

    for one, other in zip(gradients(False), gradients(True), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
        assert np.abs(one).max() > 0
