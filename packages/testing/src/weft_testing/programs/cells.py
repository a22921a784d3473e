"""Cells: the call of a cell computes what its function does, forward and gradients, however it is batched."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import weft_core as w
from weft_core import Expression, ParameterCollection
from weft_core.extend import Backend

from ..running import REFERENCE, Outcome, compare, projection
from .table import number, outcome_of, parameters, program, raises, vector

Function = Callable[..., Any]
HIDDEN = 4


def _both_ways(
    backend: Backend, name: str, make: Callable[[ParameterCollection], Function], chain: Callable[[Function], Any]
) -> None:
    """The function as it is on the reference against a cell of it on the backend, among other instructions."""

    def recipe(as_cell: bool) -> Callable[[ParameterCollection], Outcome]:
        def run(model: ParameterCollection) -> Outcome:
            function = make(model)
            results = chain(w.cell(function) if as_cell else function)
            loss = w.esum([projection(y, k) for k, y in enumerate(results)])
            loss.backward(full=True)
            return {"loss": number(loss)} | {f"result {k}": y.npvalue() for k, y in enumerate(results)}

        return run

    model = ParameterCollection()
    wanted = outcome_of(REFERENCE, False, model, recipe(False))
    for autobatch in (True, False):
        found = outcome_of(backend, autobatch, model, recipe(True))
        compare(found, wanted, f"{backend.name}: the cell {name}, autobatch={autobatch}", 1e-5)


def _pairs(batch: int = 1) -> list[tuple[Expression, Expression]]:
    return [(vector(k, HIDDEN, batch), vector(10 + k, HIDDEN, batch)) for k in range(5)]


def _tree(compose: Function) -> list[Expression]:
    """A tree of five leaves, composed pair by pair, some nodes beside a plain operation."""
    states = _pairs()
    while len(states) > 1:
        states = [compose(*left, *right) for left, right in pairwise(states)]
    return [*states[0], w.tanh(states[0][0])]


@program
def a_cell_of_sliced_gates(backend: Backend) -> None:
    def make(model: ParameterCollection) -> Function:
        W, U, V, b, f = parameters(model, W=(12, 8), U=(4, 4), V=(4, 4), b=(12,), f=(4,))

        def compose(lh: Expression, lc: Expression, rh: Expression, rc: Expression) -> tuple[Expression, ...]:
            a = w.affine_transform([b, W, w.concatenate([lh, rh])])
            io = w.logistic(w.pick_range(a, 0, 8))
            i, o, u = io[:4], io[4:8], w.tanh(w.pick_range(a, 8, 12))
            left = w.logistic(w.affine_transform([f, U, lh]) + 1.0)
            right = w.logistic(w.affine_transform([f, V, rh]) + 1.0)
            c = w.esum([w.cmult(i, u), w.cmult(left, lc), w.cmult(right, rc)])
            return w.cmult(o, w.tanh(c)), c

        return compose

    _both_ways(backend, "sliced gates", make, _tree)


@program
def a_cell_of_single_gates(backend: Backend) -> None:
    def make(model: ParameterCollection) -> Function:
        P, Q, U, b, f = parameters(model, P=(4, 8), Q=(4, 8), U=(4, 4), b=(4,), f=(4,))

        def compose(lh: Expression, lc: Expression, rh: Expression, rc: Expression) -> tuple[Expression, ...]:
            h = w.concatenate([lh, rh])
            i, u = w.logistic(P * h + b), w.tanh(Q * h)
            kept = w.logistic(U * lh + f)
            c = w.cmult(i, u) + w.cmult(kept, lc) + w.cmult(1 - kept, rc)
            return w.cmult(i, w.tanh(c)), c

        return compose

    _both_ways(backend, "single gates", make, _tree)


@program
def a_cell_in_two_stages(backend: Backend) -> None:
    """The candidate of a gated recurrent unit reads what the reset gate lets through."""

    def make(model: ParameterCollection) -> Function:
        Z, R, H, b = parameters(model, Z=(4, 8), R=(4, 8), H=(4, 8), b=(4,))

        def step(h: Expression, x: Expression) -> Expression:
            both = w.concatenate([h, x])
            z, r = w.logistic(Z * both + b), w.logistic(R * both)
            candidate = w.tanh(H * w.concatenate([w.cmult(r, h), x]))
            return w.cmult(1 - z, h) + w.cmult(z, candidate)

        return step

    def chain(step: Function) -> list[Expression]:
        h, outputs = vector(99, HIDDEN), []
        for x, _ in _pairs():
            h = step(h, x)
            outputs.append(h)
        return [*outputs, w.square(outputs[2])]

    _both_ways(backend, "in two stages", make, chain)


@program
def a_cell_with_what_is_the_same_at_all_steps(backend: Backend) -> None:
    """What reads no state runs for all steps at once, before or after the recurrence."""

    def make(model: ParameterCollection) -> Function:
        W, U, V = parameters(model, W=(4, 4), U=(4, 4), V=(4, 4))

        def step(h: Expression, x: Expression, mask: Expression) -> Expression:
            seen = w.softmax(V * w.tanh(W * w.cmult(x, mask)))
            return w.tanh(w.cmult(seen, x) + U * w.cmult(h, mask))

        return step

    def chain(step: Function) -> list[Expression]:
        h, mask = vector(99, HIDDEN), vector(98, HIDDEN)
        for x, y in _pairs():
            h = step(h, x + y, mask)
        return [h, mask]

    _both_ways(backend, "with hoisted parts", make, chain)


@program
def a_cell_with_settings_and_a_loss(backend: Backend) -> None:
    def make(model: ParameterCollection) -> Function:
        V, U, b = parameters(model, V=(3, 5), U=(5, 4), b=(5,))

        def loss(x: Expression, tag: int, scale: float = 1.0) -> Expression:
            hidden = w.tanh(w.affine_transform([b, U, x]))
            return w.pickneglogsoftmax(V * hidden, tag) * scale + w.sum_elems(w.square(hidden))

        return loss

    def chain(loss: Function) -> list[Expression]:
        xs = [x for pair in _pairs() for x in pair]
        each = [loss(x, k % 3) for k, x in enumerate(xs)]
        each += [loss(xs[0], 1, 0.25), loss(xs[1], tag=2, scale=3.0), loss(xs[2], 0, scale=0.5)]
        return [*each, w.esum(each)]

    _both_ways(backend, "with settings", make, chain)


@program
def a_cell_over_batches(backend: Backend) -> None:
    """Operands with a batch beside those without."""

    def make(model: ParameterCollection) -> Function:
        W, b = parameters(model, W=(4, 4), b=(4,))

        def mix(x: Expression, y: Expression) -> tuple[Expression, ...]:
            h = w.tanh(w.cmult(W * x, y) + b)
            return h, w.sum_batches(w.squared_norm(h - y)), w.dot_product(h, y)

        return mix

    def chain(mix: Function) -> list[Expression]:
        single, batched = _pairs(1), _pairs(3)
        results = [*mix(single[0][0], batched[0][0]), *mix(batched[1][0], single[1][0])]
        for (x, y), (p, q) in zip(single, batched, strict=True):
            results += [*mix(x, y), *mix(p, q)]
        return results

    _both_ways(backend, "over batches", make, chain)


@program
def a_cell_in_a_cell(backend: Backend) -> None:
    def make(model: ParameterCollection) -> Function:
        W, U = parameters(model, W=(4, 4), U=(4, 4))
        inner = w.cell(lambda x: w.tanh(W * x))

        def outer(x: Expression, others: list[Expression]) -> tuple[Expression, ...]:
            h = inner(x)
            return inner(U * h) + w.average(others), others[0], h

        return outer

    def chain(outer: Function) -> list[Expression]:
        return [y for x, other in _pairs() for y in outer(x, [other, x])]

    _both_ways(backend, "in a cell", make, chain)


@program
def a_cell_of_parts_that_are_no_vectors(backend: Backend) -> None:
    """Matrices, slices of results, reshapes, parameters as arguments, numbers, results that are parts."""

    def make(model: ParameterCollection) -> Function:
        (M,) = parameters(model, M=(4, 6))

        def function(m: Expression, x: Expression) -> tuple[Expression, ...]:
            table = w.reshape(m * 2.0 + w.square(m), (6, 4))
            scores = table * w.abs(x)
            return scores[1:5], w.transpose(w.reshape(scores, (2, 3))), w.cmult(w.exp(-scores), 3.0 - scores)[5]

        return lambda m, x: function(M if m is None else m, x)

    def chain(function: Function) -> list[Expression]:
        (given,) = [w.reshape(w.concatenate([vector(k, 6) for k in range(4)]), (4, 6))]
        results: list[Expression] = []
        for x, _ in _pairs():
            results += [*function(given, x), *function(None, x)]
        return results

    _both_ways(backend, "of matrices", make, chain)


@program
def the_map_of_a_cell(backend: Backend) -> None:
    """One slice of the tape for all positions: as if the cell had been called for each."""

    def make(model: ParameterCollection) -> Function:
        V, U = parameters(model, V=(3, 4), U=(4, 4))

        def score(x: Expression, tag: int, shared: Expression) -> tuple[Expression, ...]:
            h = w.tanh(U * x + shared) * 0.5
            return w.pickneglogsoftmax(V * h, tag), h

        return score

    def chain(score: Function) -> list[Expression]:
        xs, shared, tags = [x for pair in _pairs() for x in pair], vector(77, HIDDEN), [k % 3 for k in range(10)]
        if isinstance(score, w.Cell):
            losses, hidden = score.map(xs, tags, shared)
        else:
            losses, hidden = zip(*[score(x, tag, shared) for x, tag in zip(xs, tags)])
        return [w.esum(list(losses)), hidden[0], hidden[9], w.average(list(hidden))]

    _both_ways(backend, "mapped", make, chain)


@program
def dropout_in_a_cell(backend: Backend) -> None:
    """Every call draws masks of its own, the same on every backend, in both passes."""

    def recipe(model: ParameterCollection) -> Outcome:
        (W,) = parameters(model, W=(4, 4))
        step = w.cell(lambda h, x: w.tanh(w.dropout(W * h, 0.5) + w.dropout(x, 0.5)))
        h, outputs = vector(3, HIDDEN), []
        for x, _ in _pairs():
            h = step(h, x)
            outputs.append(h)
        mapped = step.map(outputs, [x for x, _ in _pairs()])
        loss = w.esum([projection(y, k) for k, y in enumerate([h, *mapped])])
        loss.backward(full=True)
        return {"loss": number(loss)} | {f"output {k}": y.npvalue() for k, y in enumerate(outputs)}

    model = ParameterCollection()
    wanted = outcome_of(REFERENCE, False, model, recipe)
    for autobatch in (True, False):
        found = outcome_of(backend, autobatch, model, recipe)
        compare(found, wanted, f"{backend.name}: dropout in a cell, autobatch={autobatch}", 1e-5)


@program
def what_a_cell_must_not_do_is_refused(backend: Backend) -> None:
    def recipe(model: ParameterCollection) -> Outcome:
        table = next(iter(model.lookup_parameters_list()), None) or model.add_lookup_parameters((3, 4))
        calls: list[int] = []

        def changing(x: Expression) -> Expression:
            calls.append(1)
            return w.tanh(x) if len(calls) % 2 else w.exp(x)

        def looking(x: Expression) -> Expression:
            return w.tanh(x) if x.value()[0] > 0 else x

        x, other = vector(1), vector(2)
        for function in (changing, looking, lambda x: x + other, lambda x: x + table[0], lambda x: 3.0, lambda x: ()):
            refused = w.cell(function)
            raises(w.WeftError, partial(refused, x), "a cell that depends on more than shapes and settings")
        raises(TypeError, lambda: w.cell(lambda x, y: x)(x, {}), "a setting that cannot be hashed")
        y = w.cell(lambda x: w.tanh(x))(x)
        return {"after": y.npvalue()}

    model = ParameterCollection()
    wanted = outcome_of(REFERENCE, False, model, recipe)
    compare(outcome_of(backend, True, model, recipe), wanted, f"{backend.name}: after refused cells", 1e-5)
