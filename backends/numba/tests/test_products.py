"""Matrix products of few and of many columns, and the softmax loss that is made of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import weft_core as w
from weft_core import ComputationGraph, Expression, ParameterCollection
from weft_core.backend import load_backend
from weft_core.numpy_backend import NumpyBackend
from weft_numba import blas, tiles

Floats = NDArray[np.float32]

# Rows below, at and above whole vectors and tiles; columns on both sides of every tile and of the limits to sgemm.
ROWS = (1, 5, 15, 16, 17, 50, 129, 200, 530, 1024)
COLUMNS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16, 22, 31, 33, 65, 257)
INNER = (1, 3, 4, 7, 20, 65, 130)


def matrix(rows: int, columns: int, seed: int) -> Floats:
    return np.asfortranarray(np.random.default_rng(seed).standard_normal((rows, columns)), np.float32)


def padded(inside: Floats) -> Floats:
    """The same matrix with two more rows of nines."""
    wide = np.full((inside.shape[0] + 2, inside.shape[1]), 9, np.float32, order="F")
    wide[:-2] = inside
    return wide


def at(wide: Floats) -> tuple[int, int]:
    return int(wide.ctypes.data), wide.shape[0]


def close(found: Floats, wanted: NDArray[np.float64], terms: int) -> None:
    """Equal up to the rounding of sums of so many terms, and nothing outside was written."""
    assert (found[-2:] == 9).all()
    np.testing.assert_allclose(found[:-2], wanted, rtol=0, atol=1e-6 * (4 + terms))


@pytest.mark.parametrize("m", ROWS)
@pytest.mark.parametrize("k", INNER)
def test_products_of_every_size(m: int, k: int) -> None:
    sgemm = blas.blas_address("sgemm")
    for n in COLUMNS:
        a, x, y = matrix(m, k, 0), matrix(k, n, 1), matrix(m, n, 2)
        a64, x64, y64 = (v.astype(np.float64) for v in (a, x, y))
        wide_a, wide_x, wide_y = padded(a), padded(x), padded(y)
        blas.product_add(sgemm, m, n, k, *at(wide_a), *at(wide_x), *at(wide_y))
        close(wide_y, y64 + a64 @ x64, k)
        wide_y = padded(y)
        blas.product_transposed_add(sgemm, m, n, k, *at(wide_a), *at(wide_y), *at(wide_x))
        close(wide_x, x64 + a64.T @ y64, m)
        wide_x = padded(x)
        blas.outer_add(sgemm, m, n, k, *at(wide_y), *at(wide_x), *at(wide_a))
        close(wide_a, a64 + y64 @ x64.T, n)


@pytest.mark.parametrize(("m", "k"), [(16, 3), (1024, 20), (2048, 5), (70, 300)])
def test_tiles_alone(m: int, k: int) -> None:
    """Whatever the limits are, tiles are right; columns 4096 bytes apart are taken another way."""
    for n in COLUMNS:
        a, x, y = matrix(m, k, 0), matrix(k, n, 1), np.zeros((m, n), np.float32, order="F")
        tiles.multiply_add(m, n, k, *at(a), at(x)[0], 1, k, *at(y))
        np.testing.assert_allclose(y, a.astype(np.float64) @ x, rtol=0, atol=1e-6 * (4 + k))
        dots = np.zeros((k, n), np.float32, order="F")
        tiles.dots_add(m, n, k, *at(a), *at(y), *at(dots))
        np.testing.assert_allclose(dots, a.T.astype(np.float64) @ y, rtol=0, atol=2e-6 * m * np.sqrt(k))


def test_a_column_does_not_depend_on_its_neighbours() -> None:
    sgemm = blas.blas_address("sgemm")
    m, k, n = 200, 128, 100
    a, x = matrix(m, k, 0), matrix(k, n, 1)
    together, alone = (np.zeros((m, n), np.float32, order="F") for _ in range(2))
    blas.product_add(sgemm, m, n, k, *at(a), *at(x), *at(together))
    for c in range(n):
        blas.product_add(sgemm, m, 1, k, *at(a), at(x)[0] + 4 * c * k, k, at(alone)[0] + 4 * c * m, m)
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-4)


def test_what_is_not_finite_stays_in_its_row_and_column() -> None:
    sgemm = blas.blas_address("sgemm")
    for n in COLUMNS:
        a, x, y = matrix(37, 9, 0), matrix(9, n, 1), np.zeros((37, n), np.float32, order="F")
        a[36, 4], x[2, 0] = np.inf, np.nan
        blas.product_add(sgemm, 37, n, 9, *at(a), *at(x), *at(y))
        assert np.isnan(y[:, 0]).all() and np.isfinite(y[:36, 1:]).all() and np.isinf(y[36, 1:]).all()


# --- softmax loss ---------------------------------------------------------------------------------


class Layer:
    """An output layer with a table of inputs, and losses of it, fused or composed."""

    def __init__(self, classes: int, width: int, inputs: int) -> None:
        rng = np.random.default_rng(5)
        self.model = ParameterCollection()
        self.W = self.model.parameters_from_numpy(rng.standard_normal((classes, width)) / 4)
        self.b = self.model.parameters_from_numpy(rng.standard_normal(classes) / 4)
        self.E = self.model.lookup_parameters_from_numpy(rng.standard_normal((inputs, width)))
        self.classes, self.inputs = classes, inputs

    def losses(self, fused: bool) -> list[Expression]:
        """One loss for each input, of rows in another order than they are computed in."""
        xs = [w.tanh(self.E[i]) for i in range(self.inputs)]
        pairs = [(xs[i], (3 * i) % self.classes) for i in np.random.default_rng(1).permutation(self.inputs)]
        if fused:
            return [w.softmax_loss(x, v, self.W, self.b) for x, v in pairs]
        return [w.pickneglogsoftmax(w.affine_transform([self.b, self.W, x]), v) for x, v in pairs]

    def gradients(self) -> dict[str, Any]:
        found = {name: np.array(p.grad_as_array()) for name, p in (("W", self.W), ("b", self.b), ("E", self.E))}
        self.model.store.gradients[:] = 0
        for table in self.model.store.tables:
            table.clear_gradients()
        return found


def same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name, gradient in wanted.items():
        assert np.abs(gradient).max() > 0.01
        np.testing.assert_allclose(found[name], gradient, rtol=0, atol=1e-5 * np.abs(gradient).max(), err_msg=name)


SIZES = [(5, 3, 40), (137, 20, 7), (4099, 6, 300), (2, 1, 1)]


@pytest.mark.parametrize("autobatch", [True, False])
@pytest.mark.parametrize(("classes", "width", "inputs"), SIZES)
def test_fused_is_composed(classes: int, width: int, inputs: int, autobatch: bool) -> None:
    layer = Layer(classes, width, inputs)
    with ComputationGraph(backend=NumpyBackend(np.float64)):
        losses = layer.losses(fused=False)
        wanted_values = [loss.scalar_value() for loss in losses]
        w.esum(losses).backward()
    wanted = layer.gradients()
    with ComputationGraph(backend=load_backend("numba"), autobatch=autobatch):
        losses = layer.losses(fused=True)
        total = w.esum(losses)
        total.backward()
        same(layer.gradients(), wanted)
        np.testing.assert_allclose([loss.scalar_value() for loss in losses], wanted_values, rtol=1e-5, atol=1e-6)
        total.backward()
        same(layer.gradients(), wanted)


def test_losses_of_several_forward_calls() -> None:
    """The exponentials are then in several places, the gradients in one."""
    layer = Layer(31, 4, 12)
    with ComputationGraph(backend=NumpyBackend(np.float64)):
        total = w.esum([loss * (1 + i) for i, loss in enumerate(layer.losses(fused=False))])
        total.backward()
    wanted = layer.gradients()
    with ComputationGraph(backend=load_backend("numba")):
        losses = layer.losses(fused=True)
        for loss in (losses[0], losses[5], losses[1]):
            loss.value()
        total = w.esum([loss * (1 + i) for i, loss in enumerate(losses)])
        for _ in range(2):
            total.backward()
            same(layer.gradients(), wanted)


def test_large_logits_do_not_overflow() -> None:
    model = ParameterCollection()
    W = model.parameters_from_numpy(np.array([[300.0], [-300.0], [299.0]]))
    with ComputationGraph(backend=load_backend("numba")):
        x = w.inputVector([1.0])
        losses = [w.softmax_loss(x, v, W).scalar_value() for v in range(3)]
        np.testing.assert_allclose(losses, [0.31326169, 600.31326, 1.31326169], rtol=1e-6)
        w.softmax_loss(x, 1, W).backward()
    np.testing.assert_allclose(W.grad_as_array()[:, 0], [0.7310586, -1, 0.2689414], rtol=1e-5)
