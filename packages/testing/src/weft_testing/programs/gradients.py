"""Which gradients a backward gives, to whom, and until when."""

from __future__ import annotations

import numpy as np

import weft_core as w
from weft_core import ComputationGraph, ParameterCollection
from weft_core.extend import Backend, GradientError

from ..running import REFERENCE, Outcome, compare, projection, require
from .table import compared, number, outcome_of, parameters, program, raises, vector


@program
def nobackprop_and_full_gradients(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        W, V = parameters(model, W=(3, 3), V=(3, 3))
        x, y = vector(0), vector(1)
        blocked = w.tanh(V * x)
        open_ = w.tanh(W * y)
        h = w.cmult(w.nobackprop(blocked), open_) + w.tanh(x)
        loss = projection(h, 1)
        loss.backward()
        outcome = {"x": x.gradient(), "blocked": blocked.gradient(), "open": open_.gradient()}
        require(not outcome["x"].any(), "without full=True an input that no parameter feeds has gradient zero")
        require(not V.grad_as_array().any(), "a parameter behind nobackprop has gradient zero")
        loss.backward(full=True)
        require(not V.grad_as_array().any(), "a parameter behind nobackprop has gradient zero, also with full=True")
        return outcome | {"x full": x.gradient(), "y full": y.gradient(), "blocked full": blocked.gradient()}

    compared(backend, "nobackprop", recipe)


@program
def constants_and_parameters_of_one_name(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        W, frozen = parameters(model, W=(3, 3), V=(3, 3))
        frozen.set_updated(False)
        x = vector(0)
        loss = projection(W * x, 1) + projection(w.const_parameter(W) * x, 2) + projection(frozen * x, 3)
        loss.backward(full=True)
        return {"x": x.gradient()}

    compared(backend, "constants", recipe)


@program
def gradients_of_nodes_that_no_backward_reached(backend: Backend) -> None:
    model = ParameterCollection()
    (W,) = parameters(model, W=(3, 3))
    with ComputationGraph(backend=backend):
        x, y = vector(0), vector(1)
        raises(GradientError, x.gradient, f"{backend.name}: gradient() before any backward")
        unused = w.tanh(W * x)
        unused.npvalue()
        uncomputed = w.sin(W * x)
        loss = projection(w.logistic(W * x), 1) + projection(y, 2)
        later = w.cube(y)
        loss.backward(full=True)
        for what, node in {"input": x, "input of a projection": y}.items():
            require(bool(node.gradient().any()), f"{backend.name}: gradient of an {what} with full=True is zero")
        for what, node in {"a computed": unused, "an uncomputed": uncomputed}.items():
            require(
                not node.gradient().any(), f"{backend.name}: gradient of {what} node outside of the loss is not zero"
            )
        raises(GradientError, later.gradient, f"{backend.name}: gradient() of a node after the loss")


@program
def gradients_of_nodes_belong_to_the_last_backward(backend: Backend) -> None:
    model = ParameterCollection()
    (W,) = parameters(model, W=(3, 3))
    with ComputationGraph(backend=backend):
        x, y = vector(0), vector(1)
        hidden = W * x
        first, second = projection(w.logistic(hidden), 1), projection(w.square(y), 2)
        first.backward(full=True)
        require(bool(x.gradient().any()), f"{backend.name}: gradient of an input with full=True is zero")
        second.backward(full=True)
        require(bool(y.gradient().any()), f"{backend.name}: gradient of an input with full=True is zero")
        for node in (x, hidden):
            require(
                not node.gradient().any(),
                f"{backend.name}: gradient of a node that only an earlier backward reached is not zero",
            )


@program
def backward_twice_accumulates_in_parameters_only(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        W, _ = parameters(model, W=(3, 3), V=(3, 3))
        x = vector(0)
        loss = projection(w.tanh(W * x), 1)
        outcome: Outcome = {}
        for k in range(3):
            loss.backward(full=True)
            outcome[f"node {k}"] = x.gradient()
            outcome[f"parameter {k}"] = W.grad_as_array()
        require(bool(np.array_equal(outcome["node 0"], outcome["node 2"])), "gradients of nodes must not accumulate")
        return outcome

    compared(backend, "backward twice", recipe)


@program
def a_row_looked_up_often_gets_every_gradient(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        tables = model.lookup_parameters_list()
        table = tables[0] if tables else model.lookup_parameters_from_numpy(np.arange(15.0).reshape(5, 3) / 8)
        x = vector(0)
        rows = table.batch([1, 1, 4, 1])
        parts = [projection(w.cmult(rows, x), 1), projection(table[1], 2), projection(table[3], 3)]
        parts.append(projection(w.lookup(table, 2, update=False), 4))
        loss = w.esum(parts)
        loss.backward()
        touched = sorted(model.store.tables[0].touched[: model.store.tables[0].meta[0]].tolist())
        require(touched == [1, 3, 4], f"rows 1, 3 and 4 received a gradient, touched are {touched}")
        return {"loss": number(loss), "touched": np.array(touched, float)}

    compared(backend, "a row looked up often", recipe)


@program
def a_whole_table_takes_part(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        tables = model.lookup_parameters_list()
        table = tables[0] if tables else model.lookup_parameters_from_numpy(np.arange(15.0).reshape(5, 3) / 8)
        loss = projection(w.tanh(table.expr() * vector(0, 5)), 1) + projection(table[2], 2)
        loss.backward()
        require(int(model.store.tables[0].meta[3]) == 1, "a gradient of the whole table must be noted in meta[3]")
        return {"loss": number(loss)}

    compared(backend, "a whole table", recipe)


@program
def parameters_changed_between_graphs(backend: Backend) -> None:
    """New values count at once; parameters added later move the arena and change nothing."""
    model = ParameterCollection()
    (W,) = parameters(model, W=(3, 3))

    def recipe(model: ParameterCollection) -> Outcome:
        x = vector(0)
        loss = projection(w.tanh(W * x), 1)
        loss.backward(full=True)
        return {"loss": number(loss), "x": x.gradient()}

    for change in (lambda: None, lambda: W.set_value(np.eye(3) / 2), lambda: model.add_parameters((64, 64), "normal")):
        change()
        wanted = outcome_of(REFERENCE, False, model, recipe)
        compare(outcome_of(backend, True, model, recipe), wanted, f"{backend.name}: parameters changed", 1e-5)


@program
def a_parameter_of_one_element_is_a_loss(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        (p,) = parameters(model, p=(1,))
        projection(vector(0), 1).backward(full=True)
        p.backward()
        require(p.grad_as_array().tolist() == [1.0], "backward() of a parameter of one element gives it the gradient 1")
        return {}

    compared(backend, "a parameter as a loss", recipe)
