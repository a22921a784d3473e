"""Linear algebra, contractions, circular products, normalisation, sparse inputs: edge values, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

import weft_core as w
from weft_core.errors import IndexValueError, OperandError, ShapeError
from weft_core.expression import Expression
from weft_core.graph import ComputationGraph
from weft_core.numpy_backend import NumpyBackend

pytestmark = pytest.mark.usefixtures("graph")


def value(*dims: int, batch: int = 1) -> Expression:
    return w.inputTensor(np.sin(np.arange(1.0, 1 + np.prod(dims) * batch)).reshape((*dims, batch)), batched=True)


def gradient_of(y: Expression, x: Expression) -> NDArray[np.float64]:
    """Gradient of the sum of all elements of y."""
    w.sum_batches(w.sum_elems(y)).backward(full=True)
    return x.gradient()


def equal(found: ArrayLike, expected: ArrayLike) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


# --- inverse, determinant, trace ------------------------------------------------------------------


def test_the_inverse_of_every_example_is_numpys() -> None:
    x = value(4, 4, batch=3)
    array = x.npvalue()
    found = w.inverse(x).npvalue()
    for b in range(3):
        equal(found[..., b], np.linalg.inv(array[..., b]))
        np.testing.assert_allclose(found[..., b] @ array[..., b], np.eye(4), atol=1e-6)


def test_a_singular_matrix_has_no_inverse_and_spoils_no_other() -> None:
    array = np.stack([np.eye(2), [[1.0, 2.0], [2.0, 4.0]], 2 * np.eye(2)], axis=-1)
    x = w.inputTensor(array, batched=True)
    found = w.inverse(x).npvalue()
    equal(found[..., 0], np.eye(2))
    assert np.isnan(found[..., 1]).all()
    equal(found[..., 2], np.eye(2) / 2)
    y = w.logdet(x)
    equal(y.npvalue(), [[0, -np.inf, 2 * np.log(2)]])
    dx = gradient_of(y, x)
    equal(dx[..., 0], np.eye(2))
    assert np.isnan(dx[..., 1]).all()


def test_the_logarithm_of_a_negative_determinant_is_nan_and_its_gradient_is_not() -> None:
    array = np.array([[0.0, 2.0], [1.0, 0.5]])
    x = w.inputTensor(array)
    y = w.logdet(x)
    assert np.isnan(y.scalar_value())
    equal(gradient_of(y, x), np.linalg.inv(array).T)


def test_logdet_does_not_overflow() -> None:
    x = w.inputTensor(1e30 * np.eye(20))
    equal(w.logdet(x).npvalue(), [20 * np.log(np.float32(1e30))])
    equal(w.logdet(w.inputTensor(1e-30 * np.eye(20))).npvalue(), [20 * np.log(np.float32(1e-30))])


def test_a_number_is_a_matrix_of_one_element() -> None:
    x = w.inputVector([4.0])
    equal(w.inverse(x).npvalue(), [0.25])
    equal(w.logdet(x).npvalue(), [np.log(4)])


def test_the_trace_is_that_of_the_product_with_the_transpose() -> None:
    x, y = value(3, 2, batch=2), w.inputTensor(np.arange(6.0).reshape(3, 2))
    equal(
        w.trace_of_product(x, y).npvalue(),
        [[np.trace(x.npvalue()[..., b] @ y.npvalue().T) for b in range(2)]],
    )


# --- contractions ---------------------------------------------------------------------------------


def test_contractions_sum_over_the_last_axis_first() -> None:
    x, y, z = value(2, 3, 4), value(4), value(3)
    matrix, vector = value(2, 3), value(2)
    first = np.einsum("ijk,k->ij", x.npvalue(), y.npvalue())
    equal(w.contract3d_1d(x, y).npvalue(), first)
    equal(w.contract3d_1d_bias(x, y, matrix).npvalue(), first + matrix.npvalue())
    equal(w.contract3d_1d_1d(x, y, z).npvalue(), first @ z.npvalue())
    equal(w.contract3d_1d_1d_bias(x, y, z, vector).npvalue(), first @ z.npvalue() + vector.npvalue())


def test_a_contraction_with_columns_gives_a_vector() -> None:
    x, y, z = value(2, 3, 4), value(4, 1), value(3, 1)
    assert w.contract3d_1d(x, y).dim() == ((2, 3), 1)
    assert w.contract3d_1d_1d(x, y, z).dim() == ((2,), 1)


def test_operands_of_contractions_are_repeated_over_the_batch() -> None:
    x, y, z = value(2, 3, 4), value(4, batch=5), value(3, batch=5)
    found = w.contract3d_1d_1d(x, y, z)
    assert found.dim() == ((2,), 5)
    equal(found.npvalue(), np.einsum("ijk,kb,jb->ib", x.npvalue(), y.npvalue(), z.npvalue()))


# --- circular products ----------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 5, 8, 13])
def test_circular_products_are_their_sums(n: int) -> None:
    u, v = value(n), w.inputTensor(np.cos(np.arange(n)) * 2)
    a, b = u.npvalue(), v.npvalue()
    equal(w.circ_conv(u, v).npvalue(), [sum(a[i] * b[(k - i) % n] for i in range(n)) for k in range(n)])
    equal(w.circ_corr(u, v).npvalue(), [sum(a[i] * b[(i + k) % n] for i in range(n)) for k in range(n)])


# --- normalisation --------------------------------------------------------------------------------


def test_layer_norm_is_over_all_elements_of_each_example() -> None:
    x, g, b = value(3, 2, 2, batch=2), value(3), value(1, 2)
    array = x.npvalue()
    mean = array.reshape(12, 2).mean(axis=0)
    deviation = array.reshape(12, 2).std(axis=0)
    gains, biases = g.npvalue().reshape(3, 1, 1, 1), b.npvalue().reshape(1, 2, 1, 1)
    equal(w.layer_norm(x, g, b).npvalue(), gains * (array - mean) / (deviation + 1e-8) + biases)


def test_layer_norm_of_equal_elements_is_the_bias() -> None:
    with ComputationGraph(backend=NumpyBackend("float32")):
        # A tenth has no exact float: the mean of seven is another number.
        x, g, b = w.inputVector([0.1] * 7), w.inputVector(range(1, 8)), w.inputVector(range(2, 9))
        y = w.layer_norm(x, g, b)
        equal(y.npvalue(), range(2, 9))
        assert np.isfinite(gradient_of(y, x)).all()


def test_layer_norm_does_not_lose_small_differences_of_large_numbers() -> None:
    array = np.float32(4096.0) + np.array([0.0, 0.5, 1.0, 2.5])
    x, one, none = w.inputTensor(array), w.inputVector([1.0]), w.inputVector([0.0])
    equal(w.layer_norm(x, one, none).npvalue(), (array - array.mean()) / array.std())


def test_weight_norm_gives_the_weights_that_norm() -> None:
    weights, gain = value(3, 2, batch=2), w.inputTensor(np.array([[2.0, -0.5]]), batched=True)
    found = w.weight_norm(weights, gain).npvalue()
    equal(np.linalg.norm(found.reshape(6, 2), axis=0), [2, 0.5])
    equal(found[..., 1] / weights.npvalue()[..., 1], np.full((3, 2), -0.5 / np.linalg.norm(weights.npvalue()[..., 1])))


def test_weights_without_a_direction_stay_zero() -> None:
    weights, gain = w.zeros((3, 2)), w.inputVector([2.0])
    y = w.weight_norm(weights, gain)
    equal(y.npvalue(), np.zeros((3, 2)))
    equal(gradient_of(y, weights), np.zeros((3, 2)))
    equal(gain.gradient(), [0])


# --- sparse inputs --------------------------------------------------------------------------------


def test_a_sparse_input_has_the_default_elsewhere_and_the_last_of_equal_indices() -> None:
    x = w.sparse_inputTensor([[0, 2, 0], [1, 0, 1]], [5.0, 7.0, 6.0], (3, 2), defval=-1)
    assert x.dim() == ((3, 2), 1)
    equal(x.npvalue(), [[-1, 6], [-1, -1], [7, -1]])


def test_the_last_axis_of_a_sparse_input_may_be_the_batch() -> None:
    x = w.sparse_inputTensor(np.array([[0, 2], [1, 0]]), np.array([1.5, 2.5]), (3, 2), batched=True, device="")
    assert x.dim() == ((3,), 2)
    equal(x.npvalue(), [[0, 1.5], [0, 0], [2.5, 0]])
    assert w.sparse_inputTensor([[1]], (4.0,), (3,), True).dim() == ((1,), 3)


def test_a_sparse_input_of_one_axis() -> None:
    equal(w.sparse_inputTensor([[2, 0]], [1.0, 3.0], 4).npvalue(), [3, 0, 1, 0])
    equal(w.sparse_inputTensor([[]], [], (2,), defval=0.5).npvalue(), [0.5, 0.5])


def test_a_sparse_input_cannot_be_set() -> None:
    x = w.sparse_inputTensor([[1]], [2.0], (2,))
    with pytest.raises(ValueError, match="sparse input"):
        x.set([1.0, 2.0])
    equal(x.npvalue(), [0, 2])


# --- what is refused ------------------------------------------------------------------------------

SHAPES: list[tuple[str, Callable[[], object], list[str]]] = [
    ("inverse", lambda: w.inverse(value(2, 3)), ["{2,3}"]),
    ("inverse", lambda: w.inverse(value(2, 2, 2)), ["{2,2,2}"]),
    ("logdet", lambda: w.logdet(value(3)), ["{3}"]),
    ("trace_of_product", lambda: w.trace_of_product(value(2, 3), value(3, 2)), ["{2,3}", "{3,2}"]),
    ("trace_of_product", lambda: w.trace_of_product(value(2, 3, 2), value(2, 3, 2)), ["{2,3,2}"]),
    ("contract3d_1d", lambda: w.contract3d_1d(value(2, 3), value(3)), ["{2,3}", "{3}"]),
    ("contract3d_1d", lambda: w.contract3d_1d(value(2, 3, 4), value(3)), ["{2,3,4}", "{3}"]),
    ("contract3d_1d", lambda: w.contract3d_1d(value(2, 3, 4, batch=2), value(4, batch=3)), ["[2, 3]"]),
    ("contract3d_1d_bias", lambda: w.contract3d_1d_bias(value(2, 3, 4), value(4), value(2)), ["{2}", "{2,3}"]),
    ("contract3d_1d_1d", lambda: w.contract3d_1d_1d(value(2, 3, 4), value(4), value(2)), ["{2,3,4}", "{4}", "{2}"]),
    (
        "contract3d_1d_1d_bias",
        lambda: w.contract3d_1d_1d_bias(value(2, 3, 4), value(4), value(3), value(3)),
        ["{3}", "{2}"],
    ),
    ("circ_conv", lambda: w.circ_conv(value(3), value(4)), ["{3}", "{4}"]),
    ("circ_corr", lambda: w.circ_corr(value(3, 2), value(3, 2)), ["{3,2}"]),
    ("circ_corr", lambda: w.circ_corr(value(3, batch=2), value(3, batch=4)), ["[2, 4]"]),
    ("layer_norm", lambda: w.layer_norm(value(3), value(2), value(3)), ["{3}", "{2}"]),
    ("weight_norm", lambda: w.weight_norm(value(3), value(2)), ["{3}", "{2}"]),
    ("sparse_inputTensor", lambda: w.sparse_inputTensor([[0]], [1.0], (2, 2)), ["1 lists", "(2, 2)"]),
    ("sparse_inputTensor", lambda: w.sparse_inputTensor([[0], [1, 0]], [1.0], (2, 2)), ["1 values", "[1, 2]"]),
    ("sparse_inputTensor", lambda: w.sparse_inputTensor([[0]], [[1.0]], (2,)), ["(1, 1)"]),  # type: ignore[list-item]
]


@pytest.mark.parametrize("name, call, parts", SHAPES, ids=[f"{n}-{i}" for i, (n, _, _) in enumerate(SHAPES)])
def test_shape_errors_name_operation_and_shapes(name: str, call: Callable[[], object], parts: list[str]) -> None:
    with pytest.raises(ShapeError) as raised:
        call()
    for part in (name, *parts):
        assert part in str(raised.value)


def test_a_sparse_index_outside_of_its_axis_is_named(graph: ComputationGraph) -> None:
    staged = len(graph.data)
    for idxs in ([[0, 2], [0, 0]], [[0, -1], [0, 0]], [[0, 0], [0, 3]]):
        with pytest.raises(IndexValueError, match=r"sparse_inputTensor: index (2|-1|3) "):
            w.sparse_inputTensor(idxs, [1.0, 2.0], (2, 3))
    assert len(graph.data) == staged


OPERANDS: list[Callable[..., object]] = [
    w.inverse,
    w.logdet,
    lambda x: w.trace_of_product(value(3, 2), x),
    lambda x: w.contract3d_1d(value(2, 3, 4), x),
    lambda x: w.contract3d_1d_bias(value(2, 3, 4), value(4), x),
    lambda x: w.contract3d_1d_1d(value(2, 3, 4), value(4), x),
    lambda x: w.contract3d_1d_1d_bias(value(2, 3, 4), value(4), value(3), x),
    lambda x: w.circ_conv(x, value(3)),
    lambda x: w.circ_corr(value(3), x),
    lambda x: w.layer_norm(x, value(3), value(3)),
    lambda x: w.layer_norm(value(3), x, value(3)),
    lambda x: w.weight_norm(value(3), x),
]


@pytest.mark.parametrize("call", OPERANDS)
@pytest.mark.parametrize("wrong", [None, np.ones(3)], ids=["None", "array"])
def test_what_is_no_expression_is_refused(call: Callable[..., object], wrong: object) -> None:
    with pytest.raises(OperandError, match="operands must be expressions"):
        call(wrong)
