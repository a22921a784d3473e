"""Whole programs: what no single operation shows. Each is a check of a backend by a name that says what must hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import weft_core as w
from weft_core import ComputationGraph, Expression, ParameterCollection
from weft_core.extend import Backend, GradientError, StaleExpression

from .case import Instance
from .cells import lstm_step, zero_state
from .running import (
    REFERENCE,
    Outcome,
    clear_gradients,
    compare,
    parameter_gradients,
    projection,
    require,
    same_random_numbers,
)

Check: TypeAlias = Callable[[Backend], None]
PROGRAMS: dict[str, Check] = {}

# Records a program in the current graph: what its model is, and what is to be compared.
Recipe: TypeAlias = Callable[[ParameterCollection], Outcome]


def program(check: Check) -> Check:
    """Enter a check into the table under the name of the function."""
    PROGRAMS[check.__name__] = check
    return check


def compared(backend: Backend, name: str, recipe: Recipe, tolerance: float = 1e-5) -> None:
    """Run a recipe on the backend, autobatching and not, and on the reference; compare what it returns, and gradients."""
    model = ParameterCollection()
    wanted = _outcome(REFERENCE, False, model, recipe)
    for autobatch in (True, False):
        compare(_outcome(backend, autobatch, model, recipe), wanted, f"{backend.name}: {name}, autobatch={autobatch}", tolerance)


def _outcome(backend: Backend, autobatch: bool, model: ParameterCollection, recipe: Recipe) -> Outcome:
    clear_gradients(model)
    with same_random_numbers(), ComputationGraph(autobatch=autobatch, backend=backend):
        outcome = recipe(model)
    return outcome | parameter_gradients(model)


def _parameters(model: ParameterCollection, **dims: tuple[int, ...]) -> list[Any]:
    """Parameters of these names: the same ones, with the same values, at every call."""
    known = {p.name(): p for p in model.parameters_list()}
    rng = np.random.default_rng(11)
    found = []
    for name, size in dims.items():
        values = rng.integers(-63, 64, size) / 64
        found.append(known.get(f"/{name}") or model.parameters_from_numpy(values, name))
    return found


def _vector(seed: int, size: int = 3, batch: int = 1) -> Any:
    rng = np.random.default_rng([5, seed])
    return w.inputTensor(rng.integers(-127, 128, (size, batch)) / 64, batched=True)


def _number(y: Expression) -> Any:
    return np.array(y.scalar_value())


def raises(kind: type[Exception], action: Callable[[], Any], what: str) -> None:
    """Raise `ConformanceError` unless the action raises this kind of exception."""
    try:
        action()
    except kind:
        return
    require(False, f"{what} must raise {kind.__name__}")


# --- when values are asked for ---------------------------------------------------------------------


@program
def values_asked_in_between_change_nothing(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        W, U, b = _parameters(model, W=(3, 3), U=(3, 3), b=(3,))
        h = _vector(0)
        outcome: Outcome = {}
        parts = []
        for step in range(5):
            h = w.tanh(w.affine_transform([b, W, h, U, _vector(step + 1)]))
            if step in (1, 3):
                outcome[f"value {step}"] = h.npvalue()
            parts.append(projection(h, step))
        total = w.esum(parts)
        outcome["loss"] = _number(total)
        total.backward(full=True)
        return outcome | {"gradient": h.gradient(), "value": h.npvalue()}

    compared(backend, "values asked in between", recipe)


@program
def several_values_at_once_then_a_loss(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        (W,) = _parameters(model, W=(3, 3))
        xs = [_vector(k) for k in range(4)]
        hs = [w.tanh(W * x) for x in xs]
        first = dict(zip("abcd", w.npvalues(hs), strict=True))
        # Only two of the values that exist take part in the loss.
        loss = projection(hs[1], 1) + projection(w.logistic(hs[3]), 2)
        outcome = {**first, "loss": _number(loss)}
        loss.backward(full=True)
        return outcome | {f"gradient {k}": x.gradient() for k, x in enumerate(xs) if k in (1, 3)}

    compared(backend, "several values at once", recipe)


@program
def two_losses_in_one_graph(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        (W,) = _parameters(model, W=(3, 3))
        x = _vector(0)
        h = w.tanh(W * x)
        first, second = projection(h, 1), projection(w.square(h), 2)
        first.backward(full=True)
        outcome = {"first": x.gradient()}
        second.backward(full=True)
        outcome["second"] = x.gradient()
        first.backward(full=True)
        return outcome | {"third": x.gradient()}

    compared(backend, "two losses", recipe)


@program
def a_loss_may_be_an_input_or_a_look_up(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        tables = model.lookup_parameters_list()
        table = tables[0] if tables else model.lookup_parameters_from_numpy(np.array([[1.5], [2.5]]))
        row, number = table[1], w.scalarInput(2.0)
        row.backward()
        number.backward(full=True)
        return {"row": _number(row), "number": _number(number), "gradient": number.gradient()}

    compared(backend, "a loss that is an input", recipe)


# --- changing inputs -------------------------------------------------------------------------------


@program
def inputs_can_be_set(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        tables = model.lookup_parameters_list()
        table = tables[0] if tables else model.lookup_parameters_from_numpy(np.arange(12.0).reshape(4, 3) / 8)
        (W,) = _parameters(model, W=(3, 3))
        x, row, rows = _vector(0), table[1], table.batch([0, 2])
        picked = w.pick(w.tanh(W * x), 0)
        loss = w.sum_batches(w.dot_product(rows, w.tanh(W * (x + row)))) + picked
        outcome = {"before": _number(loss)}
        loss.backward()
        x.set([0.5, -0.25, 1.0])
        row.set(3)
        rows.set([1, 1])
        picked.set_index(2)
        outcome["after"] = _number(loss)
        loss.backward(full=True)
        outcome |= {"gradient": x.gradient(), "row": row.gradient(), "rows": rows.gradient()}
        # The graph goes on after a change.
        more = loss + projection(w.square(x), 3)
        outcome["more"] = _number(more)
        return outcome

    compared(backend, "inputs set", recipe)


@program
def setting_keeps_random_masks_and_recalculating_draws_anew(backend: Backend) -> None:
    with same_random_numbers(), ComputationGraph(backend=backend):
        x = w.vecInput(40)
        x.set([1.0] * 40)
        y = w.dropout(x, 0.5)
        first = y.npvalue()
        x.set([2.0] * 40)
        second = y.npvalue()
        third = y.npvalue(recalculate=True)
    require(bool(np.array_equal(2 * first, second)), f"{backend.name}: set() changed the mask of a dropout")
    require(not np.array_equal(second, third), f"{backend.name}: recalculate=True kept the mask of a dropout")


@program
def masks_do_not_depend_on_what_else_is_computed(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        x = w.ones((20,), 2)
        ys = [w.dropout(x, 0.5), w.dropout(x, 0.25), w.noise(x, 1.0), w.dropout(x, 0.5), w.random_normal(7)]
        last = ys[3].npvalue()
        outcome = {str(k): y.npvalue() for k, y in enumerate(ys)}
        require(not np.array_equal(outcome["0"], outcome["3"]), "two dropouts of one graph have the same mask")
        return outcome | {"last": last}

    compared(backend, "masks", recipe)


# --- life of graphs and expressions ----------------------------------------------------------------


@program
def checkpoint_and_revert(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        graph = w.cg()
        (W,) = _parameters(model, W=(3, 3))
        kept = w.tanh(W * _vector(0))
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
        outcome = {"loss": _number(loss)}
        loss.backward(full=True)
        return outcome | {"gradient": kept.gradient()}

    compared(backend, "checkpoint and revert", recipe)


@program
def two_graphs_interleaved(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        (W,) = _parameters(model, W=(3, 3))
        x = _vector(0)
        outer = w.tanh(W * x)
        with ComputationGraph(autobatch=w.cg().autobatch, backend=_backend_of_run[-1]):
            inner = w.logistic(W * _vector(1))
            outcome = {"inner": inner.npvalue()}
            outcome["outer"] = outer.npvalue()
            projection(inner, 1).backward()
            raises(w.WeftError, lambda: inner + outer, "an instruction on values of two graphs")
        raises(StaleExpression, inner.npvalue, "an expression of a graph that was left")
        loss = projection(w.square(outer), 2)
        loss.backward(full=True)
        return outcome | {"loss": _number(loss), "gradient": x.gradient()}

    _backend_of_run: list[Backend] = [REFERENCE]
    model = ParameterCollection()
    wanted = _outcome(REFERENCE, False, model, recipe)
    _backend_of_run.append(backend)
    compare(_outcome(backend, True, model, recipe), wanted, f"{backend.name}: two graphs interleaved", 1e-5)


@program
def expressions_of_a_closed_graph_are_stale(backend: Backend) -> None:
    with ComputationGraph(backend=backend):
        x = _vector(0)
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
        x = _vector(1, 2)
        h, c = lstm_step(i, x, zero_state(3), zero_state(3))
        loss = projection(h, 1) + projection(c, 2)
        loss.backward(full=True)
        return {"h": h.npvalue(), "x": x.gradient()}

    model = ParameterCollection()
    for name, dims in {"W": (12, 2), "U": (12, 3), "b": (12,)}.items():
        _parameters(model, **{name: dims})
    wanted = _outcome(REFERENCE, False, model, recipe)
    for _ in range(2):
        with ComputationGraph(backend=backend):
            projection(w.exp(w.constant((200,), 3.0, 5)), 1).backward(full=True)
        compare(_outcome(backend, True, model, recipe), wanted, f"{backend.name}: a graph after a graph", 1e-5)


# --- gradients -------------------------------------------------------------------------------------


@program
def nobackprop_and_full_gradients(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        W, V = _parameters(model, W=(3, 3), V=(3, 3))
        x, y = _vector(0), _vector(1)
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
        W, frozen = _parameters(model, W=(3, 3), V=(3, 3))
        frozen.set_updated(False)
        x = _vector(0)
        loss = projection(W * x, 1) + projection(w.const_parameter(W) * x, 2) + projection(frozen * x, 3)
        loss.backward(full=True)
        return {"x": x.gradient()}

    compared(backend, "constants", recipe)


@program
def gradients_of_nodes_that_no_backward_reached(backend: Backend) -> None:
    model = ParameterCollection()
    (W,) = _parameters(model, W=(3, 3))
    with ComputationGraph(backend=backend):
        x, y = _vector(0), _vector(1)
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
            require(not node.gradient().any(), f"{backend.name}: gradient of {what} node outside of the loss is not zero")
        raises(GradientError, later.gradient, f"{backend.name}: gradient() of a node after the loss")


@program
def gradients_of_nodes_belong_to_the_last_backward(backend: Backend) -> None:
    model = ParameterCollection()
    (W,) = _parameters(model, W=(3, 3))
    with ComputationGraph(backend=backend):
        x, y = _vector(0), _vector(1)
        hidden = W * x
        first, second = projection(w.logistic(hidden), 1), projection(w.square(y), 2)
        first.backward(full=True)
        require(bool(x.gradient().any()), f"{backend.name}: gradient of an input with full=True is zero")
        second.backward(full=True)
        require(bool(y.gradient().any()), f"{backend.name}: gradient of an input with full=True is zero")
        for node in (x, hidden):
            require(not node.gradient().any(), f"{backend.name}: gradient of a node that only an earlier backward reached is not zero")


@program
def backward_twice_accumulates_in_parameters_only(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        W, _ = _parameters(model, W=(3, 3), V=(3, 3))
        x = _vector(0)
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
        x = _vector(0)
        rows = table.batch([1, 1, 4, 1])
        parts = [projection(w.cmult(rows, x), 1), projection(table[1], 2), projection(table[3], 3)]
        parts.append(projection(w.lookup(table, 2, update=False), 4))
        loss = w.esum(parts)
        loss.backward()
        touched = sorted(model.store.tables[0].touched[: model.store.tables[0].meta[0]].tolist())
        require(touched == [1, 3, 4], f"rows 1, 3 and 4 received a gradient, touched are {touched}")
        return {"loss": _number(loss), "touched": np.array(touched, float)}

    compared(backend, "a row looked up often", recipe)


@program
def a_whole_table_takes_part(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        tables = model.lookup_parameters_list()
        table = tables[0] if tables else model.lookup_parameters_from_numpy(np.arange(15.0).reshape(5, 3) / 8)
        loss = projection(w.tanh(table.expr() * _vector(0, 5)), 1) + projection(table[2], 2)
        loss.backward()
        require(int(model.store.tables[0].meta[3]) == 1, "a gradient of the whole table must be noted in meta[3]")
        return {"loss": _number(loss)}

    compared(backend, "a whole table", recipe)


@program
def parameters_changed_between_graphs(backend: Backend) -> None:
    """New values count at once; parameters added later move the arena and change nothing."""
    model = ParameterCollection()
    (W,) = _parameters(model, W=(3, 3))

    def recipe(model: ParameterCollection) -> Outcome:
        x = _vector(0)
        loss = projection(w.tanh(W * x), 1)
        loss.backward(full=True)
        return {"loss": _number(loss), "x": x.gradient()}

    for change in (lambda: None, lambda: W.set_value(np.eye(3) / 2), lambda: model.add_parameters((64, 64), "normal")):
        change()
        wanted = _outcome(REFERENCE, False, model, recipe)
        compare(_outcome(backend, True, model, recipe), wanted, f"{backend.name}: parameters changed", 1e-5)


# --- planning --------------------------------------------------------------------------------------


@program
def types_that_alternate_in_opposite_order(backend: Backend) -> None:
    """A B A B beside B A B A: the graph of types is a circle, the graph of instructions is not."""

    def recipe(model: ParameterCollection) -> Outcome:
        (W,) = _parameters(model, W=(3, 3))
        x, y = _vector(0), _vector(1)
        a, b = W * x, W * y
        for step in range(6):
            a = (w.tanh, w.logistic)[step % 2](a)
            b = (w.logistic, w.tanh)[step % 2](b)
        loss = projection(w.cmult(a, b), 1) + projection(W * a, 2)
        loss.backward(full=True)
        return {"loss": _number(loss), "x": x.gradient(), "y": y.gradient(), "a": a.gradient()}

    compared(backend, "types in a circle", recipe)


@program
def recurrences_of_different_lengths(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        i = Instance(0, model, {p.name()[1:]: p for p in model.parameters_list()})
        tables = model.lookup_parameters_list()
        table = tables[0] if tables else model.lookup_parameters_from_numpy(np.arange(12.0).reshape(6, 2) / 8 - 0.5)
        parts, states = [], []
        for example, length in enumerate((1, 4, 2, 3)):
            h, c = zero_state(3), zero_state(3)
            for step in range(length):
                h, c = lstm_step(i, table[(example + step) % 6], h, c)
                parts.append(projection(h, step))
            states.append(c)
        loss = w.esum([*parts, *(projection(c, 7) for c in states)])
        loss.backward(full=True)
        return {"loss": _number(loss)} | {f"gradient {k}": c.gradient() for k, c in enumerate(states)}

    model = ParameterCollection()
    _parameters(model, W=(12, 2), U=(12, 3), b=(12,))
    wanted = _outcome(REFERENCE, False, model, recipe)
    for autobatch in (True, False):
        compare(_outcome(backend, autobatch, model, recipe), wanted, f"{backend.name}: recurrences, {autobatch=}", 1e-5)


@program
def a_tree(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        W, U, b = _parameters(model, W=(3, 3), U=(3, 3), b=(3,))
        leaves = [_vector(k, batch=2) for k in range(7)]
        nodes: list[Expression] = list(leaves)
        while len(nodes) > 1:
            left, right, *rest = nodes
            nodes = [*rest[:1], w.tanh(w.affine_transform([b, W, left, U, right])), *rest[1:]]
        loss = projection(nodes[0], 1)
        loss.backward(full=True)
        return {"loss": _number(loss)} | {f"leaf {k}": x.gradient() for k, x in enumerate(leaves)}

    compared(backend, "a tree", recipe)


@program
def more_signatures_than_the_planner_sorts_by_component(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        xs = [w.constant((n,), 1.0 / n) for n in range(1, 400)]
        loss = w.esum([w.sum_elems(w.tanh(w.square(x))) for x in xs])
        loss.backward(full=True)
        return {"loss": _number(loss), "first": xs[0].gradient(), "last": xs[-1].gradient()}

    compared(backend, "more than 1024 signatures in one graph", recipe)


@program
def arenas_grow(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        x = _vector(0, 4096)
        early = w.tanh(x)
        outcome = {"early": early.npvalue()}
        ys = [w.scale_gradient(early * (1.0 + k), 0.5) for k in range(40)]
        loss = projection(w.esum(ys), 1)
        loss.backward(full=True)
        return outcome | {"loss": _number(loss), "x": x.gradient(), "early again": early.npvalue(), "last": ys[-1].npvalue()}

    compared(backend, "arenas grow", recipe)


@program
def many_instructions(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        (W,) = _parameters(model, W=(2, 2))
        xs = [_vector(k, 2) for k in range(700)]
        h = xs[0]
        for x in xs[1:20]:
            h = w.tanh(W * h + x)
        loss = w.esum([projection(w.logistic(W * x), 1) for x in xs]) + projection(h, 2)
        loss.backward(full=True)
        return {"loss": _number(loss), "first": xs[0].gradient(), "last": xs[-1].gradient()}

    compared(backend, "many instructions", recipe, tolerance=3e-5)


@program
def parameters_among_the_wanted_values(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        W, p = _parameters(model, W=(3, 3), p=(1,))
        hidden = w.tanh(W * _vector(0))
        late = w.logistic(hidden)
        found = dict(zip(("W", "hidden", "p"), w.npvalues([W, hidden, p]), strict=True))
        found["alone"] = w.npvalues([W])[0]
        return found | {"late": late.npvalue()}

    compared(backend, "parameters among the wanted values", recipe)


@program
def a_parameter_of_one_element_is_a_loss(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        (p,) = _parameters(model, p=(1,))
        projection(_vector(0), 1).backward(full=True)
        p.backward()
        require(p.grad_as_array().tolist() == [1.0], "backward() of a parameter of one element gives it the gradient 1")
        return {}

    compared(backend, "a parameter as a loss", recipe)
