"""Random graphs: mixed operations over a growing pool of values, the same for a seed on every backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import weft_core as w
from weft_core import ComputationGraph, Expression, LookupParameters, ParameterCollection
from weft_core.extend import Backend

from .case import Instance
from .cells import lstm_step, zero_state
from .running import REFERENCE, Outcome, clear_gradients, compare, parameter_gradients, projection, same_random_numbers

SIZE = 3
NODES = 40
SEEDS = range(50)


class RandomGraph:
    """About forty instructions on vectors of three, single or in batches of two, drawn by a seed.

    Every operation keeps its numbers bounded, so that float32 and float64 stay close however deep the graph is.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.model = ParameterCollection()
        self.instance = Instance(0, self.model, {})
        self.table: LookupParameters = self.instance.table("E", 6, SIZE)

    def record(self, rng: np.random.Generator) -> tuple[list[Expression], Expression]:
        """The values of the graph and its loss."""
        pool: list[Expression] = []
        for k in range(5):
            pool.append(w.inputTensor(rng.integers(-63, 64, (SIZE, 1 + k % 2)) / 64, batched=True))
        pool += [self.table[int(rng.integers(6))], self.table.batch(rng.integers(6, size=2))]
        pool.append(self.instance.parameter("p", SIZE))
        for _ in range(NODES):
            operation = _CHOICES[int(rng.integers(len(_CHOICES)))]
            # Later values are drawn more often: graphs become deep.
            a, b = (pool[int(len(pool) * rng.random() ** 0.5)] for _ in range(2))
            pool.append(operation(self.instance, rng, a, b))
        ends = [pool[int(i)] for i in rng.choice(len(pool), 6, replace=False)] + pool[-1:]
        return pool, w.esum([projection(y, k) for k, y in enumerate(ends)])

    def run(self, backend: Backend, autobatch: bool) -> Outcome:
        """Values and gradients of all nodes, some values asked in between."""
        clear_gradients(self.model)
        with same_random_numbers(), ComputationGraph(autobatch=autobatch, backend=backend):
            rng = np.random.default_rng([9, self.seed])
            pool, loss = self.record(rng)
            if self.seed % 3 == 0:
                w.forward([pool[int(i)] for i in rng.choice(len(pool), 3)])
            outcome = {"loss": np.array(loss.scalar_value())}
            loss.backward(full=self.seed % 2 == 0)
            for k, y in enumerate(pool):
                if y.graph is not None and y.index < loss.index:
                    outcome[f"gradient of node {k}"] = y.gradient()
            outcome |= {f"value of node {k}": y.npvalue() for k, y in enumerate(pool)}
        outcome |= parameter_gradients(self.model)
        clear_gradients(self.model)
        return outcome


def _affine(i: Instance, a: Expression) -> Expression:
    return w.affine_transform([i.parameter("q", SIZE), i.parameter("M", SIZE, SIZE), _on_tape(a)])


def _on_tape(a: Expression) -> Expression:
    """A parameter as a computed value: what a product with a parameter takes."""
    return a + 0.0 if a.graph is None else a


def _lstm(i: Instance, a: Expression, b: Expression) -> Expression:
    batch = max(a.shape.batch, b.shape.batch)
    return lstm_step(i, _on_tape(a), zero_state(SIZE, batch), _on_tape(b))[0]


_Choice = Callable[[Instance, np.random.Generator, Expression, Expression], Expression]
_CHOICES: list[_Choice] = [
    lambda i, r, a, b: w.tanh(a),
    lambda i, r, a, b: w.logistic(a),
    lambda i, r, a, b: w.sin(a),
    lambda i, r, a, b: w.cmult(w.tanh(a), b),
    lambda i, r, a, b: w.average([a, b]),
    lambda i, r, a, b: w.tanh(a - b),
    lambda i, r, a, b: w.softmax(a + b),
    lambda i, r, a, b: w.tanh(_affine(i, a)),
    lambda i, r, a, b: w.tanh(i.parameter("M", SIZE, SIZE) * _on_tape(a)),
    lambda i, r, a, b: w.pick_range(w.concatenate([a, b]), *((s := int(r.integers(4))), s + 3)[:2]),
    lambda i, r, a, b: w.concatenate([w.pick(a, int(r.integers(3))), w.pick_range(b, 1, 3)]),
    lambda i, r, a, b: w.reshape(w.transpose(w.reshape(a, (1, 3))), (3,)),
    lambda i, r, a, b: w.dropout(a, 0.25) * 0.75,
    lambda i, r, a, b: a * float(r.integers(-4, 5) / 4),
    lambda i, r, a, b: w.nobackprop(a),
    lambda i, r, a, b: w.sum_batches(a) * (1 / a.shape.batch),
    lambda i, r, a, b: w.cmult(b, w.pickneglogsoftmax_batch(a, r.integers(3, size=a.shape.batch)) * 0.3),
    lambda i, r, a, b: w.concatenate(
        [w.pick_batch_elem(a, int(r.integers(a.shape.batch)))[k : k + 1] for k in (2, 0, 1)]
    ),
    lambda i, r, a, b: _lstm(i, a, b),
    lambda i, r, a, b: i.table("E", 6, SIZE)[int(r.integers(6))] + w.tanh(b),
]


_wanted: dict[int, tuple[RandomGraph, Outcome]] = {}


def check_random_graph(backend: Backend, seed: int) -> None:
    """Compare a random graph with the reference, autobatching on and off; raises `ConformanceError`."""
    if seed not in _wanted:
        graph = RandomGraph(seed)
        _wanted[seed] = graph, graph.run(REFERENCE, autobatch=False)
    graph, wanted = _wanted[seed]
    for autobatch in (True, False):
        found: Any = graph.run(backend, autobatch)
        compare(found, wanted, f"{backend.name}: random graph {seed}, autobatch={autobatch}", 1e-5)
