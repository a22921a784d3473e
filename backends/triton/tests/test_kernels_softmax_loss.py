"""The output layer with its loss: around its tiles, in parts, for many columns, and where numbers are large."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import weft_core as w
from weft_core import ComputationGraph, Expression, ParameterCollection
from weft_core.numpy_backend import NumpyBackend
from weft_core.signature import signatures
from weft_triton.backend import TritonBackend
from weft_triton.lowering import lower
from weft_triton.opcodes import name_of
from weft_triton.options import Options
from weft_triton.softmax_loss import WEIGHT

Floats = NDArray[np.float64]
BACKENDS: tuple[Any, Any] = (TritonBackend(), NumpyBackend("float64"))


class Layer:
    """Weights for so many classes, and losses of inputs of this width."""

    def __init__(self, classes: int, width: int, scale: float = 1.0, bias: bool = True) -> None:
        rng = np.random.default_rng(classes + width)
        self.classes, self.width = classes, width
        self.model = ParameterCollection()
        self.W = self.model.parameters_from_numpy(scale * rng.standard_normal((classes, width)) / np.sqrt(width))
        self.b = self.model.parameters_from_numpy(rng.standard_normal(classes) / 4) if bias else None

    def loss(self, x: Expression, number: int) -> Expression:
        """The loss of some class for each example, in other proportions for each instruction."""
        batch = x.shape.batch
        wanted = [(7 * number + 3 * b) % self.classes for b in range(batch)]
        loss = w.softmax_loss(x, wanted if batch > 1 else wanted[0], self.W, self.b)
        return w.sum_batches(loss) * (0.5 + number % 3)

    def outcome(self, losses: list[Expression], xs: list[Expression]) -> dict[str, Floats]:
        """The losses, and gradients of inputs and parameters after two backward passes."""
        total = w.esum(losses)
        # All of them in one step.
        total.forward()
        found = {"loss": np.array([y.scalar_value() for y in losses])}
        total.backward()
        total.backward(full=True)
        found |= {f"x {n}": np.array(x.gradient(), np.float64) for n, x in enumerate(xs)}
        found["W"] = np.array(self.W.grad_as_array(), np.float64)
        if self.b is not None:
            found["b"] = np.array(self.b.grad_as_array(), np.float64)
        for p in (self.W, self.b):
            if p is not None:
                p.scale_gradient(0)
        return found


def close(found: dict[str, Floats], wanted: dict[str, Floats], tolerance: float = 5e-6) -> None:
    """Equal up to rounding of the largest number."""
    assert found.keys() == wanted.keys()
    for name, right in wanted.items():
        largest = np.abs(right).max()
        assert largest > 1e-4, name
        np.testing.assert_allclose(
            found[name], right.reshape(found[name].shape), rtol=0, atol=tolerance * largest, err_msg=name
        )


def compare(layer: Layer, instructions: int, batch: int = 1, inside: bool = False) -> dict[str, int]:
    """Both backends agree; `inside`: each input comes from the loss before it."""
    outcomes, counts = [], {}
    for backend in BACKENDS:
        with ComputationGraph(backend=backend) as graph:
            rng = np.random.default_rng(1)
            arrays = [rng.standard_normal((layer.width, batch)) for _ in range(instructions)]
            xs = [w.inputTensor(a, batched=True) for a in arrays]
            losses: list[Expression] = []
            for n, x in enumerate(xs):
                losses.append(layer.loss(x * (losses[-1] * 0.1) if inside and n else w.tanh(x), n))
            outcomes.append(layer.outcome(losses, xs))
            if backend is BACKENDS[0]:
                counts = graph.execution.counts()
    assert counts["host_steps"] == 0
    close(*outcomes)
    return counts


# Classes, width, instructions, examples.
SIZES = [(8, 4, 17, 1), (36, 33, 1, 1), (65, 33, 3, 2), (64, 68, 18, 1), (257, 12, 5, 3), (2060, 7, 2, 1)]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_sizes_around_tiles(sizes: tuple[int, int, int, int]) -> None:
    compare(Layer(*sizes[:2]), *sizes[2:])


def test_without_a_bias() -> None:
    compare(Layer(40, 24, bias=False), 5)


@pytest.mark.parametrize(("classes", "width"), [(1100, 12), (1537, 6)])
@pytest.mark.parametrize("inside", [False, True])
def test_gradients_of_inputs_in_parts(classes: int, width: int, inside: bool) -> None:
    compare(Layer(classes, width), 3, 2, inside)


@pytest.mark.parametrize(("classes", "width"), [(256, 64), (255, 67), (1056, 68)])
def test_many_columns_run_in_the_kernel_for_large_products(classes: int, width: int) -> None:
    # Forward, and both gradients of a pass, which share a launch; two passes.
    assert compare(Layer(classes, width), 2, 65)["large_launches"] == 3


def test_few_tiles_of_weights_share_many_columns() -> None:
    compare(Layer(5, 3), 11, 100)


@pytest.mark.parametrize(("classes", "shared"), [(5, True), (3000, False)])
def test_tiles_that_share_columns_add_to_weights_atomically(classes: int, shared: bool) -> None:
    layer = Layer(classes, 3)
    with ComputationGraph(backend=BACKENDS[1]) as graph:
        loss = w.softmax_loss(w.inputTensor([1.0, 2.0, 3.0]), 1, layer.W, layer.b)
        signature = signatures[graph.code[loss.index]]
    works = lower(signature, [True] * 6, [True] * 6, [True] * 6, Options())
    assert works is not None
    assert {ref.shared for work in works for ref in work.views if ref.gradient and ref.view == WEIGHT} == {shared}


def test_two_layers_with_one_matrix() -> None:
    outcomes = []
    layer = Layer(40, 24)
    for backend in BACKENDS:
        with ComputationGraph(backend=backend):
            xs = [w.inputTensor(np.cos(np.arange(24) * k)) for k in range(1, 5)]
            losses = [layer.loss(x, n) for n, x in enumerate(xs)]
            losses += [w.pickneglogsoftmax(layer.W * xs[0], 3)]
            outcomes.append(layer.outcome(losses, xs))
    close(*outcomes)


@pytest.mark.parametrize("begin", [0, 1])
def test_four_floats_at_a_time_only_where_all_rows_allow_it(begin: int) -> None:
    """Sizes are multiples of four; a part of a vector may begin anywhere."""
    layer, outcomes, names = Layer(36, 32), [], set()
    for backend in BACKENDS:
        with ComputationGraph(backend=backend) as graph:
            xs = [w.inputTensor(np.cos(np.arange(40) * k)) for k in range(1, 5)]
            losses = [layer.loss(w.pick_range(x, 4 + begin, 36 + begin), n) for n, x in enumerate(xs)]
            outcomes.append(layer.outcome(losses, xs))
            if backend is BACKENDS[0]:
                names = {name_of(n) for n in np.frombuffer(graph.execution.coder.opcode_key, np.int64).tolist()}
    close(*outcomes)
    aligned = {name.split("_")[5] for name in names if name.startswith(("output_weight", "output_operand"))}
    assert aligned == {str(int(begin == 0))}


@pytest.mark.parametrize("classes", [40, 300])
def test_large_logits_neither_overflow_nor_vanish(classes: int) -> None:
    """Losses of thousands, and of classes that are all but sure."""
    layer = Layer(classes, 8, scale=2000.0)
    values = []
    for backend in BACKENDS:
        with ComputationGraph(backend=backend):
            x = w.inputTensor(np.cos(np.arange(8.0)))
            logits = layer.W * x + layer.b
            best = int(np.argmax(logits.npvalue()))
            values.append([w.softmax_loss(x, v, layer.W, layer.b).scalar_value() for v in (best, 0, classes - 1)])
    assert values[0][0] == 0 and max(values[0]) > 1000
    np.testing.assert_allclose(values[0], values[1], rtol=1e-5)


def test_logits_of_minus_infinity_have_no_weight() -> None:
    layer = Layer(70, 4)
    assert layer.b is not None
    biases = layer.b.as_array()
    biases[:66] = -np.inf
    layer.b.set_value(biases)
    losses = []
    for backend in BACKENDS:
        with ComputationGraph(backend=backend):
            x = w.inputTensor(np.cos(np.arange(4.0)))
            losses.append([w.softmax_loss(x, v, layer.W, layer.b).scalar_value() for v in (67, 3)])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    assert losses[0][1] == np.inf
