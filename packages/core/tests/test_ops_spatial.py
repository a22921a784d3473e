"""Convolution and pooling: values worked out by hand or from the definition, sizes, ties, batches, errors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

import weft_core as w
from weft_core.errors import OperandError, ShapeError
from weft_core.expression import Expression
from weft_core.graph import ComputationGraph

Floats = NDArray[np.float64]
pytestmark = pytest.mark.usefixtures("graph")


def value(*dims: int, batch: int = 1) -> Expression:
    return w.inputTensor(numbers(*dims, batch=batch), batched=True)


def numbers(*dims: int, batch: int = 1) -> Floats:
    """Multiples of 1/64, which float32 holds exactly."""
    seed = [*dims, batch]
    return np.random.default_rng(seed).integers(-64, 65, (*dims, batch)) / 64


def gradient_of(y: Expression, x: Expression) -> Floats:
    """Gradient of the sum of all elements of y."""
    w.sum_batches(w.sum_elems(y)).backward(full=True)
    return np.asarray(x.gradient())


def equal(found: ArrayLike, expected: ArrayLike) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


# --- convolution ----------------------------------------------------------------------------------

IMAGE = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


def test_filters_are_not_turned() -> None:
    x, f = w.inputTensor(IMAGE), w.inputTensor(np.reshape([[1, 2], [0, -1]], (2, 2, 1, 1)))
    y = w.conv2d(x, f, [1, 1])
    equal(y.npvalue()[..., 0], [[1 + 4 - 5, 2 + 6 - 6], [4 + 10 - 8, 5 + 12 - 9]])
    equal(gradient_of(y, x), [[1, 3, 2], [1, 2, 1], [0, -1, -1]])
    equal(f.gradient()[..., 0, 0], [[1 + 2 + 4 + 5, 2 + 3 + 5 + 6], [4 + 5 + 7 + 8, 5 + 6 + 8 + 9]])


def test_strides_are_of_rows_and_of_columns() -> None:
    x, f = w.inputTensor(IMAGE), w.inputTensor(np.full((1, 1, 1, 1), 10.0))
    equal(w.conv2d(x, f, [2, 1]).npvalue()[..., 0], [[10, 20, 30], [70, 80, 90]])
    equal(w.conv2d(x, f, [1, 2]).npvalue()[..., 0], [[10, 30], [40, 60], [70, 90]])


def test_the_smaller_half_of_an_odd_border_is_above_and_on_the_left() -> None:
    x = w.inputTensor([[1, 2], [3, 4]])
    equal(w.conv2d(x, w.ones((2, 2, 1, 1)), [1, 1], False).npvalue()[..., 0], [[10, 6], [7, 4]])
    equal(w.conv2d(x, w.ones((3, 3, 1, 1)), [1, 1], False).npvalue()[..., 0], [[10, 10], [10, 10]])
    equal(w.conv2d(x, w.ones((4, 1, 1, 1)), [1, 1], False).npvalue()[..., 0], [[4, 6], [4, 6]])


def test_a_result_has_a_channel_for_each_filter_and_adds_up_those_of_the_image() -> None:
    x = w.inputTensor(np.stack([IMAGE, np.ones((3, 3))], axis=-1))
    f = w.inputTensor(np.reshape([[1, 10, 100], [1, 2, 3]], (1, 1, 2, 3)))
    b = w.inputVector([0.5, 0.25, -1])
    y = w.conv2d_bias(x, f, b, [1, 1])
    assert y.dim() == ((3, 3, 3), 1)
    equal(y.npvalue()[1], [[4 + 1.5, 40 + 2.25, 402], [5 + 1.5, 50 + 2.25, 502], [6 + 1.5, 60 + 2.25, 602]])
    equal(gradient_of(y, b), [9, 9, 9])
    equal(x.gradient()[0, 0], [111, 6])
    equal(f.gradient()[0, 0], [[45, 45, 45], [9, 9, 9]])


SIZES = [
    # size, width, stride: places inside; places with a border, and how far the first one begins ahead of the axis
    (5, 5, 1, 1, 5, 2),
    (5, 4, 1, 2, 5, 1),
    (5, 2, 3, 2, 2, 0),
    (5, 1, 2, 3, 3, 0),
    (6, 3, 2, 2, 3, 0),
    (6, 4, 2, 2, 3, 1),
    (7, 3, 2, 3, 4, 1),
    (8, 3, 2, 3, 4, 0),
    (8, 7, 3, 1, 3, 2),
    (9, 3, 5, 2, 2, 0),
    (9, 2, 5, 2, 2, 0),
    (1, 1, 4, 1, 1, 0),
    (4, 4, 4, 1, 1, 0),
    (2, 5, 1, 0, 2, 2),
    (3, 8, 2, 0, 2, 3),
]


@pytest.mark.parametrize(("size", "width", "stride", "inside", "with_border", "before"), SIZES)
@pytest.mark.parametrize("axis", [0, 1])
def test_numbers_of_places(
    size: int, width: int, stride: int, inside: int, with_border: int, before: int, axis: int
) -> None:
    """A filter that is 1 at one position shows which number that position meets; 0 stands for the border."""
    line = np.arange(1.0, size + 1)
    x = w.inputTensor(line[:, None] if axis == 0 else line[None])
    strides = [stride, 1] if axis == 0 else [1, stride]
    for k in range(width):
        filters = np.zeros((width, 1, 1, 1) if axis == 0 else (1, width, 1, 1))
        filters.flat[k] = 1
        f = w.inputTensor(filters)
        places = np.arange(with_border) * stride + k - before
        y = w.conv2d(x, f, strides, False)
        assert y.dim()[0][axis] == with_border
        equal(y.npvalue().ravel(), np.where((places >= 0) & (places < size), places + 1, 0))
        if inside:
            equal(w.conv2d(x, f, strides).npvalue().ravel(), np.arange(inside) * stride + k + 1)
    shape = (size, 1) if axis == 0 else (1, size)
    ksize = [width, 1] if axis == 0 else [1, width]
    assert w.maxpooling2d(w.ones(shape), ksize, strides, False).dim()[0][axis] == with_border
    if inside:
        assert w.maxpooling2d(w.ones(shape), ksize, strides).dim()[0][axis] == inside


def by_definition(x: Floats, f: Floats, b: Floats, strides: tuple[int, int], is_valid: bool) -> Floats:
    """One example, number by number."""
    counts, before = [], []
    for axis in (0, 1):
        size, width, stride = x.shape[axis], f.shape[axis], strides[axis]
        counts.append(-(-(size - width + 1 if is_valid else size) // stride))
        before.append(0 if is_valid else max(0, (counts[axis] - 1) * stride + width - size) // 2)
    y = np.zeros((*counts, f.shape[3]))
    for i, j, o in np.ndindex(*y.shape):
        y[i, j, o] = b[o]
        for a, c in np.ndindex(*f.shape[:2]):
            row, column = i * strides[0] + a - before[0], j * strides[1] + c - before[1]
            if 0 <= row < x.shape[0] and 0 <= column < x.shape[1]:
                y[i, j, o] += (x[row, column] * f[a, c, :, o]).sum()
    return y


@pytest.mark.parametrize("is_valid", [True, False])
@pytest.mark.parametrize("batches", [(1, 1, 1), (2, 1, 1), (1, 2, 1), (1, 1, 2), (2, 2, 1), (2, 1, 2), (1, 2, 2)])
@pytest.mark.parametrize(
    ("x_dims", "f_dims", "strides"),
    [((5, 7, 2), (3, 2, 2, 3), (2, 1)), ((4, 5), (3, 3, 1, 2), (1, 1)), ((7, 5, 3), (2, 4, 3, 1), (3, 2))],
)
def test_each_example_by_itself(
    x_dims: tuple[int, ...],
    f_dims: tuple[int, ...],
    strides: tuple[int, int],
    batches: tuple[int, int, int],
    is_valid: bool,
) -> None:
    arrays = [numbers(*dims, batch=n) for dims, n in zip((x_dims, f_dims, f_dims[3:]), batches, strict=True)]
    x, f, b = (w.inputTensor(a, batched=True) for a in arrays)
    y = w.conv2d_bias(x, f, b, strides, is_valid)
    assert y.dim()[1] == max(batches)
    found = y.npvalue().reshape((*y.dim()[0], -1))
    for n in range(max(batches)):
        image, filters, bias = (a[..., n % a.shape[-1]] for a in arrays)
        expected = by_definition(image.reshape((*x_dims[:2], -1)), filters, bias, strides, is_valid)
        equal(found[..., n], expected)
    without = w.conv2d(x, f, strides, is_valid)
    without = without.npvalue().reshape((*without.dim()[0], -1))
    equal(found - without, np.broadcast_to(arrays[2], found.shape))


def test_an_operand_without_a_batch_gets_the_sum_of_the_gradients() -> None:
    images, filters = numbers(4, 3, 2, batch=3), numbers(2, 2, 2, 3)
    x, f = w.inputTensor(images, batched=True), w.inputTensor(filters, batched=True)
    together = gradient_of(w.square(w.conv2d(x, f, [1, 1])), f)
    alone = np.zeros_like(together)
    for n in range(3):
        x, f = w.inputTensor(images[..., n]), w.inputTensor(filters, batched=True)
        alone += gradient_of(w.square(w.conv2d(x, f, [1, 1])), f)
    equal(together, alone)
    assert np.abs(alone).max() > 1


def test_equal_convolutions_are_of_one_kind_and_others_are_not(graph: ComputationGraph) -> None:
    model = w.ParameterCollection()
    f, other = model.add_parameters((2, 2, 1, 3)), model.add_parameters((2, 2, 1, 3))
    b = model.add_parameters(3)
    xs = [value(4, 4, batch=n) for n in (1, 1, 2)]

    def kind(y: Expression) -> int:
        return int(graph.code[y.index])

    assert kind(w.conv2d(xs[0], f, [1, 1])) == kind(w.conv2d(xs[1], f, (1, 1), is_valid=True))
    different = [
        w.conv2d(xs[0], f, [1, 1]),
        w.conv2d(xs[2], f, [1, 1]),
        w.conv2d(xs[0], other, [1, 1]),
        w.conv2d(xs[0], f, [1, 2]),
        w.conv2d(xs[0], f, [1, 1], False),
        w.conv2d_bias(xs[0], f, b, [1, 1]),
    ]
    assert len({kind(y) for y in different}) == len(different)


def test_instructions_of_one_kind_are_one_step(graph: ComputationGraph) -> None:
    f = w.ParameterCollection().add_parameters((2, 2, 1, 3))
    pooled = [w.maxpooling2d(w.conv2d(value(4, 4 + 0 * n), f, [1, 1]), [2, 2], [1, 1]) for n in range(4)]
    w.esum(pooled).value()
    # Inputs, convolutions, poolings, the sum.
    assert graph.execution.counts()["steps"] == 4


# --- filters along columns ------------------------------------------------------------------------


def test_narrow_filters() -> None:
    x = w.inputTensor([[1, 2, 3, 4], [5, 6, 7, 8]])
    first, second = [[1, 0], [0, 1]], [[0, -1], [2, 0]]
    f = w.inputTensor(np.stack([first, second], axis=-1))
    y = w.filter1d_narrow(x, f)
    equal(y.npvalue(), [[1 + 6, 2 + 7, 3 + 8], [-2 + 10, -3 + 12, -4 + 14]])
    equal(gradient_of(y, x), [[1, 1 - 1, 1 - 1, -1], [2, 2 + 1, 2 + 1, 1]])
    equal(f.gradient()[..., 0], [[6, 9], [18, 21]])
    equal(f.gradient()[..., 1], [[6, 9], [18, 21]])
    alone = w.inputTensor(first)
    y = w.filter1d_narrow(x, alone)
    equal(y.npvalue(), [[7, 9, 11]])
    equal(gradient_of(y, alone), [[6, 9], [18, 21]])


def test_one_narrow_filter_of_three_axes_has_the_gradient_of_one_of_two() -> None:
    x, array = value(3, 5), numbers(3, 2)[..., 0]
    flat, deep = w.inputTensor(array), w.inputTensor(array[..., None])
    expected = gradient_of(w.square(w.filter1d_narrow(x, flat)), flat)
    equal(gradient_of(w.square(w.filter1d_narrow(x, deep)), deep), expected[..., None])
    assert len(np.unique(expected)) > 3


# --- pooling --------------------------------------------------------------------------------------


def test_max_pooling() -> None:
    x = w.inputTensor([[1, 5, 2, 0], [4, 3, 8, 1], [0, 9, 1, 2]])
    equal(w.maxpooling2d(x, [2, 2], [1, 2]).npvalue(), [[5, 8], [9, 8]])
    equal(w.maxpooling2d(x, [2, 3], [2, 1], False).npvalue(), [[5, 8, 8, 8], [9, 9, 9, 2]])
    y = w.maxpooling2d(x, [2, 2], [1, 1])
    equal(gradient_of(y, x), [[0, 1, 0, 0], [0, 0, 3, 0], [0, 2, 0, 0]])


def test_channels_are_pooled_alone() -> None:
    array = numbers(4, 5, 3)[..., 0]
    pooled = w.maxpooling2d(w.inputTensor(array), [2, 3], [2, 1])
    assert pooled.dim() == ((2, 3, 3), 1)
    for c in range(3):
        equal(pooled.npvalue()[..., c], w.maxpooling2d(w.inputTensor(array[..., c]), [2, 3], [2, 1]).npvalue())


def test_a_border_never_wins() -> None:
    x = w.inputTensor([[-3, -2], [-5, -4]])
    equal(w.maxpooling2d(x, [3, 3], [1, 1], False).npvalue(), np.full((2, 2), -2))
    x = w.inputTensor(np.full((2, 2), -np.inf))
    y = w.maxpooling2d(x, [3, 3], [1, 1], False)
    assert (y.npvalue() == -np.inf).all()
    equal(gradient_of(y, x), [[4, 0], [0, 0]])


def test_the_first_maximum_row_by_row_gets_the_gradient() -> None:
    x = w.inputTensor([[0, 7, 1], [7, 7, 7]])
    y = w.maxpooling2d(x, [2, 2], [1, 1])
    equal(gradient_of(y, x), [[0, 2, 0], [0, 0, 0]])
    x = w.inputTensor([[0, 1, 1], [7, 7, 1]])
    equal(gradient_of(w.maxpooling2d(x, [2, 3], [1, 1]), x), [[0, 0, 0], [1, 0, 0]])


def test_what_is_not_a_number_is_the_maximum() -> None:
    x = w.inputTensor([[1.0, np.nan, 3.0]])
    y = w.maxpooling2d(x, [1, 2], [1, 1])
    assert np.isnan(y.npvalue()).all()
    equal(gradient_of(y, x), [[0, 2, 0]])
    y = w.kmax_pooling(x, 2)
    np.testing.assert_array_equal(y.npvalue(), [[np.nan, 3]])
    equal(gradient_of(y, x), [[0, 1, 1]])


def test_the_largest_stay_in_their_order() -> None:
    x = w.inputTensor([[4, 1, 3, 2], [0, 5, 1, 9]])
    equal(w.kmax_pooling(x, 2).npvalue(), [[4, 3], [5, 9]])
    equal(w.kmax_pooling(x, 1, 0).npvalue(), [[4, 5, 3, 9]])
    equal(w.kmax_pooling(x, 4).npvalue(), x.npvalue())
    y = w.cmult(w.kmax_pooling(x, 3), w.inputTensor([[1, 2, 3], [4, 5, 6]]))
    equal(gradient_of(y, x), [[1, 0, 2, 3], [0, 4, 5, 6]])


def test_exactly_k_are_taken_the_earlier_ones_of_equals() -> None:
    x = w.inputTensor([[1, 3, 2, 3, 3, 5]])
    y = w.kmax_pooling(x, 3)
    equal(y.npvalue(), [[3, 3, 5]])
    equal(gradient_of(y, x), [[0, 1, 0, 1, 0, 1]])
    x = w.zeros((1, 5))
    equal(gradient_of(w.kmax_pooling(x, 2), x), [[1, 1, 0, 0, 0]])


def test_sums_of_rows() -> None:
    x = w.inputTensor([[1, 2], [3, 4], [5, 6], [7, 9]])
    y = w.fold_rows(x)
    equal(y.npvalue(), [[4, 6], [12, 15]])
    equal(gradient_of(w.cmult(y, w.inputTensor([[1, 2], [3, 4]])), x), [[1, 2], [1, 2], [3, 4], [3, 4]])
    equal(w.fold_rows(x, nrows=4).npvalue(), [[16, 21]])
    assert w.fold_rows(value(6), 3).dim() == ((2,), 1)
    assert w.fold_rows(value(6, 2, 5, batch=3), 3).dim() == ((2, 2, 5), 3)


def test_sums_of_columns() -> None:
    x = w.inputTensor([[1, 2, 3, 4], [5, 6, 7, 9]])
    y = w.kmh_ngram(x, 3)
    equal(y.npvalue(), [[6, 9], [18, 22]])
    equal(gradient_of(w.cmult(y, w.inputTensor([[1, 2], [3, 4]])), x), [[1, 3, 3, 2], [3, 7, 7, 4]])
    equal(w.kmh_ngram(x, 4).npvalue(), [[10], [27]])
    equal(w.kmh_ngram(x, 1).npvalue(), x.npvalue())


BATCHED: list[tuple[Callable[[Expression], Expression], tuple[int, ...]]] = [
    (lambda x: w.maxpooling2d(x, [2, 2], [1, 2]), (3, 4, 2)),
    (lambda x: w.kmax_pooling(x, 2), (3, 4)),
    (lambda x: w.fold_rows(x), (4, 3)),
    (lambda x: w.kmh_ngram(x, 2), (3, 4)),
    (lambda x: w.filter1d_narrow(x, w.inputTensor(numbers(3, 2, 2)[..., 0])), (3, 4)),
]


@pytest.mark.parametrize(("function", "dims"), BATCHED)
def test_examples_of_a_batch_do_not_meet(function: Callable[[Expression], Expression], dims: tuple[int, ...]) -> None:
    array = numbers(*dims, batch=3)
    x = w.inputTensor(array, batched=True)
    y = function(x)
    assert y.dim()[1] == 3
    gradient = gradient_of(w.square(y), x)
    for n in range(3):
        alone = w.inputTensor(array[..., n])
        equal(y.npvalue()[..., n], function(alone).npvalue())
        equal(gradient[..., n], gradient_of(w.square(function(alone)), alone))


def test_arguments_have_names() -> None:
    x, f, b = value(4, 4), value(2, 2, 1, 3), value(3)
    y = w.conv2d_bias(x=x, f=f, b=b, stride=[1, 2], is_valid=False)
    equal(y.npvalue(), (w.conv2d(x=x, f=f, stride=[1, 2], is_valid=False) + w.reshape(b, (1, 1, 3))).npvalue())
    assert w.maxpooling2d(x=x, ksize=[2, 2], stride=[1, 1], is_valid=True).dim() == ((3, 3), 1)
    assert w.kmax_pooling(x=x, k=2, d=0).dim() == ((2, 4), 1)
    assert w.filter1d_narrow(x=x, f=x).dim() == ((1, 1), 1)
    assert w.fold_rows(x=x, nrows=4).dim() == ((1, 4), 1)
    assert w.kmh_ngram(x=x, v=3).dim() == ((4, 2), 1)


# --- what is refused ------------------------------------------------------------------------------

F = (2, 2, 1, 3)
REFUSED: list[tuple[str, Callable[[], object], list[str]]] = [
    ("conv2d", lambda: w.conv2d(value(4), value(*F), [1, 1]), ["{4}", "{2,2,1,3}"]),
    ("conv2d", lambda: w.conv2d(value(4, 4, 1, 2), value(*F), [1, 1]), ["{4,4,1,2}"]),
    ("conv2d", lambda: w.conv2d(value(4, 4), value(2, 2), [1, 1]), ["{4,4}", "{2,2}"]),
    ("conv2d", lambda: w.conv2d(value(4, 4, 2), value(*F), [1, 1]), ["{4,4,2}", "{2,2,1,3}", "channels"]),
    ("conv2d", lambda: w.conv2d(value(4, 1), value(*F), [1, 1]), ["2 rows and 2 columns", "{4,1}"]),
    ("conv2d", lambda: w.conv2d(value(1, 4), value(*F), [1, 1]), ["2 rows and 2 columns", "{1,4}"]),
    ("conv2d", lambda: w.conv2d(value(4, 4, batch=2), value(*F, batch=3), [1, 1]), ["[2, 3]"]),
    ("conv2d_bias", lambda: w.conv2d_bias(value(4, 4), value(*F), value(2), [1, 1]), ["{2}", "3 filters"]),
    ("conv2d_bias", lambda: w.conv2d_bias(value(4, 4), value(*F), value(1, 3), [1, 1]), ["{1,3}"]),
    ("conv2d_bias", lambda: w.conv2d_bias(value(1, 1), value(*F), value(3), [1, 1]), ["{1,1}"]),
    ("filter1d_narrow", lambda: w.filter1d_narrow(value(3, 4), value(2, 2)), ["{3,4}", "{2,2}"]),
    ("filter1d_narrow", lambda: w.filter1d_narrow(value(3, 4), value(3, 5)), ["{3,4}", "{3,5}"]),
    ("filter1d_narrow", lambda: w.filter1d_narrow(value(3), value(3, 1)), ["{3}"]),
    ("filter1d_narrow", lambda: w.filter1d_narrow(value(3, 4), value(3)), ["{3}"]),
    ("maxpooling2d", lambda: w.maxpooling2d(value(4), [1, 1], [1, 1]), ["{4}"]),
    ("maxpooling2d", lambda: w.maxpooling2d(value(4, 4, 2, 2), [1, 1], [1, 1]), ["{4,4,2,2}"]),
    ("maxpooling2d", lambda: w.maxpooling2d(value(4, 4), [5, 1], [1, 1]), ["5 rows and 1 columns", "{4,4}"]),
    ("kmax_pooling", lambda: w.kmax_pooling(value(3, 4), 5), ["k=5", "{3,4}", "1 to 4"]),
    ("kmax_pooling", lambda: w.kmax_pooling(value(3, 4), 0), ["k=0"]),
    ("kmax_pooling", lambda: w.kmax_pooling(value(4), 2), ["axis 1", "{4}"]),
    ("kmax_pooling", lambda: w.kmax_pooling(value(4), 2, -1), ["axis -1"]),
    ("fold_rows", lambda: w.fold_rows(value(5, 2)), ["{5,2}", "2 rows"]),
    ("fold_rows", lambda: w.fold_rows(value(4, 2), 0), ["0 rows"]),
    ("fold_rows", lambda: w.fold_rows(value(4, 2), 8), ["8 rows"]),
    ("kmh_ngram", lambda: w.kmh_ngram(value(3, 4), 5), ["v=5", "{3,4}"]),
    ("kmh_ngram", lambda: w.kmh_ngram(value(3, 4), 0), ["v=0"]),
    ("kmh_ngram", lambda: w.kmh_ngram(value(3), 1), ["{3}"]),
]


@pytest.mark.parametrize(("name", "call", "parts"), REFUSED, ids=[f"{n}-{i}" for i, (n, _, _) in enumerate(REFUSED)])
def test_shapes_that_do_not_fit(name: str, call: Callable[[], object], parts: list[str]) -> None:
    with pytest.raises(ShapeError) as raised:
        call()
    for part in (name, *parts):
        assert part in str(raised.value)


@pytest.mark.parametrize("stride", [[1], [1, 1, 1], [0, 1], [1, -1], []])
def test_a_stride_is_two_numbers(stride: list[int], graph: ComputationGraph) -> None:
    x, f = value(4, 4), value(*F)
    length = len(graph.code)
    for call in (
        lambda: w.conv2d(x, f, stride),
        lambda: w.conv2d_bias(x, f, value(3), stride),
        lambda: w.maxpooling2d(x, [1, 1], stride),
        lambda: w.maxpooling2d(x, stride, [1, 1]),
    ):
        with pytest.raises(ValueError, match=r"(stride|ksize) is a list of two numbers"):
            call()
    # The bias; nothing that was refused.
    assert len(graph.code) <= length + 2


@pytest.mark.parametrize("stride", [1, [1.5, 1], ["1", "1"], None])
def test_a_stride_of_other_types(stride: object) -> None:
    with pytest.raises(TypeError, match="conv2d: stride is a list of two whole numbers"):
        w.conv2d(value(4, 4), value(*F), stride)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "call",
    [
        lambda: w.conv2d(np.zeros((4, 4)), value(*F), [1, 1]),  # type: ignore[arg-type]
        lambda: w.conv2d(value(4, 4), None, [1, 1]),  # type: ignore[arg-type]
        lambda: w.conv2d_bias(value(4, 4), value(*F), 1.0, [1, 1]),  # type: ignore[arg-type]
        lambda: w.filter1d_narrow(value(3, 4), 2),  # type: ignore[arg-type]
        lambda: w.maxpooling2d(3.0, [1, 1], [1, 1]),  # type: ignore[arg-type]
        lambda: w.kmax_pooling([value(2, 2)], 1),  # type: ignore[arg-type]
        lambda: w.fold_rows(None),  # type: ignore[arg-type]
        lambda: w.kmh_ngram("x", 1),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_expression(call: Callable[[], object]) -> None:
    with pytest.raises(OperandError, match="expressions"):
        call()
