"""Random operations: distribution, shared decisions, numbers that depend on nothing but their counter."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from weft_core.expression import Expression
from weft_core.graph import ComputationGraph, reset_random_seed
from weft_core.numpy_backend import NumpyBackend
from weft_core.ops import arithmetic as ari
from weft_core.ops import noise as noi
from weft_core.ops import reductions as red
from weft_core.ops.inputs import inputTensor
from weft_core.settings import settings

backend = NumpyBackend("float64")


@pytest.fixture(autouse=True)
def same_seed_afterwards() -> Iterator[None]:
    seed = settings.seed
    yield
    reset_random_seed(seed)


MASKS: list[tuple[str, Callable[[Expression, float], Expression], tuple[int, ...]]] = [
    # the axes along which a decision is shared, of dims {5,4} and batch 6
    ("dropout", noi.dropout, ()),
    ("dropout_dim_0", lambda x, p: noi.dropout_dim(x, 0, p), (0,)),
    ("dropout_dim_1", lambda x, p: noi.dropout_dim(x, 1, p), (1,)),
    ("dropout_batch", noi.dropout_batch, (0, 1)),
    ("block_dropout", noi.block_dropout, (0, 1, 2)),
]


@pytest.mark.parametrize("name, drop, shared", MASKS, ids=[m[0] for m in MASKS])
def test_masks(name: str, drop: Callable[[Expression, float], Expression], shared: tuple[int, ...]) -> None:
    reset_random_seed(7)
    kept = []
    with ComputationGraph(backend=backend):
        x = inputTensor(np.ones((5, 4, 6)), batched=True)
        for _ in range(60):
            mask = drop(x, 0.25).npvalue()
            assert set(np.unique(mask)) <= {0, 4 / 3}
            for axis in shared:
                assert (mask == mask.take([0], axis)).all()
            if not shared:
                assert 0 < mask.mean() < 4 / 3
            kept.append((mask > 0).mean())
    assert np.mean(kept) == pytest.approx(0.75, abs=0.17)


@pytest.mark.parametrize("name, drop, shared", MASKS, ids=[m[0] for m in MASKS])
def test_the_gradient_uses_the_mask_of_the_value(
    name: str, drop: Callable[[Expression, float], Expression], shared: tuple[int, ...]
) -> None:
    with ComputationGraph(backend=backend):
        xs = [inputTensor(np.full((5, 4, 6), 1.0 + k), batched=True) for k in range(3)]
        ys = [drop(x, 0.5) for x in xs]
        total = red.sum_elems(red.sum_batches(ys[0] + ys[1] + ys[2]))
        total.backward(full=True)
        for x, y in zip(xs, ys, strict=True):
            np.testing.assert_allclose(x.gradient() * x.npvalue(), y.npvalue())


@pytest.mark.parametrize("make", [
    lambda x: noi.dropout(x, 0.5), lambda x: noi.dropout_dim(x, 0, 0.5), lambda x: noi.noise(x, 1.0),
    lambda x: ari.cmult(x, noi.random_normal((3, 2))),
    lambda x: ari.cmult(x, noi.random_gumbel((3, 2), batch_size=2)),
])  # fmt: skip
def test_masks_do_not_depend_on_batching(make: Callable[[Expression], Expression]) -> None:
    found = []
    for autobatch in (True, False):
        reset_random_seed(3)
        with ComputationGraph(autobatch=autobatch, backend=backend):
            x = inputTensor(np.arange(1.0, 13).reshape(3, 2, 2), batched=True)
            ys = [make(x) for _ in range(4)]
            red.sum_elems(red.sum_batches(ys[0] + ys[1] + ys[2] + ys[3])).backward(full=True)
            found.append([*[y.npvalue() for y in ys], x.gradient()])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14)
    assert any((found[0][0] != found[0][k]).any() for k in (1, 2, 3))


def test_rate_zero_returns_the_operand() -> None:
    with ComputationGraph(backend=backend):
        x = inputTensor(np.ones((3, 2)))
        for _, drop, _ in MASKS:
            assert drop(x, 0.0) is x


def test_a_value_is_drawn_once_and_again_on_recalculation() -> None:
    with ComputationGraph(backend=backend):
        y = noi.random_normal(50)
        first = y.npvalue()
        np.testing.assert_array_equal(first, y.npvalue())
        assert (first != y.npvalue(recalculate=True)).any()


def test_the_seed_decides() -> None:
    found = []
    for seed in (5, 5, 6):
        reset_random_seed(seed)
        with ComputationGraph(backend=backend):
            found.append(noi.random_uniform((10,), 0, 1).npvalue())
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()


EULER = 0.57721566


@pytest.mark.parametrize("make, mean, deviation", [
    (lambda: noi.random_normal((100, 20), 2.0, 0.5, batch_size=5), 2.0, 0.5),
    (lambda: noi.random_uniform((100, 20), -1.0, 3.0, batch_size=5), 1.0, 4 / 12**0.5),
    (lambda: noi.random_bernoulli((100, 20), 0.25, 2.0, batch_size=5), 0.5, 0.75**0.5),
    (lambda: noi.random_gumbel((100, 20), batch_size=5), EULER, np.pi / 6**0.5),
    (lambda: noi.random_gumbel((100, 20), 1.0, 2.0, batch_size=5), 1 + 2 * EULER, 2 * np.pi / 6**0.5),
    (lambda: noi.noise(inputTensor(np.full((100, 100), 3.0)), 0.5), 3.0, 0.5),
])  # fmt: skip
def test_distributions(make: Callable[[], Expression], mean: float, deviation: float) -> None:
    reset_random_seed(11)
    with ComputationGraph(backend=backend):
        values = make().npvalue()
    assert values.size == 10_000
    assert values.mean() == pytest.approx(mean, abs=5 * deviation / 100)
    assert values.std() == pytest.approx(deviation, rel=0.05)
