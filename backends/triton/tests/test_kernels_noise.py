"""Random operations: masks of the device are those of the reference bit by bit, in tiles of several instructions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import weft_core as weft
from weft_core.graph import ComputationGraph, reset_random_seed
from weft_core.numpy_backend import NumpyBackend
from weft_core.shape import shape_of
from weft_core.signature import signatures
from weft_triton.backend import TritonBackend
from weft_triton.lowering import lower
from weft_triton.noise import BLOCK, shared_axis
from weft_triton.options import Options

Dims = tuple[int, ...]
Masked = Callable[[weft.Expression], weft.Expression]
Floats = NDArray[np.float64]
SEEDS = (11, 2**63 + 5)

DROPOUTS: dict[str, tuple[Masked, Dims, int]] = {
    "a few": (lambda x: weft.dropout(x, 0.4), (13,), 1),
    "more than a tile": (lambda x: weft.dropout(x, 0.75), (29, 23), 2),
    "along the first axis": (lambda x: weft.dropout_dim(x, 0, 0.5), (4, 301), 3),
    "along the middle axis": (lambda x: weft.dropout_dim(x, 1, 0.5), (3, 5, 7), 2),
    "along the last axis": (lambda x: weft.dropout_dim(x, 2, 0.3), (3, 1, 40), 5),
    "along an axis of one": (lambda x: weft.dropout_dim(x, 1, 0.3), (30, 1, 4), 2),
    "examples": (lambda x: weft.dropout_batch(x, 0.5), (3, 2), 190),
    "examples of one number": (lambda x: weft.dropout_batch(x, 0.5), (1,), 20),
    "the whole value": (lambda x: weft.block_dropout(x, 0.5), (5, 4), 3),
}


def masks(name: str, backend: Any, seed: int) -> list[NDArray[np.float32]]:
    """Values and gradients at ones, of several instructions: of values, of one value twice, of a parameter."""
    function, dims, batch = DROPOUTS[name]
    reset_random_seed(seed)
    model = weft.ParameterCollection()
    p = model.parameters_from_numpy(np.ones(dims, np.float32))
    with ComputationGraph(backend=backend) as graph:
        xs = [weft.inputTensor(np.ones((*dims, batch)), batched=True) for _ in range(5)]
        ys = [function(x) for x in [*xs, xs[0]]]
        ys += [function(p) for _ in range(3)] if batch == 1 else []
        losses = [weft.sum_batches(weft.sum_elems(y * 2.0)) for y in ys]
        weft.esum(losses).backward(full=True)
        if isinstance(backend, TritonBackend):
            assert graph.execution.counts()["host_steps"] == 0
        return [y.npvalue() for y in ys] + [x.gradient() for x in xs] + [p.grad_as_array()]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", DROPOUTS)
def test_masks_are_equal_bit_by_bit_and_gradients_have_the_same(name: str, seed: int) -> None:
    found, wanted = masks(name, TritonBackend(), seed), masks(name, NumpyBackend(), seed)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)
    kept = np.concatenate([a.ravel() for a in wanted[:6]])
    assert 0 < np.count_nonzero(kept) < kept.size


@pytest.mark.parametrize("p", [0.3, 0.7, 1 - 2**-24, 2**-24, 2**-26, 0.0, 1.0])
def test_bernoulli_numbers_are_equal_for_every_probability(p: float) -> None:
    def numbers(backend: Any) -> list[Floats]:
        reset_random_seed(3)
        with ComputationGraph(backend=backend):
            ys = [weft.random_bernoulli((700,), p, 1.5, 3) for _ in range(2)]
            return [y.npvalue() for y in ys]

    for a, b in zip(numbers(TritonBackend()), numbers(NumpyBackend()), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.7, 0.999999, 1 / 3, 3 * 2**-24, 2**-26, 0.0, 1.0])
def test_no_uniform_number_is_compared_otherwise_in_float32(p: float) -> None:
    """All that lie near p: multiples of 2^-24."""
    with ComputationGraph(backend=NumpyBackend()) as graph:
        signature = signatures[graph.code[weft.random_bernoulli((2,), p).index]]
    works = lower(signature, [False], [False], [False], Options())
    assert works is not None
    threshold = np.array(works[0].constants[1], np.int32).view(np.float32)
    near = np.floor(p * 2**24) + np.arange(-3, 4)
    u = (near[(near >= 0) & (near < 2**24)] * 2**-24).astype(np.float32)
    np.testing.assert_array_equal(u < threshold, u.astype(np.float64) < p)


DRAWN: dict[str, Callable[[], weft.Expression]] = {
    "random_uniform": lambda: weft.random_uniform((700,), -3.0, 4.0, 3),
    "random_normal": lambda: weft.random_normal((40, 30), 0.5, 2.0),
    "random_gumbel": lambda: weft.random_gumbel((1500,), 0.25, 1.5, 2),
    "noise": lambda: weft.noise(weft.ones((40, 30), 2), 0.3),
}


@pytest.mark.parametrize("name", DRAWN)
def test_numbers_are_those_of_the_reference(name: str) -> None:
    def numbers(backend: Any) -> list[Floats]:
        reset_random_seed(9)
        with ComputationGraph(backend=backend):
            ys = [DRAWN[name]() for _ in range(2)]
            return [y.npvalue() for y in ys]

    found, wanted = numbers(TritonBackend()), numbers(NumpyBackend("float64"))
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=2e-6)
    assert found[0].size > BLOCK and not np.array_equal(found[0], found[1])


def test_noise_passes_gradients() -> None:
    with ComputationGraph(backend=TritonBackend()):
        xs = [weft.inputTensor(np.zeros(700)) for _ in range(3)]
        weights = np.arange(700.0)
        ys = [weft.cmult(weft.noise(x, 0.5), weft.inputTensor(weights)) for x in [*xs, xs[0]]]
        weft.sum_elems(weft.esum(ys)).backward(full=True)
        for x, times in zip(xs, (2, 1, 1), strict=True):
            np.testing.assert_array_equal(x.gradient(), times * weights)


def test_recalculation_draws_anew_and_as_the_reference_does() -> None:
    def twice(backend: Any) -> tuple[list[float], list[float]]:
        reset_random_seed(4)
        with ComputationGraph(backend=backend):
            y = weft.dropout(weft.ones(40), 0.5)
            return y.vec_value(), y.vec_value(recalculate=True)

    first, second = twice(TritonBackend())
    assert first != second
    assert (first, second) == twice(NumpyBackend())


@pytest.mark.parametrize(
    ("result", "mask", "found"),
    [
        (((3, 4), 2), ((3, 4), 2), (24, 1)),
        (((3, 4), 2), ((1, 4), 2), (1, 3)),
        (((3, 1, 4), 2), ((3, 1, 1), 2), (3, 4)),
        (((3, 1, 4), 2), ((1, 1, 1), 2), (1, 12)),
        (((3, 4), 2), ((3, 4), 1), (12, 2)),
        (((3, 4), 2), ((1, 1), 1), (1, 24)),
    ],
)
def test_elements_of_a_decision(result: tuple[Dims, int], mask: tuple[Dims, int], found: tuple[int, int]) -> None:
    assert shared_axis(shape_of(*result), shape_of(*mask)) == found
