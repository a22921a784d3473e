"""The softmax loss with its weights: against its formula, its central differences, and wrong arguments."""

from __future__ import annotations

import numpy as np
import pytest

import weft_core as w
from weft_core import ComputationGraph, IndexValueError, ParameterCollection, ShapeError
from weft_core.numpy_backend import NumpyBackend


def layer() -> tuple[ParameterCollection, w.Parameters, w.Parameters]:
    rng = np.random.default_rng(2)
    model = ParameterCollection()
    return model, model.parameters_from_numpy(rng.standard_normal((5, 3))), model.parameters_from_numpy(np.arange(5.0))


def test_value_is_the_formula() -> None:
    _, W, b = layer()
    x = np.array([0.5, -1.0, 2.0])
    logits = W.as_array() @ x + b.as_array()
    with ComputationGraph(backend=NumpyBackend(np.float64)):
        loss = w.softmax_loss(w.inputVector(x), 3, W, b).scalar_value()
    assert loss == pytest.approx(np.log(np.exp(logits).sum()) - logits[3], rel=1e-6)


def test_one_instruction_for_a_batch() -> None:
    _, W, b = layer()
    with ComputationGraph() as graph:
        x = w.inputTensor(np.ones((3, 4)), batched=True)
        before = len(graph.code)
        loss = w.softmax_loss(x, [0, 1, 4, 2], W, b)
        assert len(graph.code) - before == 1 + 1 + 4
        assert loss.shape.dims == (1,) and loss.shape.batch == 4
        again = w.softmax_loss(x, np.array([0, 1, 4, 2]), W, b)
        assert again.npvalue().tolist() == loss.npvalue().tolist()


@pytest.mark.parametrize("with_bias", [True, False])
def test_gradients_of_weights_are_central_differences(with_bias: bool) -> None:
    _, W, b = layer()
    rng = np.random.default_rng(3)
    x = rng.standard_normal((3, 4))

    def loss() -> w.Expression:
        losses = w.softmax_loss(w.inputTensor(x, batched=True), [0, 3, 3, 1], W, b if with_bias else None)
        return w.sum_batches(w.cmult(losses, w.inputTensor(np.array([[1.0, -2.0, 0.5, 3.0]]), batched=True)))

    with ComputationGraph(backend=NumpyBackend(np.float64)):
        loss().backward()
    for p in (W, b) if with_bias else (W,):
        at, direction = p.as_array().copy(), rng.choice([-1.0, 1.0], p.as_array().shape)
        slopes = []
        for sign in (1, -1):
            p.set_value(at + sign * 2.0**-8 * direction)
            with ComputationGraph(backend=NumpyBackend(np.float64)):
                slopes.append(sign * loss().scalar_value() * 2.0**7)
        p.set_value(at)
        assert float((p.grad_as_array() * direction).sum()) == pytest.approx(sum(slopes), rel=2e-4)


def test_computed_weights_are_composed() -> None:
    _, W, b = layer()
    with ComputationGraph(backend=NumpyBackend(np.float64)):
        x = w.inputVector([0.5, -1.0, 2.0])
        plain = w.softmax_loss(x, 2, W, b).scalar_value()
        assert w.softmax_loss(x, 2, W * 1.0, b).scalar_value() == pytest.approx(plain)
        assert w.softmax_loss(x, 2, W, b * 1.0).scalar_value() == pytest.approx(plain)


def test_wrong_arguments() -> None:
    _, W, b = layer()
    with ComputationGraph():
        x, batch = w.inputVector([0.5, -1.0, 2.0]), w.inputTensor(np.ones((3, 2)), batched=True)
        w.softmax_loss(x, 4, W, b)
        for v in (5, -1):
            with pytest.raises(IndexValueError, match="softmax_loss"):
                w.softmax_loss(x, v, W, b)
        for wrong in ([1], 1, [1, 2, 3], []):
            with pytest.raises(ShapeError, match="2 examples"):
                w.softmax_loss(batch, wrong, W, b)
        with pytest.raises(IndexValueError, match="softmax_loss"):
            w.softmax_loss(batch, [1, 5], W, b)
        with pytest.raises(ShapeError, match="softmax_loss: the weights"):
            w.softmax_loss(w.inputVector([1.0, 2.0]), 1, W, b)
        with pytest.raises(ShapeError, match="softmax_loss: the weights"):
            w.softmax_loss(w.inputTensor(np.ones((3, 2))), 1, W, b)
        with pytest.raises(ShapeError, match="softmax_loss: the bias"):
            w.softmax_loss(x, 1, W, w.inputVector([1.0, 2.0]))
        with pytest.raises(TypeError, match="softmax_loss"):
            w.softmax_loss([0.5, -1.0, 2.0], 1, W, b)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="softmax_loss"):
            w.softmax_loss(x, "one", W, b)  # type: ignore[arg-type]
