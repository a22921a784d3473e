"""Kernels of linear algebra and normalisation, of every size of tile, where the numbers are hard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import triton.language as tl
from numpy.typing import NDArray

import weft_core as weft
from weft_core.errors import BackendError
from weft_core.graph import ComputationGraph
from weft_core.numpy_backend import NumpyBackend
from weft_triton import linear_algebra
from weft_triton.backend import TritonBackend

Floats = NDArray[np.float64]
Function = Callable[..., weft.Expression]
BACKENDS: dict[str, Any] = {"triton": TritonBackend(), "reference": NumpyBackend("float64")}


def evaluate(backend: Any, f: Function, instructions: Sequence[Sequence[Floats]], shared: bool) -> list[Floats]:
    """Values, and gradients of their weighted sums, of instructions on batches of arrays; the first may share one."""
    with ComputationGraph(backend=backend) as graph:
        operands = [[weft.inputTensor(a, batched=True) for a in arrays] for arrays in instructions]
        results = [f(*(operands[0][:1] if shared else xs[:1]), *xs[1:]) for xs in operands]
        total = weft.scalarInput(0)
        for seed, y in enumerate(results):
            weights = np.random.default_rng(seed).standard_normal((*y.dim()[0], y.dim()[1]))
            total = total + weft.sum_batches(weft.sum_elems(weft.cmult(y, weft.inputTensor(weights, batched=True))))
        total.backward(full=True)
        found = [y.npvalue() for y in results] + [x.gradient() for xs in operands for x in xs]
        if backend is BACKENDS["triton"]:
            assert graph.execution.counts()["host_steps"] == 0
    return found


def compare(
    f: Function, *instructions: Sequence[Floats], shared: bool = False, tolerance: float = 1e-5
) -> list[Floats]:
    """Both backends agree, also on what is not finite; returns what the compiled one found."""
    found, wanted = (evaluate(backend, f, instructions, shared) for backend in BACKENDS.values())
    for a, b in zip(found, wanted, strict=True):
        scale = max(1.0, np.abs(b[np.isfinite(b)]).max(initial=0.0))
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale)
    return found


def rotations(n: int, batch: int, seed: int = 0) -> Floats:
    """Orthogonal matrices of both signs: well conditioned, with pivots all over the place."""
    found = np.linalg.qr(np.random.default_rng([n, seed]).standard_normal((batch, n, n)))[0]
    found[::2, :, 0] *= -1
    return np.moveaxis(found, 0, -1)


# --- linear algebra -------------------------------------------------------------------------------

# In registers, up to a full block and beyond a tile of the gradient; in memory.
SIZES = [1, 2, 7, 16, 17, 32, 33, 70]


@pytest.mark.parametrize("n", SIZES)
def test_inverse_with_many_exchanges_of_rows(n: int) -> None:
    compare(weft.inverse, *([rotations(n, 2, seed)] for seed in range(1 if n > 32 else 2)))


def test_lines_of_a_matrix_that_are_longer_than_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear_algebra, "IN_REGISTERS", ())
    monkeypatch.setattr(linear_algebra, "BLOCK", 8)
    monkeypatch.setattr(linear_algebra, "_BLOCK", tl.constexpr(8))
    monkeypatch.setitem(BACKENDS, "triton", TritonBackend())
    # Each column of the second has one row only that can be the pivot's.
    permutation = np.eye(20)[np.random.default_rng(1).permutation(20)]
    compare(weft.inverse, [np.stack([rotations(20, 1)[..., 0], permutation], axis=-1)])


@pytest.fixture(params=["registers", "memory"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where small matrices are inverted."""
    if request.param == "memory":
        monkeypatch.setattr(linear_algebra, "IN_REGISTERS", ())
        monkeypatch.setitem(BACKENDS, "triton", TritonBackend())
    return str(request.param)


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("n", [1, 2, 7, 17])
def test_the_sign_of_the_determinant_follows_the_exchanges(n: int) -> None:
    x = rotations(n, 12 if n < 17 else 5)
    found = compare(weft.logdet, [x])[0]
    negative = np.linalg.det(np.moveaxis(x, -1, 0)) < 0
    assert 0 < negative.sum() < len(negative)
    np.testing.assert_array_equal(np.isnan(found)[0], negative)


@pytest.mark.usefixtures("place")
def test_a_singular_matrix_spoils_no_other() -> None:
    singular = [np.ones((3, 3)), np.zeros((3, 3)), np.diag([1.0, 2.0, 0.0])]
    x = np.stack([np.eye(3), *singular, 2 * np.eye(3)], axis=-1)
    found = compare(weft.inverse, [x])[0]
    assert [np.isnan(found[..., b]).all() for b in range(5)] == [False, True, True, True, False]
    logarithms, dx = compare(weft.logdet, [x])
    np.testing.assert_allclose(logarithms, [[0, -np.inf, -np.inf, -np.inf, 3 * np.log(2)]], rtol=1e-6)
    assert [np.isnan(dx[..., b]).all() for b in range(5)] == [False, True, True, True, False]


@pytest.mark.usefixtures("place")
def test_a_matrix_that_is_not_a_number_has_no_inverse() -> None:
    x = np.stack([np.eye(4), np.eye(4), 2 * np.eye(4)], axis=-1)
    x[1, 1, 0] = x[2, 3, 1] = np.nan
    with ComputationGraph(backend=BACKENDS["triton"]):
        operand = weft.inputTensor(x, batched=True)
        found, logarithms = weft.inverse(operand).npvalue(), weft.logdet(operand).npvalue()
    assert [np.isnan(found[..., b]).any() for b in range(3)] == [True, True, False]
    np.testing.assert_array_equal(np.isnan(logarithms[0]), [True, True, False])


@pytest.mark.usefixtures("place")
def test_the_logarithm_of_a_determinant_does_not_overflow() -> None:
    x = np.stack([1e30 * np.eye(9), 1e-30 * np.eye(9)], axis=-1)
    np.testing.assert_allclose(compare(weft.logdet, [x])[0], [[9 * np.log(1e30), -9 * np.log(1e30)]], rtol=1e-6)


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("f", [weft.inverse, weft.logdet])
def test_matrices_of_parameters(f: Function) -> None:
    gradients = []
    for backend in BACKENDS.values():
        model = weft.ParameterCollection()
        W, V = (model.parameters_from_numpy(rotations(6, 1, seed)[..., 0] + 2 * np.eye(6)) for seed in (0, 1))
        with ComputationGraph(backend=backend):
            weft.esum([weft.sum_elems(weft.tanh(f(x))) for x in (W, V, W, V)]).backward()
        gradients.append([p.grad_as_array() for p in (W, V)])
    for a, b in zip(*gradients, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * np.abs(b).max())


@pytest.mark.parametrize("f", [weft.inverse, weft.logdet])
def test_matrices_that_are_too_large_are_refused(f: Function, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear_algebra, "MOST_ROWS", 40)
    with ComputationGraph(backend=BACKENDS["triton"]), pytest.raises(BackendError, match="at most 40 rows, got 41"):
        f(weft.inputTensor(np.eye(41))).forward()


# --- normalisation --------------------------------------------------------------------------------

# Each kind of tile, one line or many, one chunk or several.
LINES = [((5,), 1), ((4, 8), 65), ((33,), 2), ((16, 16), 9), ((2050,), 2)]


def draw(dims: tuple[int, ...], batch: int, seed: int) -> Floats:
    return np.random.default_rng(seed).standard_normal((*dims, batch))


@pytest.mark.parametrize(("dims", "batch"), LINES)
@pytest.mark.parametrize("shared", [False, True])
def test_layer_norm(dims: tuple[int, ...], batch: int, shared: bool) -> None:
    instructions = [[draw(dims, batch, 3 * n), draw(dims, 1, 3 * n + 1), draw(dims, 1, 3 * n + 2)] for n in range(3)]
    compare(weft.layer_norm, *instructions, shared=shared)


@pytest.mark.parametrize(("dims", "batch"), LINES)
@pytest.mark.parametrize("batched", ["weights", "gain", "both"])
def test_weight_norm(dims: tuple[int, ...], batch: int, batched: str) -> None:
    """What is the same for all examples receives the gradients of each."""
    w, g = (1 if batched == "gain" else batch), (1 if batched == "weights" else batch)
    instructions = [[draw(dims, w, 2 * n), draw((1,), g, 2 * n + 1)] for n in range(3)]
    compare(weft.weight_norm, *instructions)
    compare(weft.weight_norm, *instructions, shared=True)


@pytest.mark.parametrize("fixed", ["weights", "gain"])
def test_weight_norm_where_one_operand_needs_no_gradient(fixed: str) -> None:
    # Read as the place of a gradient, the seed would be one.
    weft.reset_random_seed(17)
    gradients = []
    for backend in BACKENDS.values():
        model = weft.ParameterCollection()
        p = model.parameters_from_numpy(draw((1,) if fixed == "weights" else (3, 4), 1, 1)[..., 0])
        with ComputationGraph(backend=backend):
            if fixed == "weights":
                y = weft.weight_norm(weft.inputTensor(draw((3, 4), 1, 2)[..., 0]), p)
            else:
                y = weft.weight_norm(p, weft.scalarInput(0.7))
            weft.sum_elems(weft.square(y - 0.3)).backward()
        gradients.append(p.grad_as_array())
    np.testing.assert_allclose(*gradients, rtol=1e-5, atol=1e-5)


def test_layer_norm_of_equal_and_of_large_numbers() -> None:
    ones, none = np.ones((1, 1)), np.zeros((1, 1))
    equal = np.full((7, 2), 0.1)
    found = compare(weft.layer_norm, [equal, ones, none])
    np.testing.assert_array_equal(found[0], np.zeros((7, 2)))
    large = np.stack([4096 + np.arange(6.0) / 2, -(2.0**20) + np.arange(6.0)], axis=-1)
    compare(weft.layer_norm, [large, ones, none])


def test_weights_without_a_direction_stay_zero() -> None:
    w = np.stack([np.zeros((3, 2)), np.ones((3, 2))], axis=-1)
    y, dw, dg = compare(weft.weight_norm, [w, np.full((1, 2), 2.0)])
    assert not y[..., 0].any() and not dw[..., 0].any() and dg[0, 0] == 0
    np.testing.assert_allclose(y[..., 1], np.full((3, 2), 2 / np.sqrt(6)), rtol=1e-6)
