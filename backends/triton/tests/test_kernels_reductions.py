"""Kernels of reductions where a line, a list or an instruction is longer than a tile, against the float64 reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import weft_core as weft
from weft_core.graph import ComputationGraph
from weft_core.numpy_backend import NumpyBackend
from weft_triton.backend import TritonBackend

Floats = NDArray[np.float64]
Function = Callable[..., weft.Expression]
BACKENDS = [TritonBackend(), NumpyBackend("float64")]


@dataclass
class Case:
    """A function of operands of these dims and batches."""

    name: str
    function: Function
    shapes: tuple[tuple[tuple[int, ...], int], ...]

    def __str__(self) -> str:
        shapes = [shape for n, shape in enumerate(self.shapes) if shape not in self.shapes[:n]]
        return "-".join([self.name, *("x".join(map(str, (*dims, batch))) for dims, batch in shapes)])


def weighted(y: weft.Expression, seed: int) -> weft.Expression:
    """A number that every element of y has a share of its own in."""
    weights = np.random.default_rng(seed).standard_normal((*y.dim()[0], y.dim()[1]))
    return weft.sum_batches(weft.sum_elems(weft.cmult(y, weft.inputTensor(weights, batched=True))))


def evaluate(case: Case, backend: Any) -> list[Floats]:
    """Values and gradients of instructions on inputs of their own, on shared ones and on parameters."""
    numbers = np.random.default_rng(7)

    def draw(dims: Sequence[int], batch: int) -> Floats:
        return numbers.standard_normal((*dims, batch)).astype(np.float32)

    model = weft.ParameterCollection()
    parameters = [model.parameters_from_numpy(draw(dims, 1)[..., 0]) for dims, _ in case.shapes]
    with ComputationGraph(backend=backend) as graph:
        operands = [[weft.inputTensor(draw(*shape), batched=True) for shape in case.shapes] for _ in range(2)]
        results = [case.function(*xs) for xs in (*operands, operands[0])]
        mixed = [p if batch == 1 else x for p, x, (_, batch) in zip(parameters, operands[1], case.shapes, strict=True)]
        results += [case.function(*mixed), case.function(*operands[0][:1], *mixed[1:])]
        total = weighted(results[0], 0)
        for seed, y in enumerate(results[1:], 1):
            total = total + weighted(y, seed)
        total.backward(full=True)
        found = [y.npvalue() for y in results] + [x.gradient() for xs in operands for x in xs]
        if backend is BACKENDS[0]:
            assert graph.execution.counts()["host_steps"] == 0
    return found + [p.grad_as_array() for p in parameters]


def compare(found: list[Floats], wanted: list[Floats], tolerance: float = 1e-5) -> None:
    for a, b in zip(found, wanted, strict=True):
        scale = max(1.0, np.abs(b[np.isfinite(b)]).max(initial=0.0))
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale)


def check(case: Case) -> None:
    found, wanted = (evaluate(case, backend) for backend in BACKENDS)
    compare(found, wanted)
    assert all(b.any() for b in wanted[:5])


# --- lines ----------------------------------------------------------------------------------------

# Each kind of tile, one line or many, one chunk or several; then axes that are far apart.
RUNS = [((33,), 1), ((32,), 65), ((256,), 9), ((2050,), 2)]
STRIDED = [((3, 5), 43), ((130, 7), 1), ((5, 70), 7)]
ALONG: dict[str, Function] = {
    "sum_dim": lambda x, axis: weft.sum_dim(x, [axis]),
    "cumsum": weft.cumsum,
    "max_dim": weft.max_dim,
    "min_dim": weft.min_dim,
    "logsumexp_dim": weft.logsumexp_dim,
}
LINES = [
    *(Case(name, lambda x, f=f: f(x, 0), (shape,)) for name, f in ALONG.items() for shape in RUNS),
    *(Case(name, lambda x, f=f: f(x, 1), (shape,)) for name, f in ALONG.items() for shape in STRIDED),
    Case("sum_dim-0-2", lambda x: weft.sum_dim(x, [0, 2]), (((3, 4, 5), 2),)),
    Case("sum_dim-0-2", lambda x: weft.sum_dim(x, [0, 2]), (((3, 1, 5), 2),)),
    Case("sum_dim-1-2-4", lambda x: weft.sum_dim(x, [1, 2, 4]), (((3, 2, 5, 2, 3), 1),)),
    Case("sum_dim-0-2-4", lambda x: weft.sum_dim(x, [0, 2, 4]), (((2, 2, 3, 2, 4), 2),)),
    Case("sum_elems", weft.sum_elems, (((40, 60), 1),)),
    Case("sum_elems", weft.sum_elems, (((1,), 70),)),
    Case("sum_batches", weft.sum_batches, (((130, 2), 3),)),
    Case("sum_batches", weft.sum_batches, (((2,), 70),)),
]


@pytest.mark.parametrize("case", LINES, ids=str)
def test_lines(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(("name", "sign"), [("max_dim", 1), ("min_dim", -1)])
def test_the_first_of_equal_extremes_takes_the_gradient(name: str, sign: int, axis: int) -> None:
    """In chunks of a line that are far apart."""
    x = np.zeros(3000 if axis == 0 else (2, 70))
    x[..., [5, 64, -2]] = sign
    with ComputationGraph(backend=BACKENDS[0]):
        operand = weft.inputTensor(x)
        weft.sum_elems(ALONG[name](operand, axis)).backward(full=True)
        wanted = np.zeros_like(x)
        wanted[..., 5] = 1
        np.testing.assert_array_equal(operand.gradient(), wanted)


# --- lists ----------------------------------------------------------------------------------------

LISTS: dict[str, Function] = {"esum": weft.esum, "emax": weft.emax, "logsumexp": weft.logsumexp}
# Few and many, of one batch and of several, and numbers.
LISTED = [
    Case(name, lambda *xs, f=f: f(xs), shapes)
    for name, f in LISTS.items()
    for shapes in (
        ((((3, 100), 2),) * 5),
        (((7,), 1), ((7, 1), 4), ((7,), 1)),
        (((1,), 1),) * 17,
        (*((((5,), 3),) * 20), *((((5,), 1),) * 15)),
    )
]


@pytest.mark.parametrize("case", LISTED, ids=str)
def test_lists(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("name", LISTS)
def test_an_operand_that_is_named_again_and_again(name: str) -> None:
    check(Case(name, lambda x, y: LISTS[name]([x, y, x] + [y] * 40 + [x]), (((6,), 1), ((6,), 3))))


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_thousands_of_numbers(name: str) -> None:
    numbers = np.random.default_rng(3).standard_normal(2100)

    def run(backend: Any) -> list[Floats]:
        with ComputationGraph(backend=backend):
            x = weft.inputTensor(numbers)
            y = LISTS[name](list(x))
            y.backward(full=True)
            return [y.npvalue(), x.gradient()]

    compare(*(run(backend) for backend in BACKENDS))


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_which_a_few_need_gradients(name: str) -> None:
    """The others are inputs: they have no memory for gradients."""
    # Read as the place of a gradient, the seed would be one.
    weft.reset_random_seed(17)
    numbers = np.random.default_rng(3).standard_normal((6, 9)).astype(np.float32)
    gradients = []
    for backend in BACKENDS:
        model = weft.ParameterCollection()
        p, q = (model.parameters_from_numpy(row) for row in numbers[:2])
        with ComputationGraph(backend=backend):
            xs = [weft.inputTensor(row) for row in numbers[2:]]
            weighted(LISTS[name]([xs[0], p, *xs[1:], q]), 1).backward()
        gradients.append([p.grad_as_array(), q.grad_as_array()])
    compare(*gradients)


# --- numbers at the edge --------------------------------------------------------------------------

EDGES = {
    "large": [1e4, -1e4, 9999.0, 0.0],
    "very low": [-1e4, -1e4, -1e4, -9999.0],
    "some -inf": [1.0, -np.inf, 2.0, -np.inf],
    "all -inf": [-np.inf] * 4,
    "inf": [1.0, np.inf, 2.0, 3.0],
    "nan": [1.0, 2.0, np.nan, 3.0],
    "inf and nan": [1.0, np.inf, np.nan, 3.0],
    "first of two": [0.5, 3.0, 3.0, -1.0],
}


def rows(x: weft.Expression) -> weft.Expression:
    """A matrix of which each row is x."""
    return weft.transpose(weft.concatenate_cols([x, x]))


REDUCED: dict[str, Function] = {
    **{name: lambda x, f=f: f(x, 0) for name, f in ALONG.items()},
    **{f"strided {name}": lambda x, f=f: f(rows(x), 1) for name, f in ALONG.items()},
    **{name: lambda x, f=f: f([weft.pick(x, k) for k in range(4)]) for name, f in LISTS.items()},
    **{f"long {name}": lambda x, f=f: f([weft.pick(x, k % 4) for k in range(20)]) for name, f in LISTS.items()},
}


@pytest.mark.parametrize("name", REDUCED)
def test_edges_are_those_of_the_reference(name: str) -> None:
    """An example for each kind: they do not disturb each other."""

    def run(backend: Any) -> list[Floats]:
        with ComputationGraph(backend=backend):
            x = weft.inputTensor(np.array(list(EDGES.values()), np.float32).T, batched=True)
            y = REDUCED[name](x)
            # One element of the result: weights of 0 would turn infinities into NaN.
            first = weft.pick(weft.reshape(y, (y.shape.size,)), 0)
            weft.sum_batches(first).backward(full=True)
            return [y.npvalue(), x.gradient()]

    (y, dx), (wanted, wanted_dx) = (run(backend) for backend in BACKENDS)
    compare([y], [wanted], 1e-6)
    # The result is rounded to float32: at 1e4 by half a thousandth.
    np.testing.assert_allclose(dx, wanted_dx, rtol=1e-3, atol=1e-6)
