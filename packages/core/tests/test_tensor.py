"""Searches and draws along an axis of a value."""

import numpy as np
import pytest

import weft_core as w


def tensor(array: object, batched: bool = False) -> w.Tensor:
    w.renew_cg()
    return w.inputTensor(np.asarray(array), batched=batched).tensor_value()


def test_as_numpy_is_shaped_like_npvalue() -> None:
    array = np.arange(12.0).reshape(2, 3, 2)
    assert tensor(array).as_numpy().tolist() == array.tolist()
    batched = tensor(array, batched=True).as_numpy()
    assert batched.shape == (2, 3, 2) and batched.dtype == np.float64


def test_argmax_keeps_the_axis_and_takes_the_first_of_equal_elements() -> None:
    found = tensor([[1, 5, 2], [7, 5, 7]]).argmax(1)
    assert found.as_numpy().tolist() == [[1], [0]] and found.as_numpy().dtype == np.int64
    assert repr(found) == "<Tensor:int>"


def test_argmax_works_example_by_example() -> None:
    found = tensor([[1, 9], [3, 4], [2, 9]], batched=True).argmax()
    assert found.as_numpy().tolist() == [[1, 0]]


def test_topk_gives_values_and_positions_in_falling_order() -> None:
    values, positions = tensor([3, 1, 4, 4, 0]).topk(0, 3)
    assert values.as_numpy().tolist() == [4, 4, 3]
    assert positions.as_numpy().tolist() == [2, 3, 0]
    # More than a sort moves by insertion.
    assert tensor(np.tile([1, 0, 2], 100)).argmax(num=5).as_numpy().tolist() == [2, 5, 8, 11, 14]
    assert tensor([3, 1, 4, 4, 0]).argmax(num=2).as_numpy().tolist() == [2, 3]


@pytest.mark.parametrize(("dim", "num"), [(1, 1), (-1, 1), (0, 0), (0, 6)])
def test_topk_refuses_axes_and_numbers_that_are_not_there(dim: int, num: int) -> None:
    with pytest.raises(w.ShapeError, match="topk"):
        tensor([3, 1, 4, 4, 0]).topk(dim, num)


def test_draws_have_the_frequencies_of_the_distribution() -> None:
    w.reset_random_seed(5)
    p = np.array([[0.1, 0.5], [0.6, 0.5], [0.3, 0.0]])
    with np.errstate(divide="ignore"):
        drawn = tensor(np.log(p)).categorical_sample_log_prob(0, 4000).as_numpy()
    assert drawn.shape == (4000, 2)
    for column in range(2):
        frequencies = np.bincount(drawn[:, column], minlength=3) / 4000
        np.testing.assert_allclose(frequencies, p[:, column], atol=0.03)
    w.reset_random_seed(5)
    with np.errstate(divide="ignore"):
        again = tensor(np.log(p)).categorical_sample_log_prob(0, 4000).as_numpy()
    assert (again == drawn).all()


def test_draws_refuse_an_axis_that_is_not_there() -> None:
    with pytest.raises(w.ShapeError, match="no axis 1"):
        tensor([0.0, 0.0]).categorical_sample_log_prob(1)
    with pytest.raises(w.ShapeError, match="0 draws"):
        tensor([0.0, 0.0]).categorical_sample_log_prob(0, 0)
