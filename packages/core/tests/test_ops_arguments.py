"""Arguments and forms of existing operations that DyNet programs use, each of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import ArrayLike

import weft_core as w
from weft_core.collection import ParameterCollection
from weft_core.errors import IndexValueError, OperandError, ShapeError
from weft_core.expression import Expression

pytestmark = pytest.mark.usefixtures("graph")


def value(*dims: int, batch: int = 1) -> Expression:
    return w.inputTensor(np.sin(np.arange(1.0, 1 + np.prod(dims) * batch)).reshape((*dims, batch)), batched=True)


def equal(found: ArrayLike, expected: ArrayLike) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


# --- inputs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [2, 2.0, True, np.float32(2), np.int64(2), np.array(2.0)])
def test_a_scalar_input_is_set_to_any_kind_of_number(number: float) -> None:
    x = w.scalarInput(7.0)
    x.set(number)
    assert x.scalar_value() == float(number)


def test_a_vector_is_made_of_a_flat_array_only() -> None:
    equal(w.inputVector(np.array([1, 2], np.int32)).npvalue(), [1, 2])
    with pytest.raises(ShapeError, match=r"inputVector .*\(2, 3\)"):
        w.inputVector(np.ones((2, 3)))


@pytest.mark.parametrize("dim", [3, 3.0, np.int64(3), (3,), [3]])
def test_dims_are_a_number_or_a_sequence(dim: int) -> None:
    for made in (
        w.zeros(dim), w.zeroes(dim), w.ones(dim), w.constant(dim, 2.0), w.random_normal(dim),
        w.random_uniform(dim, 0, 1), w.random_bernoulli(dim, 0.5), w.random_gumbel(dim),
    ):  # fmt: skip
        assert made.dim() == ((3,), 1)


def test_inputs_take_the_names_of_their_arguments() -> None:
    made = [
        w.zeros(dim=(3,), batch_size=2), w.ones(dim=(3,), batch_size=2), w.constant(dim=(3,), val=1.5, batch_size=2),
        w.random_normal(dim=(3,), mean=0.0, stddev=1.0, batch_size=2),
        w.random_bernoulli(dim=(3,), p=0.5, scale=2.0, batch_size=2),
        w.random_uniform(dim=(3,), left=-1, right=1, batch_size=2),
        w.random_gumbel(dim=(3,), mu=0.0, beta=1.0, batch_size=2),
        w.inputTensor(arr=np.ones((3, 2)), batched=True, device="", reusable_expr=True),
        w.inputTensorTranspose(val=range(6), dim=(3,), batch_size=2, device=""), w.one_hot(d=3, idx=[1, 2], device=""),
        w.sparse_inputTensor(idxs=[[0], [1]], values=[1], shape=(3, 2), batched=True, defval=0, device=""),
    ]  # fmt: skip
    assert [x.dim() for x in made] == [((3,), 2)] * len(made)


@pytest.mark.parametrize("index", [3, -1])
def test_a_one_hot_index_outside_of_the_vector_is_refused(index: int) -> None:
    with pytest.raises(IndexValueError, match=rf"one_hot: index {index}"):
        w.one_hot(3, index)


@pytest.mark.parametrize("call, instead", [(w.matInput, "inputTensor"), (w.inputMatrix, "inputTensorTranspose")])
def test_removed_inputs_say_what_to_use(call: Callable[..., object], instead: str) -> None:
    with pytest.raises(DeprecationWarning, match=instead):
        call(2, 3)


# --- look-ups -------------------------------------------------------------------------------------


def test_a_constant_look_up_gets_no_gradient() -> None:
    table = ParameterCollection().lookup_parameters_from_numpy(np.arange(12.0).reshape(4, 3))
    row, rows = w.const_lookup(table, 2), w.const_lookup(table, [1, 3])
    equal(row.npvalue(), [6, 7, 8])
    equal(rows.npvalue(), np.array([[3, 4, 5], [9, 10, 11]]).T)
    (w.sum_elems(w.square(row)) + w.sum_batches(w.sum_elems(rows)) + w.sum_elems(table[0])).backward()
    equal(table.grad_as_array(), [[1, 1, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0]])
    row.set(1)
    equal(row.npvalue(), [3, 4, 5])
    with pytest.raises(IndexValueError, match="lookup: index 4"):
        w.const_lookup(table, 4)


def test_any_expression_can_be_made_a_constant() -> None:
    p = ParameterCollection().parameters_from_numpy(np.array([1.0, 2.0]))
    x = w.square(p)
    constants = w.const_parameter(p, x, p.expr())
    for constant, expected in zip(constants, ([1, 2], [1, 4], [1, 2]), strict=True):
        equal(constant.npvalue(), expected)
    w.sum_elems(w.esum([*constants, p])).backward()
    equal(p.grad_as_array(), [1, 1])
    with pytest.raises(OperandError, match="nobackprop"):
        w.const_parameter(2.0)


def test_look_ups_need_a_table() -> None:
    for call in (w.lookup_batch, w.const_lookup):
        with pytest.raises(TypeError, match="LookupParameters, got Parameters"):
            call(ParameterCollection().add_parameters(3), [0, 1])  # type: ignore[arg-type]


# --- arithmetic, selection, noise -----------------------------------------------------------------


def test_a_power_has_the_dims_of_its_base() -> None:
    x, exponent = w.inputVector([1.0, 2.0, 3.0]), w.inputTensor([[2.0]])
    y = w.pow(x=x, y=exponent)
    assert y.dim() == ((3,), 1)
    equal(y.npvalue(), [1, 4, 9])


def test_addmv_adds_a_vector_to_every_column() -> None:
    equal(w.addmv(w.inputTensor(np.zeros((2, 3))), w.inputVector([1.0, 2.0])).npvalue(), [[1, 1, 1], [2, 2, 2]])


def test_pickrange_is_a_range_of_the_first_axis() -> None:
    x = value(5, 2)
    equal(w.pickrange(x, 1, 3).npvalue(), x.npvalue()[1:3])
    with pytest.raises(ShapeError, match="2 to 7"):
        w.pickrange(x, 2, 7)


def test_a_block_that_is_always_dropped_is_zero() -> None:
    x = value(3, 2, batch=2)
    equal(w.block_dropout(x, 1).npvalue(), np.zeros((3, 2, 2)))
    equal(w.block_dropout(x, p=0).npvalue(), x.npvalue())


def test_a_loss_of_each_row_or_column_by_keyword() -> None:
    x = w.inputTensor(np.array([[0.5, 2.0, 1.0], [1.0, 0.25, 1.5]]))
    equal(w.hinge_dim(x=x, v=[1, 2], d=1, m=0.5).npvalue(), [0, 0])
    equal(w.hinge_dim(x, [0, 1, 1], m=2.0).npvalue(), [2.5, 3.75, 1.5])


def test_reductions_take_the_names_of_their_arguments() -> None:
    x = value(3, 4, batch=2)
    assert w.sum_dim(x=x, d=[0], b=False, n=0).dim() == ((4,), 2)
    assert w.mean_dim(x=x, d=[0], b=True, n=5).dim() == ((4,), 1)
    assert w.moment_dim(x=x, d=[0, 1], r=2, b=False, n=3).dim() == ((1,), 2)
    assert w.std_dim(x=x, d=[1], b=False, n=3).dim() == ((3,), 2)
    assert w.cumsum(x=x, d=1).dim() == ((3, 4), 2)
    assert w.max_dim(x=x, d=1).dim() == w.min_dim(x=x, d=1).dim() == w.logsumexp_dim(x=x, d=1).dim() == ((3,), 2)


# --- weight noise ---------------------------------------------------------------------------------

Gates = Callable[..., Expression]


def _plain(x: Expression, h: Expression, weights: list[Expression], **noise: float) -> Expression:
    return w.vanilla_lstm_gates(x, h, *weights, **noise)


def _concat(x: Expression, h: Expression, weights: list[Expression], **noise: float) -> Expression:
    return w.vanilla_lstm_gates_concat([x[:1], x[1:]], h, *weights, **noise)


def _dropout(x: Expression, h: Expression, weights: list[Expression], **noise: float) -> Expression:
    return w.vanilla_lstm_gates_dropout(x, h, *weights, w.ones(3), w.ones(2), **noise)


def _dropout_concat(x: Expression, h: Expression, weights: list[Expression], **noise: float) -> Expression:
    return w.vanilla_lstm_gates_dropout_concat([x[:1], x[1:]], h, *weights, w.ones(3), w.ones(2), **noise)


@pytest.mark.parametrize("gates", [_plain, _concat, _dropout, _dropout_concat])
def test_weight_noise_moves_the_gates_and_keeps_the_products(gates: Gates) -> None:
    w.reset_random_seed(3)
    x, h = value(3, batch=2), value(2, batch=2)
    model = ParameterCollection()
    weights = [model.add_parameters((8, 3)), model.add_parameters((8, 2)), model.add_parameters(8)]
    exact = gates(x, h, weights).npvalue()
    equal(gates(x, h, weights, weightnoise_std=0.0).npvalue(), exact)
    noisy = [gates(x, h, weights, weightnoise_std=0.01).npvalue() for _ in range(2)]
    assert 1e-3 < np.abs(noisy[0] - exact).max() < 0.1
    assert 1e-3 < np.abs(noisy[0] - noisy[1]).max() < 0.1


def test_the_noise_of_weights_has_this_deviation() -> None:
    w.reset_random_seed(5)
    # Input gates only: logistic(n x) with normal n has the slope 1/4 at 0.
    x, h = w.inputVector([1.0]), w.inputVector([0.0] * 500)
    model = ParameterCollection()
    weights = [model.add_parameters((2000, 1), init=0), model.add_parameters((2000, 500), init=0)]
    y = w.vanilla_lstm_gates(x, h, *weights, model.add_parameters(2000, init=0), 0.1).npvalue()
    # Two independent numbers meet in each gate: one of the weight, one of the bias.
    deviation = 4 * np.std(y[:500])
    assert abs(deviation - 0.1 * np.sqrt(2)) < 0.02


def test_negative_weight_noise_is_refused() -> None:
    weights = [value(8, 3), value(8, 2), value(8)]
    with pytest.raises(ValueError, match="negative"):
        w.vanilla_lstm_gates(value(3), value(2), *weights, weightnoise_std=-0.1)


# --- operands that are no expressions -------------------------------------------------------------

CALLS: list[Callable[..., object]] = [
    w.cumsum,
    lambda x: w.select_cols(x, [0]),
    lambda x: w.dropout_dim(x, 0, 0.5),
    lambda x: w.dropout_batch(x, 0.5),
    lambda x: w.block_dropout(x, 0.5),
    lambda x: w.noise(x, 0.5),
    lambda x: w.pairwise_rank_loss(x, x),
    lambda x: w.poisson_loss(x, 2),
    lambda x: w.hinge_dim(x, [0]),
    lambda x: w.esum([x]),
    lambda x: w.addmv(value(2, 3), x),
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("wrong", [None, 2.0], ids=["None", "number"])
def test_what_is_no_expression_is_refused(call: Callable[..., object], wrong: object) -> None:
    with pytest.raises(OperandError, match="operands must be expressions"):
        call(wrong)
