"""Random cells: products, slices, sums and elementwise chains in any order, as a cell and as they are."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np

import weft_core as w
from weft_core import Expression, ParameterCollection
from weft_core.extend import Backend

from .programs.table import outcome_of
from .running import REFERENCE, Outcome, compare, projection

SEEDS = range(12)


Function = Callable[..., tuple[Expression, Expression]]


class RandomFunction:
    """A function of two vectors of `hidden` elements: a vector of the same size, and a number.

    What it records depends on the seed alone.
    """

    def __init__(self, seed: int, model: ParameterCollection) -> None:
        rng = random.Random(seed)
        self.seed = seed
        self.hidden = rng.choice([2, 3, 4])
        self.operations = rng.randint(4, 14)
        shapes = [(rng.choice([1, 2, 3]) * self.hidden, rng.choice([1, 2]) * self.hidden) for _ in range(4)]
        known = {p.name(): p for p in model.parameters_list()}
        numbers = np.random.default_rng(seed)

        def parameter(name: str, *dims: int) -> Expression:
            values = numbers.integers(-40, 41, dims) / 64
            return known.get(f"/{name}") or model.parameters_from_numpy(values, name)

        self.weights = [parameter(f"W{k}", *dims) for k, dims in enumerate(shapes)]
        self.biases = [parameter(f"b{k}", rows) for k, (rows, _) in enumerate(shapes)]
        self.scale = parameter("s", self.hidden)

    def __call__(self, *operands: Expression) -> tuple[Expression, Expression]:
        rng = random.Random(-1 - self.seed)
        values = list(operands)
        for _ in range(self.operations):
            values.append(self._next(rng, values, operands))
        vectors = [v for v in values[len(operands) :] if v.shape.rows == self.hidden]
        state = w.tanh(rng.choice(vectors)) if vectors else w.logistic(values[0])
        return state, w.sum_elems(w.square(values[-1]))

    def _next(self, rng: random.Random, values: Sequence[Expression], operands: Sequence[Expression]) -> Expression:
        """One more value from those that are there."""
        kind, v = rng.randrange(10), rng.choice(values)
        same = rng.choice([u for u in values if u.shape is v.shape])
        if kind < 3:
            return self._product(rng, values, operands)
        if kind == 3 and v.shape.rows > self.hidden:
            first = rng.randrange(v.shape.rows // self.hidden) * self.hidden
            return w.pick_range(v, first, first + self.hidden)
        if kind == 4:
            return rng.choice([w.cmult, w.bmax, Expression.__add__])(v, same)
        if kind == 5:
            return rng.choice([v * 0.5, 1 - v, -v, v + 0.25, v - same])
        if kind == 6:
            return w.softmax(v)
        if kind == 7:
            short = [u for u in values if u.shape.rows == self.hidden]
            return w.esum([rng.choice(short) for _ in range(3)]) + self.scale
        if kind == 8 and v.shape.rows <= 2 * self.hidden:
            return w.concatenate([v, rng.choice(operands)])
        if kind == 9 and rng.random() < 0.5:
            column = w.tanh(w.reshape(v, (v.shape.rows, 1)))
            return w.reshape(w.cmult(column, v), (v.shape.rows,))
        return rng.choice([w.tanh, w.logistic, w.square, w.softsign])(v)

    def _product(self, rng: random.Random, values: Sequence[Expression], operands: Sequence[Expression]) -> Expression:
        k = rng.randrange(len(self.weights))
        weight, bias = self.weights[k], self.biases[k]
        columns = weight.shape.dims[1]
        fitting = [v for v in values if v.shape.rows == columns] or [w.concatenate(list(operands))]
        x = rng.choice(fitting)
        return rng.choice([weight * x, weight * x + bias, w.affine_transform([bias, weight, x])])


def check_random_cell(backend: Backend, seed: int) -> None:
    """A recurrence over a random cell on the backend against the plain function on the reference."""
    batch = 3 if seed % 3 == 0 else 1

    def recipe(as_cell: bool) -> Callable[[ParameterCollection], Outcome]:
        def run(model: ParameterCollection) -> Outcome:
            function = RandomFunction(seed, model)
            step: Function = w.cell(function) if as_cell else function
            numbers = np.random.default_rng(seed)
            xs = [
                w.inputTensor(numbers.integers(-64, 65, (function.hidden, size)) / 64, batched=True)
                for size in (1, batch, 1, batch, 1)
            ]
            state: Expression = xs[0]
            losses: list[Expression] = []
            for x in xs[1:]:
                state, loss = step(state, x)
                losses += [w.sum_batches(loss), projection(state, len(losses))]
            total = w.esum(losses)
            total.backward(full=True)
            return {"loss": total.npvalue()} | {f"gradient of input {k}": x.gradient() for k, x in enumerate(xs)}

        return run

    model = ParameterCollection()
    wanted = outcome_of(REFERENCE, False, model, recipe(False))
    for autobatch in (True, False):
        found = outcome_of(backend, autobatch, model, recipe(True))
        compare(found, wanted, f"{backend.name}: random cell {seed}, autobatch={autobatch}", 5e-5)
