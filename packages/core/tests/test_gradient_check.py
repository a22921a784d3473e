"""check_gradient finds wrong gradients, names where they are, and leaves parameters and gradients as they were."""

from __future__ import annotations

import numpy as np
import pytest

import weft_core as dy

wrong_cube = dy.elementwise("test_wrong_cube", "x * x * x", dx="dy * 2 * x * x")
right_cube = dy.elementwise("test_right_cube", "x * x * x", dx="dy * 3 * x * x")


@pytest.fixture
def model() -> dy.ParameterCollection:
    dy.init(backend="numpy", seed=5)
    model = dy.ParameterCollection()
    model.add_parameters(3, init=np.array([0.5, -1.0, 2.0]), name="w")
    model.add_lookup_parameters((4, 3), name="rows")
    return model


def test_a_right_gradient_passes(model: dy.ParameterCollection) -> None:
    (w,), (rows,) = model.parameters_list(), model.lookup_parameters_list()
    worst = dy.check_gradient(lambda: dy.dot_product(right_cube(w), rows[1] + rows[3]), model)
    assert worst.error < 1e-4


def test_a_wrong_gradient_is_found_and_named(model: dy.ParameterCollection) -> None:
    (w,) = model.parameters_list()
    with pytest.raises(dy.WrongGradient, match=r"gradient of /w at element 1 is 2, finite differences give 3"):
        dy.check_gradient(lambda: dy.sum_elems(wrong_cube(w)), [w])


def test_values_and_stored_gradients_stay(model: dy.ParameterCollection) -> None:
    (w,) = model.parameters_list()
    dy.sum_elems(w * 2.0).backward()
    before, gradient = w.as_array(), w.grad_as_array()
    dy.check_gradient(lambda: dy.sum_elems(right_cube(w)), [w])
    np.testing.assert_array_equal(w.as_array(), before)
    np.testing.assert_array_equal(w.grad_as_array(), gradient)
    assert gradient.tolist() == [2.0, 2.0, 2.0]
