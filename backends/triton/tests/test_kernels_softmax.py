"""Softmaxes and losses of picked classes: every shape of tile, and where the numbers are hard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import weft_core as weft
from weft_core.graph import ComputationGraph
from weft_core.numpy_backend import NumpyBackend
from weft_triton.backend import TritonBackend
from weft_triton.simplex import CONSTRAINED
from weft_triton.softmax import BLOCK

Dims = tuple[int, ...]
Floats = NDArray[np.float64]
BACKENDS: tuple[Any, Any] = (TritonBackend(), NumpyBackend("float64"))


@dataclass
class Case:
    """An operation, called with the number of the instruction (for classes that differ) and its operands."""

    operation: str
    function: Callable[..., Any]
    shapes: tuple[tuple[Dims, int], ...]

    def __str__(self) -> str:
        return "-".join([self.operation, *("x".join(map(str, (*dims, batch))) for dims, batch in self.shapes)])


def evaluate(case: Case, backend: Any) -> list[Floats]:
    """Values and gradients of instructions with operands of their own, one of theirs twice, and with parameters."""
    numbers = np.random.default_rng(7)
    model = weft.ParameterCollection()

    def draw(*dims: int) -> Floats:
        return numbers.standard_normal(dims).astype(np.float32).astype(np.float64)

    parameters = [model.parameters_from_numpy(draw(*dims)) for dims, _ in case.shapes]
    with ComputationGraph(backend=backend) as graph:
        operands = [
            [weft.inputTensor(draw(*dims, batch), batched=True) for dims, batch in case.shapes] for _ in range(2)
        ]
        results = [case.function(n, *xs) for n, xs in enumerate(operands)]
        results.append(case.function(1, *operands[0]))
        for k, (_, batch) in enumerate(case.shapes):
            if batch == 1:
                results += [case.function(n, *xs[:k], parameters[k], *xs[k + 1 :]) for n, xs in enumerate(operands)]
        losses = []
        for y in results:
            dims, batch = y.dim()
            losses.append(weft.sum_batches(weft.sum_elems(weft.cmult(y, weft.inputTensor(draw(*dims, batch), True)))))
        weft.esum(losses).backward(full=True)
        found = [y.npvalue() for y in results] + [x.gradient() for xs in operands for x in xs]
        if backend is BACKENDS[0]:
            assert graph.execution.counts()["host_steps"] == 0
    return found + [p.grad_as_array() for p in parameters]


def compare(found: list[Floats], wanted: list[Floats], tolerance: float = 1e-5) -> None:
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def bounded(n: int, x: Any, y: Any) -> Any:
    """Bounds in (0, 1), some of which bind."""
    return weft.constrained_softmax(x, weft.logistic(y - 1))


def classes(n: int, x: Any) -> list[int]:
    """One for each example, the last one among them."""
    (size, *_), batch = x.dim()
    return [(size - 1 - 7 * b - 3 * n) % size for b in range(batch)]


def named(n: int, x: Any) -> Any:
    """Log-softmax of a third of the elements, in no order, and of these the finite results."""
    rows = [(5 * k + n) % x.dim()[0][0] for k in range(x.dim()[0][0] // 3)]
    return weft.select_rows(weft.log_softmax(x, rows), sorted(rows))


# Each kind of tile: one line or more than a tile has, one chunk or several.
RUNS: list[tuple[Dims, int]] = [((1,), 3), ((31,), 67), ((6, 11), 2), ((255,), 9), ((2050,), 2)]
STRIDED: list[tuple[Dims, int]] = [((3, 5), 43), ((130, 9), 1), ((5, 70), 7)]
ALONG: dict[str, Callable[..., Any]] = {
    "softmax": lambda n, x: weft.softmax(x),
    "log_softmax": lambda n, x: weft.log_softmax(x),
}
OF_VECTORS: dict[str, Callable[..., Any]] = {
    "sparsemax": lambda n, x: weft.sparsemax(x),
    "pickneglogsoftmax": lambda n, x: weft.pickneglogsoftmax_batch(x, classes(n, x)),
    "hinge": lambda n, x: weft.hinge_batch(x, classes(n, x), 0.4),
}
CASES = [
    *(Case(name, f, (shape,)) for name, f in ALONG.items() for shape in RUNS),
    *(Case("softmax-1", lambda n, x: weft.softmax(x, 1), (shape,)) for shape in STRIDED),
    *(Case(name, f, (shape,)) for name, f in OF_VECTORS.items() for shape in RUNS if len(shape[0]) == 1),
    *(Case("named", named, (shape,)) for shape in [((31,), 3), ((3 * BLOCK + 9,), 2), ((40,), 1)]),
    *(Case("constrained", bounded, (((n,), a), ((n,), b))) for n in (7, 300) for a, b in ((5, 5), (1, 9), (9, 1))),
    Case("constrained", bounded, (((11, 1), 1), ((11, 1), 1))),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_gradients_are_those_of_the_reference(case: Case) -> None:
    found, wanted = (evaluate(case, backend) for backend in BACKENDS)
    compare(found, wanted, 2e-5)
    # Of a single element, most are constant.
    assert case.shapes[0][0] == (1,) or any(b.any() for b in wanted)


def test_constrained_softmax_is_tried_with_more_than_a_tile_holds() -> None:
    lines, chunk, _ = CONSTRAINED
    assert lines < 5 and chunk < 300


# --- numbers at the edge --------------------------------------------------------------------------

LINES = {
    "large": [1e4, -1e4, 9999.0, 0.0],
    "all large": [1e4, 1e4, 1e4, 1e4],
    "very low": [-1e4, -1e4, -1e4, -9999.0],
    "some -inf": [1.0, -np.inf, 2.0, -np.inf],
    "all -inf": [-np.inf] * 4,
    "inf": [1.0, np.inf, 2.0, 3.0],
    "nan": [1.0, 2.0, np.nan, 3.0],
    "equal": [2.0, 2.0, 2.0, 2.0],
}
EDGES: dict[str, Callable[[Any], Any]] = {
    "softmax": weft.softmax,
    "log_softmax": weft.log_softmax,
    "named": lambda x: weft.select_rows(weft.log_softmax(x, [0, 2]), [0, 2]),
    "pickneglogsoftmax": lambda x: weft.pickneglogsoftmax(x, 2),
    "hinge": lambda x: weft.hinge(x, 2),
}


@pytest.mark.parametrize("kind", LINES)
@pytest.mark.parametrize("name", EDGES)
def test_edges_are_those_of_the_reference(name: str, kind: str) -> None:
    """Infinities and NaN appear where the reference has them; 1e4 does not overflow and keeps its digits."""

    def run(backend: Any) -> list[Floats]:
        with ComputationGraph(backend=backend):
            x = weft.inputTensor(np.array(LINES[kind], np.float32))
            y = EDGES[name](x)
            # One element of the result: weights of 0 would turn infinities into NaN.
            weft.pick(y, 0).backward(full=True)
            return [y.npvalue(), x.gradient()]

    (y, dx), (wanted, wanted_dx) = map(run, BACKENDS)
    if name == "named":
        dx, wanted_dx = dx[::2], wanted_dx[::2]
    compare([y], [wanted], 1e-6)
    # The saved logarithm is rounded to float32: at 1e4 by half a thousandth.
    compare([dx], [wanted_dx], 1e-3 if np.abs(LINES[kind]).max() > 1e3 else 1e-6)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "pickneglogsoftmax"])
def test_lanes_that_meet_nothing_but_minus_infinity_count_nothing(name: str) -> None:
    """The first chunk of a long line is -inf, and most lanes of the second one are, too."""
    x = np.full((5000, 1), -np.inf)
    x[4000:4003, 0] = [1, 2, 3]

    def run(backend: Any) -> Any:
        with ComputationGraph(backend=backend):
            y = weft.inputTensor(x, batched=True)
            picked = {"pickneglogsoftmax": lambda: weft.pickneglogsoftmax(y, 4001)}
            return picked.get(name, lambda: weft.pick(ALONG[name](0, y), 4001))().value()

    found, wanted = map(run, BACKENDS)
    assert found == pytest.approx(wanted, rel=1e-5) and np.isfinite(wanted)


def test_named_elements_only_are_written_and_read() -> None:
    numbers = np.arange(2.0 * BLOCK + 3) % 7
    numbers[1::2] = np.nan
    # Memory of its own, where nothing has written -inf before.
    with ComputationGraph(backend=TritonBackend()):
        x = weft.inputTensor(numbers)
        y = weft.log_softmax(x, range(0, len(numbers) - 1, 2))
        assert set(y.npvalue()[1::2]) | {y.npvalue()[-1]} == {-np.inf}
        weft.pick(y, 8).backward(full=True)
        assert np.isfinite(x.gradient()).all() and not x.gradient()[1::2].any()


@pytest.mark.parametrize("name", ["sparsemax", "constrained"])
def test_large_scores_stay_on_the_simplex(name: str) -> None:
    """Many rounds: supports of hundreds of elements, and bounds that bind one after the other."""

    def run(backend: Any) -> list[Floats]:
        numbers = np.random.default_rng(5)
        with ComputationGraph(backend=backend):
            scores = numbers.standard_normal(4000) * (1e-3 if name == "sparsemax" else 4)
            x = weft.inputTensor(scores.astype(np.float32) + np.float32(10))
            bound = weft.inputTensor(np.linspace(0, 0.01, 4000))
            y = weft.sparsemax(x) if name == "sparsemax" else weft.constrained_softmax(x, bound)
            weft.sum_elems(weft.cmult(y, weft.inputTensor(numbers.standard_normal(4000)))).backward(full=True)
            return [y.npvalue(), x.gradient()]

    found, wanted = map(run, BACKENDS)
    assert found[0].sum() == pytest.approx(1, rel=1e-5) and found[0].min() >= 0
    assert 100 < np.count_nonzero(wanted[0]) < 4000
    compare(found, wanted)


def test_the_largest_score_may_be_in_any_chunk() -> None:
    """Its distance from the others is more than float32 has room for under an exponential."""
    scores = np.linspace(300, 0, 700)

    def run(backend: Any) -> list[Floats]:
        with ComputationGraph(backend=backend):
            y = weft.constrained_softmax(weft.inputTensor(scores), weft.inputTensor(np.full(700, 0.25)))
            return [y.npvalue()]

    compare(*map(run, BACKENDS))


@pytest.mark.parametrize("bounds", [[0.5, 0.5], [1.0, 0.0], [0.2, 0.9]])
def test_bounds_that_are_met_exactly(bounds: list[float]) -> None:
    def run(backend: Any) -> list[Floats]:
        with ComputationGraph(backend=backend):
            x, bound = weft.inputTensor(np.zeros(2)), weft.inputTensor(np.array(bounds))
            y = weft.constrained_softmax(x, bound)
            weft.pick(y, 1).backward(full=True)
            return [y.npvalue(), x.gradient(), bound.gradient()]

    compare(*map(run, BACKENDS))
