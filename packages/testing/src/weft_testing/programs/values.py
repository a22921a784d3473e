"""Values: asked at any time, of changing inputs, of random operations, at the ends of the number line."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

import weft_core as w
from weft_core import ComputationGraph, ParameterCollection
from weft_core.extend import Backend

from ..running import Outcome, projection, require, same_random_numbers
from .table import compared, number, parameters, program, vector


@program
def values_asked_in_between_change_nothing(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        W, U, b = parameters(model, W=(3, 3), U=(3, 3), b=(3,))
        h = vector(0)
        outcome: Outcome = {}
        parts = []
        for step in range(5):
            h = w.tanh(w.affine_transform([b, W, h, U, vector(step + 1)]))
            if step in (1, 3):
                outcome[f"value {step}"] = h.npvalue()
            parts.append(projection(h, step))
        total = w.esum(parts)
        outcome["loss"] = number(total)
        total.backward(full=True)
        return outcome | {"gradient": h.gradient(), "value": h.npvalue()}

    compared(backend, "values asked in between", recipe)


@program
def several_values_at_once_then_a_loss(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        (W,) = parameters(model, W=(3, 3))
        xs = [vector(k) for k in range(4)]
        hs = [w.tanh(W * x) for x in xs]
        first = dict(zip("abcd", w.npvalues(hs), strict=True))
        # Only two of the values that exist take part in the loss.
        loss = projection(hs[1], 1) + projection(w.logistic(hs[3]), 2)
        outcome = {**first, "loss": number(loss)}
        loss.backward(full=True)
        return outcome | {f"gradient {k}": x.gradient() for k, x in enumerate(xs) if k in (1, 3)}

    compared(backend, "several values at once", recipe)


@program
def two_losses_in_one_graph(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        (W,) = parameters(model, W=(3, 3))
        x = vector(0)
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
        row, scalar = table[1], w.scalarInput(2.0)
        row.backward()
        scalar.backward(full=True)
        return {"row": number(row), "scalar": number(scalar), "gradient": scalar.gradient()}

    compared(backend, "a loss that is an input", recipe)


@program
def parameters_among_the_wanted_values(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        W, p = parameters(model, W=(3, 3), p=(1,))
        hidden = w.tanh(W * vector(0))
        late = w.logistic(hidden)
        found = dict(zip(("W", "hidden", "p"), w.npvalues([W, hidden, p]), strict=True))
        found["alone"] = w.npvalues([W])[0]
        return found | {"late": late.npvalue()}

    compared(backend, "parameters among the wanted values", recipe)


@program
def inputs_can_be_set(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        tables = model.lookup_parameters_list()
        table = tables[0] if tables else model.lookup_parameters_from_numpy(np.arange(12.0).reshape(4, 3) / 8)
        (W,) = parameters(model, W=(3, 3))
        x, row, rows = vector(0), table[1], table.batch([0, 2])
        picked = w.pick(w.tanh(W * x), 0)
        loss = w.sum_batches(w.dot_product(rows, w.tanh(W * (x + row)))) + picked
        outcome = {"before": number(loss)}
        loss.backward()
        x.set([0.5, -0.25, 1.0])
        row.set(3)
        rows.set([1, 1])
        picked.set_index(2)
        outcome["after"] = number(loss)
        loss.backward(full=True)
        outcome |= {"gradient": x.gradient(), "row": row.gradient(), "rows": rows.gradient()}
        # The graph goes on after a change.
        more = loss + projection(w.square(x), 3)
        outcome["more"] = number(more)
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


@program
def large_numbers_do_not_overflow(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        x = w.inputVector([-200.0, -20.0, 0.5, 20.0, 200.0])
        ys = {
            "softmax": w.softmax(x),
            "log_softmax": w.log_softmax(x),
            "logistic": w.logistic(x),
            "log_sigmoid": w.log_sigmoid(x),
            "tanh": w.tanh(x),
            "elu": w.elu(x * 0.5),
            "silu": w.silu(x),
            "sparsemax": w.sparsemax(x),
            "logsumexp": w.logsumexp([x, x * 0.5, x + 1.0]),
            "logsumexp_dim": w.logsumexp_dim(x),
            "pickneglogsoftmax": w.pickneglogsoftmax(x, 1),
        }
        loss = w.esum([projection(y, 1) for y in ys.values()])
        loss.backward(full=True)
        return {name: y.npvalue() for name, y in ys.items()} | {"gradient": x.gradient()}

    compared(backend, "large numbers", recipe)


@program
def numbers_that_are_not_finite_stay_so(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        x = w.inputVector([-1.0, 0.0, 1.0, 200.0])
        huge = w.exp(x)
        return {
            "log": w.log(x).npvalue(),
            "sqrt": w.sqrt(x).npvalue(),
            "quotient": (1.0 / x).npvalue(),
            "exp": w.exp(x)[:3].npvalue(),
            "infinite": w.cdiv(huge, w.inputVector([0.0, 0.0, 1.0, 2e38]))[:2].npvalue(),
            "restricted": w.log_softmax(x, [2, 0]).npvalue(),
        }

    with same_random_numbers(), ComputationGraph(backend=backend):
        infinite = w.exp(w.constant((3,), 200.0)).npvalue()
    require(bool((infinite == np.inf).all()), f"{backend.name}: exp(200) is {infinite}, in float32 it is infinite")
    compared(backend, "numbers that are not finite", recipe)


@program
def graphs_in_threads(backend: Backend) -> None:
    """Each thread has its own graph; parameters are only read."""
    model = ParameterCollection()
    W, U = parameters(model, W=(3, 3), U=(3, 3))

    def run(seed: int) -> list[float]:
        found = []
        for turn in range(20):
            with ComputationGraph(backend=backend):
                h = vector(seed)
                for _ in range(1 + (seed + turn) % 4):
                    h = w.tanh(W * h + U * vector(turn))
                found.append(projection(h, 1).scalar_value())
        return found

    alone = [run(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(run, range(4)))
    require(alone == together, f"{backend.name}: graphs in threads disturb each other")
