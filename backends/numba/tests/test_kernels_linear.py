"""Kernels of linear algebra and normalisation where the numbers are hard: many pivots, singular, equal, zero, large."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

import weft_core as weft
from weft_core.graph import ComputationGraph
from weft_core.numpy_backend import NumpyBackend
from weft_numba.backend import NumbaBackend

Floats = NDArray[np.float64]
Function = Callable[..., weft.Expression]
BACKENDS = [NumbaBackend(), NumpyBackend("float64")]


def evaluate(backend: object, f: Function, *arrays: Floats) -> list[Floats]:
    """The value, and the gradients of its sum, of instructions on batches of these arrays."""
    with ComputationGraph(backend=backend):  # type: ignore[arg-type]
        xs = [weft.inputTensor(a, batched=True) for a in arrays]
        y = f(*xs)
        weft.sum_batches(weft.sum_elems(y)).backward(full=True)
        return [y.npvalue(), *(x.gradient() for x in xs)]


def compare(f: Function, *arrays: Floats, tolerance: float = 1e-5) -> list[Floats]:
    """Both backends agree, also on what is not finite; returns what the compiled one found."""
    found, expected = (evaluate(backend, f, *arrays) for backend in BACKENDS)
    for a, b in zip(found, expected, strict=True):
        scale = max(1.0, np.abs(b[np.isfinite(b)]).max(initial=0.0))
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale)
    return found


def rotations(n: int, batch: int) -> Floats:
    """Orthogonal matrices of both signs: well conditioned, with pivots all over the place."""
    found = np.linalg.qr(np.random.default_rng(n).standard_normal((batch, n, n)))[0]
    found[::2, :, 0] *= -1
    return np.moveaxis(found, 0, -1)


@pytest.mark.parametrize("n", [1, 2, 3, 8, 17, 64])
def test_inverse_with_many_exchanges_of_rows(n: int) -> None:
    x = rotations(n, 5)
    found = compare(weft.inverse, x)[0]
    np.testing.assert_allclose(found, x.transpose((1, 0, 2)), atol=2e-6)


@pytest.mark.parametrize("n", [1, 2, 3, 8, 17])
def test_the_sign_of_the_determinant_follows_the_exchanges(n: int) -> None:
    x = rotations(n, 12)
    found, dx = compare(weft.logdet, x)
    negative = np.linalg.det(np.moveaxis(x, -1, 0)) < 0
    assert 0 < negative.sum() < 12
    np.testing.assert_array_equal(np.isnan(found[0]), negative)
    np.testing.assert_allclose(dx, x, atol=2e-6)


def test_a_permutation_is_inverted_exactly() -> None:
    x = np.eye(5)[[3, 1, 4, 0, 2]][..., None]
    np.testing.assert_array_equal(compare(weft.inverse, x)[0], x[..., 0].T)


def test_a_singular_matrix_spoils_no_other() -> None:
    x = np.stack([np.eye(3), np.ones((3, 3)), np.zeros((3, 3)), 2 * np.eye(3)], axis=-1)
    found = compare(weft.inverse, x)[0]
    assert [np.isnan(found[..., b]).all() for b in range(4)] == [False, True, True, False]
    logarithms, dx = compare(weft.logdet, x)
    np.testing.assert_allclose(logarithms, [[0, -np.inf, -np.inf, 3 * np.log(2)]], rtol=1e-6)
    assert [np.isnan(dx[..., b]).all() for b in range(4)] == [False, True, True, False]


def test_the_logarithm_of_a_determinant_does_not_overflow() -> None:
    x = np.stack([1e30 * np.eye(9), 1e-30 * np.eye(9)], axis=-1)
    np.testing.assert_allclose(compare(weft.logdet, x)[0], [[9 * np.log(1e30), -9 * np.log(1e30)]], rtol=1e-6)


def test_an_inverse_in_a_cell_takes_a_parameter() -> None:
    model = weft.ParameterCollection()
    W = model.parameters_from_numpy(rotations(6, 1)[..., 0])
    V = model.parameters_from_numpy(rotations(7, 1)[:6, :6, 0] + 3 * np.eye(6))
    step = weft.cell(lambda x: weft.tanh(weft.inverse(W) * x) * weft.logdet(V))
    gradients = []
    for backend in BACKENDS:
        for p in (W, V):
            p.scale_gradient(0)
        with ComputationGraph(backend=backend):
            xs = [weft.inputVector(np.linspace(-1, k, 6)) for k in range(1, 4)]
            weft.sum_elems(weft.esum([step(step(x)) for x in xs])).backward()
        gradients.append([p.grad_as_array() for p in (W, V)])
    for a, b in zip(*gradients, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * np.abs(b).max())


def test_layer_norm_of_equal_and_of_large_numbers() -> None:
    ones, none = np.ones((1, 1)), np.zeros((1, 1))
    equal = np.full((7, 2), 0.1)
    found = compare(weft.layer_norm, equal, ones, none)
    np.testing.assert_array_equal(found[0], np.zeros((7, 2)))
    large = np.stack([4096 + np.arange(6.0) / 2, -(2.0**20) + np.arange(6.0)], axis=-1)
    compare(weft.layer_norm, large, ones, none)


def test_weights_without_a_direction_stay_zero() -> None:
    w = np.stack([np.zeros((3, 2)), np.ones((3, 2))], axis=-1)
    y, dw, dg = compare(weft.weight_norm, w, np.full((1, 2), 2.0))
    assert not y[..., 0].any() and not dw[..., 0].any() and dg[0, 0] == 0
    np.testing.assert_allclose(y[..., 1], np.full((3, 2), 2 / np.sqrt(6)), rtol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 3, 16, 31, 100, 257])
def test_circular_products_of_any_size(n: int) -> None:
    rng = np.random.default_rng(n)
    u, v = rng.standard_normal((2, n, 3))
    # Sums of some hundred products in float32.
    compare(weft.circ_conv, u, v, tolerance=5e-5)
    compare(weft.circ_corr, u, v[:, :1], tolerance=5e-5)
    # A unit vector moves the other one along, and back.
    shift = np.zeros((n, 1))
    shift[1 % n] = 1
    np.testing.assert_allclose(evaluate(BACKENDS[0], weft.circ_conv, shift, u)[0], np.roll(u, 1, axis=0), rtol=1e-6)
    np.testing.assert_allclose(evaluate(BACKENDS[0], weft.circ_corr, shift, u)[0], np.roll(u, -1, axis=0), rtol=1e-6)
