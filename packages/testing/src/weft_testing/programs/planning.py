"""What is hard to order or to lay out: circles of types, recurrences, many signatures, big arenas."""

from __future__ import annotations

import numpy as np

import weft_core as w
from weft_core import Expression, ParameterCollection
from weft_core.extend import Backend

from ..case import Instance
from ..cells import lstm_step, zero_state
from ..running import REFERENCE, Outcome, compare, projection
from .table import compared, number, outcome_of, parameters, program, vector


@program
def types_that_alternate_in_opposite_order(backend: Backend) -> None:
    """A B A B beside B A B A: the graph of types is a circle, the graph of instructions is not."""

    def recipe(model: ParameterCollection) -> Outcome:
        (W,) = parameters(model, W=(3, 3))
        x, y = vector(0), vector(1)
        a, b = W * x, W * y
        for step in range(6):
            a = (w.tanh, w.logistic)[step % 2](a)
            b = (w.logistic, w.tanh)[step % 2](b)
        loss = projection(w.cmult(a, b), 1) + projection(W * a, 2)
        loss.backward(full=True)
        return {"loss": number(loss), "x": x.gradient(), "y": y.gradient(), "a": a.gradient()}

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
        return {"loss": number(loss)} | {f"gradient {k}": c.gradient() for k, c in enumerate(states)}

    model = ParameterCollection()
    parameters(model, W=(12, 2), U=(12, 3), b=(12,))
    wanted = outcome_of(REFERENCE, False, model, recipe)
    for autobatch in (True, False):
        compare(
            outcome_of(backend, autobatch, model, recipe), wanted, f"{backend.name}: recurrences, {autobatch=}", 1e-5
        )


@program
def a_tree(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        W, U, b = parameters(model, W=(3, 3), U=(3, 3), b=(3,))
        leaves = [vector(k, batch=2) for k in range(7)]
        nodes: list[Expression] = list(leaves)
        while len(nodes) > 1:
            left, right, *rest = nodes
            nodes = [*rest[:1], w.tanh(w.affine_transform([b, W, left, U, right])), *rest[1:]]
        loss = projection(nodes[0], 1)
        loss.backward(full=True)
        return {"loss": number(loss)} | {f"leaf {k}": x.gradient() for k, x in enumerate(leaves)}

    compared(backend, "a tree", recipe)


@program
def more_signatures_than_the_planner_sorts_by_component(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        xs = [w.constant((n,), 1.0 / n) for n in range(1, 400)]
        W, U, b = parameters(model, W=(3, 3), U=(3, 3), b=(3,))
        h = vector(0)
        for k in range(4):
            h = w.tanh(w.affine_transform([b, W, h, U, vector(k)]))
        loss = w.esum([*(w.sum_elems(w.tanh(w.square(x))) for x in xs), projection(h, 1)])
        loss.backward(full=True)
        return {"loss": number(loss), "first": xs[0].gradient(), "last": xs[-1].gradient()}

    compared(backend, "more than 1024 signatures in one graph", recipe)


@program
def arenas_grow(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        x = vector(0, 4096)
        early = w.tanh(x)
        outcome = {"early": early.npvalue()}
        ys = [w.scale_gradient(early * (1.0 + k), 0.5) for k in range(40)]
        loss = projection(w.esum(ys), 1)
        loss.backward(full=True)
        return outcome | {
            "loss": number(loss),
            "x": x.gradient(),
            "early again": early.npvalue(),
            "last": ys[-1].npvalue(),
        }

    compared(backend, "arenas grow", recipe)


@program
def many_instructions(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        (W,) = parameters(model, W=(2, 2))
        xs = [vector(k, 2) for k in range(700)]
        h = xs[0]
        for x in xs[1:20]:
            h = w.tanh(W * h + x)
        loss = w.esum([projection(w.logistic(W * x), 1) for x in xs]) + projection(h, 2)
        loss.backward(full=True)
        return {"loss": number(loss), "first": xs[0].gradient(), "last": xs[-1].gradient()}

    compared(backend, "many instructions", recipe, tolerance=3e-5)


@program
def the_zero_value_in_any_operation(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        W, U, b = parameters(model, W=(4, 3), U=(4, 3), b=(4,))
        outcome: Outcome = {}
        parts = []
        for batch in (1, 3):
            x = vector(1, batch=batch)
            z = zero_state(3, batch)
            ys = [
                z + x,
                w.cmult(z, x),
                w.concatenate([z, x]),
                w.concatenate_to_batch([x, z]),
                w.esum([z, x, z]),
                w.pick_range(z, 1, 3),
                w.pick(z, 1) + w.pick(x, 1),
                w.reshape(z, (1, 3)),
                w.transpose(z) * x,
                w.cos(z),
                w.softmax(z),
                w.sum_elems(z),
                w.affine_transform([b, W, z, U, x]),
                W * zero_state(3),
            ]
            outcome |= {f"{batch} {k}": y.npvalue() for k, y in enumerate(ys)}
            parts += [projection(y, k) for k, y in enumerate(ys)]
        loss = w.esum(parts)
        loss.backward(full=True)
        return outcome | {"loss": number(loss), "x": x.gradient()}

    compared(backend, "the zero value", recipe)
