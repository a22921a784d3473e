"""The first program of every DyNet course: XOR with one graph that is reused, and with a graph per example."""

from __future__ import annotations

import pytest

import weft as dy

EXAMPLES = 8_000
HIDDEN = 8
DATA = [(a, b, a != b) for a in (0, 1) for b in (0, 1)]


@pytest.fixture(params=["numpy", "numba"])
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    dy.init(backend=name, seed=1)
    return name


def average_loss(step, trainer: dy.SimpleSGDTrainer) -> float:
    """Mean loss over the last 4,000 of 8,000 examples, as the course's program prints it."""
    total = 0.0
    for number in range(EXAMPLES):
        loss = step(*DATA[number % len(DATA)])
        if number >= EXAMPLES // 2:
            total += loss.scalar_value()
        else:
            loss.scalar_value()
        loss.backward()
        trainer.update()
    return total / (EXAMPLES // 2)


def test_static_graph_with_set(backend: str) -> None:
    m = dy.ParameterCollection()
    W = m.add_parameters((HIDDEN, 2))
    V = m.add_parameters((1, HIDDEN))
    b = m.add_parameters(HIDDEN)
    dy.renew_cg()
    x = dy.vecInput(2)
    y = dy.scalarInput(0)
    loss = dy.binary_log_loss(dy.logistic(V * dy.tanh((W * x) + b)), y)

    def step(first: int, second: int, answer: bool) -> dy.Expression:
        x.set([first, second])
        y.set(answer)
        return loss

    assert average_loss(step, dy.SimpleSGDTrainer(m)) < 0.06


def test_dynamic_graph(backend: str) -> None:
    m = dy.ParameterCollection()
    W = m.add_parameters((HIDDEN, 2))
    V = m.add_parameters((1, HIDDEN))
    b = m.add_parameters(HIDDEN)

    def step(first: int, second: int, answer: bool) -> dy.Expression:
        dy.renew_cg()
        x = dy.inputVector([first, second])
        y = dy.scalarInput(answer)
        return dy.binary_log_loss(dy.logistic(V * dy.tanh((W * x) + b)), y)

    assert average_loss(step, dy.SimpleSGDTrainer(m)) < 0.06
