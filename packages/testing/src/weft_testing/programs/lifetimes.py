"""The life of graphs and expressions: checkpoints, several graphs, closed graphs."""

from __future__ import annotations

import weft_core as w
from weft_core import ComputationGraph, ParameterCollection
from weft_core.extend import Backend, StaleExpression

from ..case import Instance
from ..cells import lstm_step, zero_state
from ..running import REFERENCE, Outcome, compare, projection
from .table import compared, number, outcome_of, parameters, program, raises, vector


@program
def checkpoint_and_revert(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        graph = w.cg()
        (W,) = parameters(model, W=(3, 3))
        kept = w.tanh(W * vector(0))
        waiting = w.square(kept)
        graph.checkpoint()
        lost = w.logistic(kept)
        computed = w.cube(kept)
        computed.npvalue()
        graph.revert()
        raises(StaleExpression, lost.npvalue, "the value of a reverted expression")
        raises(StaleExpression, computed.npvalue, "the value of a reverted expression that was computed")
        raises(StaleExpression, lambda: w.tanh(lost).npvalue(), "an instruction on a reverted expression")
        loss = projection(waiting, 1) + projection(w.logistic(kept), 2)
        outcome = {"loss": number(loss)}
        loss.backward(full=True)
        return outcome | {"gradient": kept.gradient()}

    compared(backend, "checkpoint and revert", recipe)


@program
def two_graphs_interleaved(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        (W,) = parameters(model, W=(3, 3))
        x = vector(0)
        outer = w.tanh(W * x)
        with ComputationGraph(autobatch=w.cg().autobatch, backend=_backend_of_run[-1]):
            inner = w.logistic(W * vector(1))
            outcome = {"inner": inner.npvalue()}
            outcome["outer"] = outer.npvalue()
            projection(inner, 1).backward()
            raises(w.WeftError, lambda: inner + outer, "an instruction on values of two graphs")
        raises(StaleExpression, inner.npvalue, "an expression of a graph that was left")
        loss = projection(w.square(outer), 2)
        loss.backward(full=True)
        return outcome | {"loss": number(loss), "gradient": x.gradient()}

    _backend_of_run: list[Backend] = [REFERENCE]
    model = ParameterCollection()
    wanted = outcome_of(REFERENCE, False, model, recipe)
    _backend_of_run.append(backend)
    compare(outcome_of(backend, True, model, recipe), wanted, f"{backend.name}: two graphs interleaved", 1e-5)


@program
def expressions_of_a_closed_graph_are_stale(backend: Backend) -> None:
    with ComputationGraph(backend=backend):
        x = vector(0)
        y = w.tanh(x)
        loss = projection(y, 1)
        loss.backward(full=True)
    for what, action in {
        "value": y.npvalue,
        "gradient": x.gradient,
        "backward": loss.backward,
        "set": lambda: x.set([1.0, 2.0, 3.0]),
        "use": lambda: w.tanh(y),
    }.items():
        raises(StaleExpression, action, f"{backend.name}: the {what} of an expression of a closed graph")


@program
def memory_of_a_closed_graph_is_no_part_of_the_next(backend: Backend) -> None:
    """A big graph leaves numbers behind; the zero value and fresh gradients must not see them."""

    def recipe(model: ParameterCollection) -> Outcome:
        i = Instance(0, model, {p.name()[1:]: p for p in model.parameters_list()})
        x = vector(1, 2)
        h, c = lstm_step(i, x, zero_state(3), zero_state(3))
        loss = projection(h, 1) + projection(c, 2)
        loss.backward(full=True)
        return {"h": h.npvalue(), "x": x.gradient()}

    model = ParameterCollection()
    for name, dims in {"W": (12, 2), "U": (12, 3), "b": (12,)}.items():
        parameters(model, **{name: dims})
    wanted = outcome_of(REFERENCE, False, model, recipe)
    for _ in range(2):
        with ComputationGraph(backend=backend):
            projection(w.exp(w.constant((200,), 3.0, 5)), 1).backward(full=True)
        compare(outcome_of(backend, True, model, recipe), wanted, f"{backend.name}: a graph after a graph", 1e-5)
