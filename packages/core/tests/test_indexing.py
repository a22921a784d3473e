"""New axes in an index, and how operands of several shapes align."""

import numpy as np
import pytest

import weft_core as w


def test_none_is_a_new_axis_and_dots_are_the_axes_that_are_not_named() -> None:
    array = np.arange(24.0).reshape(2, 3, 4)
    x = w.inputTensor(array)
    for key in [
        (None,), (None, 1), (slice(None), None), (0, None, slice(1, 3)), (Ellipsis, 2), (Ellipsis, None), (1, Ellipsis),
        (slice(0, 1), Ellipsis, slice(1, 4)), (None, Ellipsis, None), (slice(None), slice(None, None, -1), None),
    ]:  # fmt: skip
        assert x[key].npvalue().tolist() == array[key].tolist(), key
    v = w.inputVector([1, 2, 3])
    assert v[None].dim() == ((1, 3), 1) and v[:, None].dim() == ((3, 1), 1)
    assert v[..., 1].value() == 2 and v[...].index == v.index
    batched = w.inputTensor(array, batched=True)
    assert batched[None].dim() == ((1, 2, 3), 4) and batched[:, None, :, 1:3].dim() == ((2, 1, 3), 2)
    with pytest.raises(TypeError, match="once"):
        x[..., ...]
    with pytest.raises(IndexError):
        v[None, 0, 0, 0]


def test_broadcasting_is_numpys_rule_counted_from_the_first_axis() -> None:
    rng = np.random.default_rng(3)
    for left, right in [((3,), (3, 4)), ((3, 4), (1, 4)), ((2, 1, 4), (1, 3)), ((1,), (2, 3)), ((3, 3), (3,))]:
        a, b = rng.normal(size=left), rng.normal(size=right)
        ndim = max(len(left), len(right))
        expected = a.reshape(left + (1,) * (ndim - len(left))) + b.reshape(right + (1,) * (ndim - len(right)))
        np.testing.assert_allclose((w.inputTensor(a) + w.inputTensor(b)).npvalue(), expected, rtol=1e-6, atol=1e-6)
        quotient = (w.inputTensor(a) / w.inputTensor(b)).npvalue()
        assert quotient.shape == expected.shape
    with pytest.raises(w.ShapeError, match="align from the left"):
        w.inputVector([1, 2, 3, 4]) + w.inputTensor(np.zeros((3, 4)))
    row = w.inputVector([1, 2, 3, 4])[None] + w.inputTensor(np.zeros((3, 4)))
    assert row.npvalue().tolist() == [[1, 2, 3, 4]] * 3


def test_division_by_the_number_zero_is_infinite_as_elsewhere() -> None:
    x = w.inputVector([1.0, -1.0, 0.0])
    assert np.array_equal((x / 0).value(), [np.inf, -np.inf, np.nan], equal_nan=True)
    assert np.array_equal((x / -0.0).value(), [-np.inf, np.inf, np.nan], equal_nan=True)
