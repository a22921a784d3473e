"""Convolution and pooling at sizes that take the kernels' other ways: several blocks, blocks of several examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import weft_core as w
from weft_core import ComputationGraph, Expression, ParameterCollection
from weft_core.numpy_backend import NumpyBackend
from weft_core.shape import shape_of
from weft_numba import convolution
from weft_numba.backend import NumbaBackend
from weft_numba.convolution import BLOCK, FEW_PLACES, ROWS
from weft_numba.windows import FIRST_POSITION, POSITION_FIELDS, RUN

Dims = tuple[int, ...]
Outcome = dict[str, NDArray[np.float64]]


def spread(seed: int, *dims: int) -> NDArray[np.float64]:
    """Distinct numbers between -1 and 1."""
    n = int(np.prod(dims))
    return (np.random.default_rng(seed).permutation(n).reshape(dims) - n / 2 + 0.75) * (2 / n)


def weighted(y: Expression, seed: int) -> Expression:
    dims, batch = y.dim()
    return w.sum_batches(w.sum_elems(w.cmult(y, w.inputTensor(spread(seed, *dims, batch), batched=True))))


def close(found: Outcome, wanted: Outcome, tolerance: float = 2e-6) -> None:
    """Equal up to `tolerance` of the largest number."""
    for name, right in wanted.items():
        largest = np.abs(right).max()
        assert largest > 1e-3, name
        np.testing.assert_allclose(found[name], right, rtol=0, atol=tolerance * largest, err_msg=name)


class Images:
    """Convolutions of several images with filters and a bias that are parameters, or computed for each image."""

    def __init__(self, x: Dims, f: Dims, stride: list[int], is_valid: bool, batch: int, instances: int) -> None:
        self.stride, self.is_valid = stride, is_valid
        self.images = [spread(k, *x, batch) for k in range(instances)]
        self.model = ParameterCollection()
        self.F = self.model.parameters_from_numpy(spread(90, *f))
        self.b = self.model.parameters_from_numpy(spread(91, f[3]))

    def run(self, backend: Any, own_filters: bool) -> Outcome:
        self.model.store.gradients[:] = 0
        with ComputationGraph(backend=backend):
            xs = [w.inputTensor(a, batched=True) for a in self.images]
            ys, losses = [], []
            for k, x in enumerate(xs):
                f, b = (self.F * (1 + k / 4), self.b * (1 - k / 4)) if own_filters else (self.F, self.b)
                ys.append(w.conv2d_bias(x, f, b, self.stride, self.is_valid))
                losses.append(weighted(ys[-1], 50 + k))
            w.esum(losses).backward(full=True)
            found = {f"y {k}": y.npvalue() for k, y in enumerate(ys)}
            found |= {f"dx {k}": x.gradient() for k, x in enumerate(xs)}
        return found | {"dF": self.F.grad_as_array(), "db": self.b.grad_as_array()}


CONVOLUTIONS = {
    "many places": ((70, 71, 4), (3, 3, 4, 5), [1, 1], True, 1, 1),
    "many places with a border": ((69, 71, 4), (3, 3, 4, 5), [1, 1], False, 1, 1),
    "many places with strides": ((139, 141, 2), (5, 4, 2, 3), [2, 2], False, 1, 1),
    "many columns": ((5, 6, 90), (3, 3, 90, 7), [1, 1], True, 2, 3),
    "both": ((22, 21, 64), (3, 3, 64, 33), [1, 1], False, 1, 1),
    "columns on the same cache lines": ((32, 32, 3), (3, 3, 3, 20), [1, 1], False, 1, 1),
    "many filters": ((12, 13, 10), (3, 3, 10, 130), [1, 1], True, 1, 1),
    "few places, many examples": ((5, 4, 6), (2, 3, 6, 10), [1, 1], False, 4, 30),
    "few places, many filters": ((4, 4, 3), (2, 2, 3, 2500), [1, 1], True, 1, 3),
    "sentences": ((1, 23, 30), (1, 3, 30, 40), [1, 1], False, 1, 25),
    "a long sentence": ((1, 700, 40), (1, 5, 40, 20), [1, 2], False, 1, 2),
    "columns of a matrix": ((40, 30), (40, 3, 1, 20), [1, 1], True, 1, 9),
    "columns that go on": ((20, 31, 8), (1, 3, 8, 10), [1, 1], False, 1, 1),
    "pixels": ((30, 31, 40), (1, 1, 40, 20), [1, 1], True, 2, 1),
    "few pixels": ((3, 3, 40), (1, 1, 40, 20), [1, 1], True, 2, 7),
    "pixels with strides": ((61, 63, 5), (1, 1, 5, 4), [2, 2], False, 1, 1),
    "one number in many": ((130, 131), (1, 1, 1, 1), [2, 1], True, 1, 1),
    "a filter as large as the image": ((30, 30, 3), (30, 30, 3, 4), [1, 1], True, 3, 4),
}


@pytest.mark.parametrize("own_filters", [False, True], ids=["shared", "own"])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions_are_those_of_the_reference(name: str, own_filters: bool) -> None:
    images = Images(*CONVOLUTIONS[name])
    close(images.run(NumbaBackend(), own_filters), images.run(NumpyBackend("float64"), own_filters))


def test_these_sizes_take_every_way() -> None:
    """What a block holds at most says which cases are cut into several, and which share one."""

    def places(name: str) -> int:
        x, f, stride, is_valid, *_ = CONVOLUTIONS[name]
        rows, columns = (-(-(a - b + 1 if is_valid else a) // s) for a, b, s in zip(x[:2], f[:2], stride, strict=True))
        return rows * columns

    def depth(name: str) -> int:
        return int(np.prod(CONVOLUTIONS[name][1][:3]))

    def many_filters(name: str) -> int:
        return CONVOLUTIONS[name][1][3]

    # Blocks of places with all columns; of places and of columns; one block with columns further apart.
    assert places("many places") > BLOCK // depth("many places") > ROWS
    assert places("both") > ROWS and depth("both") * (places("both") // 2) > BLOCK
    assert places("columns on the same cache lines") == 1024 < BLOCK // depth("columns on the same cache lines")
    assert places("one number in many") > BLOCK // 16
    # Blocks of several examples, more than one of them; examples that would fit but for what is packed beside them.
    assert places("few places, many examples") < FEW_PLACES
    assert 4 * 30 * places("few places, many examples") > 4 * ROWS // 2
    assert 2 * places("few places, many filters") * many_filters("few places, many filters") > BLOCK // 2
    assert places("sentences") < FEW_PLACES < places("a long sentence")
    # Runs: a row of the image, all of its columns, the whole image.
    assert convolution.convolution_table(signature_of("sentences"))[RUN] == 23
    assert convolution.convolution_table(signature_of("columns of a matrix"))[RUN] == 28
    assert convolution.convolution_table(signature_of("columns that go on"))[RUN] == 620


def signature_of(name: str) -> Any:
    x, f, stride, is_valid, *_ = CONVOLUTIONS[name]
    operation = convolution.Convolution
    made = next(kind for kind in w.ops.convolution.__dict__.values() if isinstance(kind, operation))
    return made.infer((shape_of(x), shape_of(f)), (*stride, is_valid))


def test_a_table_has_an_entry_for_each_position() -> None:
    table = convolution.convolution_table(signature_of("many places with strides"))
    assert len(table) == FIRST_POSITION + POSITION_FIELDS * 5 * 4


def test_filters_inside_of_a_cell() -> None:
    """The scratch memory of a cell does not count its parameters: blocks fit into what is there."""
    model = ParameterCollection()
    F = model.parameters_from_numpy(spread(1, 3, 3, 40, 60))
    arrays = [spread(k, 6, 5, 40) for k in range(12)]

    def outcome(backend: Any) -> Outcome:
        model.store.gradients[:] = 0
        with ComputationGraph(backend=backend):
            cell = w.cell(lambda x: w.tanh(w.conv2d(w.square(x), F, [1, 1], False)))
            xs = [w.inputTensor(a) for a in arrays]
            ys = [cell(x) for x in xs]
            w.esum([weighted(y, 7) for y in ys]).backward(full=True)
            found = {f"y {k}": y.npvalue() for k, y in enumerate(ys)} | {"dx": xs[3].gradient()}
        return found | {"dF": F.grad_as_array()}

    # Sums of 360 products before the tanh.
    close(outcome(NumbaBackend()), outcome(NumpyBackend("float64")), 1e-5)


POOLING: dict[str, tuple[Callable[[Expression], Expression], Dims]] = {
    "windows that overlap": (lambda x: w.maxpooling2d(x, [5, 4], [2, 1], False), (61, 40, 3)),
    "windows side by side": (lambda x: w.maxpooling2d(x, [2, 2], [2, 2]), (62, 50, 2)),
    "windows in a row": (lambda x: w.maxpooling2d(x, [1, 7], [1, 3]), (1, 300, 20)),
    "windows over joined columns": (lambda x: w.maxpooling2d(x, [1, 4], [1, 1], False), (31, 40, 3)),
    "windows as high as the image": (lambda x: w.maxpooling2d(x, [30, 2], [1, 1]), (30, 40, 3)),
    "few of many": (lambda x: w.kmax_pooling(x, 5), (7, 900)),
    "most of many": (lambda x: w.kmax_pooling(x, 350, 0), (400, 5)),
    "rows": (lambda x: w.fold_rows(x, 7), (700, 13)),
    "columns": (lambda x: w.kmh_ngram(x, 9), (37, 200)),
    "narrow filters": (lambda x: w.filter1d_narrow(x, w.inputTensor(spread(8, 37, 5, 70))), (37, 300)),
    "one narrow filter": (lambda x: w.filter1d_narrow(x, w.inputTensor(spread(8, 130, 3))), (130, 300)),
}


@pytest.mark.parametrize("name", POOLING)
@pytest.mark.parametrize("batch", [1, 3])
def test_pooling_is_that_of_the_reference(name: str, batch: int) -> None:
    function, dims = POOLING[name]

    def outcome(backend: Any) -> Outcome:
        with ComputationGraph(backend=backend):
            xs = [w.inputTensor(spread(k, *dims, batch), batched=True) for k in range(3)]
            ys = [function(x) for x in xs]
            w.esum([weighted(y, 9 + k) for k, y in enumerate(ys)]).backward(full=True)
            return {f"y {k}": y.npvalue() for k, y in enumerate(ys)} | {
                f"dx {k}": x.gradient() for k, x in enumerate(xs)
            }

    close(outcome(NumbaBackend()), outcome(NumpyBackend("float64")))


@pytest.mark.parametrize("k", [1, 2, 7, 20])
def test_equal_numbers_and_what_is_not_finite(k: int) -> None:
    """Few different numbers, infinities and NaN among them: kernel and reference choose the same places."""
    array = np.random.default_rng(k).choice([-np.inf, -1.0, 0.0, 1.0, np.inf, np.nan], (20, 30))

    def outcome(backend: Any) -> tuple[Any, Any]:
        with ComputationGraph(backend=backend):
            x = w.inputTensor(array)
            y = w.kmax_pooling(x, k, 0)
            weights = w.inputTensor(np.arange(1.0, 1 + 30 * k).reshape((k, 30)))
            # NaN times a weight is NaN; the gradient of the operand is the weight.
            w.sum_elems(w.cmult(y, weights)).backward(full=True)
            return y.npvalue(), x.gradient()

    for found, wanted in zip(outcome(NumbaBackend()), outcome(NumpyBackend("float64")), strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert np.count_nonzero(outcome(NumbaBackend())[1]) == 30 * k


def test_ties_and_what_is_not_a_number_in_windows() -> None:
    array = np.random.default_rng(2).choice([-np.inf, 0.0, 1.0, np.nan], (21, 19), p=[0.2, 0.4, 0.3, 0.1])

    def outcome(backend: Any) -> tuple[Any, Any]:
        with ComputationGraph(backend=backend):
            x = w.inputTensor(array)
            y = w.maxpooling2d(x, [3, 2], [2, 1], False)
            weights = w.inputTensor(np.arange(1.0, 1 + y.shape.size).reshape(y.shape.dims))
            w.sum_elems(w.cmult(y, weights)).backward(full=True)
            return y.npvalue(), x.gradient()

    for found, wanted in zip(outcome(NumbaBackend()), outcome(NumpyBackend("float64")), strict=True):
        np.testing.assert_array_equal(found, wanted)
