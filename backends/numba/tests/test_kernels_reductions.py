"""Kernels of products, reductions, softmaxes and losses against the NumPy reference in float64."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import pytest

import weft_core as weft
from weft_core.graph import ComputationGraph
from weft_core.numpy_backend import NumpyBackend
from weft_core.operation import operations
from weft_core.ops.activations import STRAIGHT_THROUGH, ZERO
from weft_core.ops.products import _multiply as multiply
from weft_core.signature import signatures
from weft_numba import activations, list_reductions, losses, products, reductions, softmax
from weft_numba.backend import NumbaBackend
from weft_numba.cache import KERNEL_FASTMATH
from weft_numba.kernels import kernel_table
from weft_numba.pointers import KERNEL

ShapeOf = tuple[tuple[int, ...], int]
INSTRUCTIONS = 3


@dataclass
class Case:
    """An operation, called with the number of the instruction (for classes that differ) and its operands."""

    operation: str
    shapes: tuple[ShapeOf, ...]
    function: Callable[..., Any]
    tolerance: float = 2e-5

    def __str__(self) -> str:
        return "-".join([self.operation, *("x".join(map(str, (*dims, batch))) for dims, batch in self.shapes)])


def unary(operation: str, function: Callable[..., Any], *dims: Sequence[int]) -> list[Case]:
    """One operand of these dims, without and with a batch."""
    return [Case(operation, ((tuple(d), batch),), function) for d in dims for batch in (1, 4)]


def along(operation: str, function: Callable[..., Any], *shapes: Sequence[int]) -> list[Case]:
    """One operand, along each of its axes."""
    return [
        case
        for dims in shapes
        for axis in range(len(dims))
        for case in unary(operation, lambda n, x, axis=axis: function(x, axis), dims)
    ]


def products_of(x: Sequence[int], y: Sequence[int]) -> list[Case]:
    """All four ways to have a batch."""
    batches = [(1, 1), (3, 1), (1, 3), (3, 3)]
    shapes = [((tuple(x), a), (tuple(y), b)) for a, b in batches]
    return [Case("matrix_product", both, lambda n, x, y: multiply(x, y)) for both in shapes]


def list_cases(operation: str, function: Callable[..., Any]) -> list[Case]:
    """Lists of one shape, of mixed batches, of numbers, and a long one."""
    many = [((1,), 1)] * 3, [((5,), 1), ((5,), 4), ((5, 1), 1)], [((2, 3), 4), ((2, 3), 1)], [((1,), 4)] * 2
    cases = [Case(operation, tuple(shapes), lambda n, *xs: function(xs)) for shapes in many]
    long = Case(operation, (((7,), 1),), lambda n, x: function([x] * 40 + [weft.scale_gradient(x, 2)]))
    return [*cases, long]


def bounded_softmax(n: int, x: Any, y: Any) -> Any:
    """Bounds in (0, 1): some bind, and more than one round is needed."""
    return weft.constrained_softmax(x, weft.logistic(y - 1))


SHAPES = ((5,), (37,), (4, 3), (3, 1, 19))
VECTORS = ((1,), (5,), (211,), (6, 1))

CASES = [
    *products_of((4, 3), (3, 2)),
    *products_of((4, 3), (3,)),
    *products_of((5,), (1, 6)),
    *products_of((1, 20), (20, 12)),
    *unary("sum_elems", lambda n, x: weft.sum_elems(x), *SHAPES),
    *along("sum_dim", lambda x, axis: weft.sum_dim(x, [axis]), *SHAPES),
    *unary("sum_dim", lambda n, x: weft.sum_dim(x, [0, 2]), (3, 4, 5), (2, 3, 1, 2)),
    *unary("sum_dim", lambda n, x: weft.sum_dim(x, [1, 2, 4]), (3, 2, 5, 2, 3)),
    *unary("sum_batches", lambda n, x: weft.sum_batches(x), (1,), (4, 3)),
    *along("cumsum", weft.cumsum, *SHAPES),
    *along("max_dim", weft.max_dim, *SHAPES),
    *along("min_dim", weft.min_dim, *SHAPES),
    *along("logsumexp_dim", weft.logsumexp_dim, *SHAPES),
    *list_cases("esum", weft.esum),
    *list_cases("emax", weft.emax),
    *list_cases("logsumexp", weft.logsumexp),
    *along("softmax", weft.softmax, *SHAPES),
    *unary("log_softmax", lambda n, x: weft.log_softmax(x), *SHAPES),
    *unary("restricted_log_softmax", lambda n, x: weft.log_softmax(x, [n, 4, 3]), (5,), (37, 1)),
    *unary("sparsemax", lambda n, x: weft.sparsemax(x), *VECTORS),
    *(
        Case("constrained_softmax", ((d, a), (d, b)), bounded_softmax)
        for d in ((7,), (33,))
        for a, b in ((1, 1), (4, 1), (1, 4), (4, 4))
    ),
    *(Case("pickneglogsoftmax", ((d, 1),), lambda n, x: weft.pickneglogsoftmax(x, n)) for d in ((5,), (7596,), (6, 1))),
    Case("pickneglogsoftmax", (((211,), 4),), lambda n, x: weft.pickneglogsoftmax_batch(x, [n, 3, 0, 210])),
    *(Case("hinge", ((d, 1),), lambda n, x: weft.hinge(x, n, 0.4)) for d in ((5,), (211,), (6, 1))),
    Case("hinge", (((37,), 4),), lambda n, x: weft.hinge_batch(x, [n, 3, 0, 36], 2.0)),
    *unary("argmax", lambda n, x: weft.argmax(x, STRAIGHT_THROUGH), *SHAPES),
    *unary("argmax", lambda n, x: weft.argmax(x, ZERO), *SHAPES),
]


def evaluate(case: Case, backend: Any, autobatch: bool, full: bool = True) -> list[np.ndarray]:
    """Values and gradients of a graph with instructions of own, of shared and of parameter operands."""
    numbers = np.random.default_rng(7)
    model = weft.ParameterCollection()

    def draw(dims: Sequence[int], batch: int) -> np.ndarray:
        return numbers.standard_normal((*dims, batch)).astype(np.float32)

    parameters = [model.parameters_from_numpy(draw(dims, 1)[..., 0]) for dims, _ in case.shapes]
    with ComputationGraph(autobatch, backend):
        operands = []
        for _ in range(INSTRUCTIONS):
            operands.append([weft.inputTensor(draw(*shape), batched=True) for shape in case.shapes])
        results = [case.function(n, *xs) for n, xs in enumerate(operands)]
        results += [case.function(n, *operands[0]) for n in range(1, INSTRUCTIONS)]
        for k, (_, batch) in enumerate(case.shapes):
            if batch == 1:
                results += [
                    case.function(n, *xs[:k], mixed, *xs[k + 1 :])
                    for n, xs in enumerate(operands)
                    # The parameter itself, and one computed value that all share.
                    for mixed in (parameters[k], weft.scale_gradient(parameters[k], 0.5))
                ]
        total = weft.scalarInput(0)
        for y in results:
            finite = weft.select_rows(y, [3, 4]) if case.operation == "restricted_log_softmax" else y
            weighted = weft.cmult(finite, weft.inputTensor(draw(*finite.dim()), batched=True))
            total = total + weft.sum_batches(weft.sum_elems(weighted))
        total.backward(full=full)
        found = [y.npvalue() for y in results]
        if full:
            found += [x.gradient() for xs in operands for x in xs]
    return found + [p.grad_as_array() for p in parameters]


def compare(found: list[np.ndarray], expected: list[np.ndarray], tolerance: float = 2e-5) -> None:
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("full", [True, False], ids=["full", "parameters"])
@pytest.mark.parametrize("autobatch", [True, False], ids=["autobatch", "one-by-one"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_gradients_are_those_of_the_reference(case: Case, autobatch: bool, full: bool) -> None:
    expected = evaluate(case, NumpyBackend("float64"), autobatch, full)
    compare(evaluate(case, NumbaBackend(), autobatch, full), expected, case.tolerance)
    assert any(np.any(b != 0) for b in expected)


@pytest.mark.parametrize("name", sorted({case.operation for case in CASES}))
def test_the_kernel_runs_and_not_the_reference(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [case for case in CASES if case.operation == name]
    for case in cases:
        evaluate(case, NumbaBackend(), True)

    def forbidden(*_: Any) -> Any:
        raise AssertionError(f"{name} ran through its reference")

    for kind in {type(s.operation) for s in signatures.all if s.operation.name == name}:
        monkeypatch.setattr(kind, "forward", forbidden)
        monkeypatch.setattr(kind, "backward", forbidden)
    for case in cases:
        evaluate(case, NumbaBackend(), True)


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
    "first of two": [0.5, 3.0, 3.0, -1.0],
}
EDGES: dict[str, Callable[..., Any]] = {
    "softmax": weft.softmax,
    "log_softmax": weft.log_softmax,
    "logsumexp_dim": weft.logsumexp_dim,
    "logsumexp": lambda x: weft.logsumexp([weft.pick(x, k) for k in range(4)]),
    "pickneglogsoftmax": lambda x: weft.pickneglogsoftmax(x, 2),
    "max_dim": weft.max_dim,
    "min_dim": weft.min_dim,
    "emax": lambda x: weft.emax([weft.pick(x, k) for k in range(4)]),
    "argmax": lambda x: weft.argmax(x, ZERO),
    "hinge": lambda x: weft.hinge(x, 2),
    "sum_elems": weft.sum_elems,
    "cumsum": weft.cumsum,
}


@pytest.mark.parametrize("kind", LINES)
@pytest.mark.parametrize("name", EDGES)
def test_edges_are_those_of_the_reference(name: str, kind: str) -> None:
    """Infinities and NaN appear where the reference has them; 1e4 does not overflow and keeps its digits."""

    def run(backend: Any) -> list[np.ndarray]:
        with ComputationGraph(True, backend):
            x = weft.inputTensor(np.array(LINES[kind], np.float32))
            y = EDGES[name](x)
            # One element of the result: weights of 0 would turn infinities into NaN.
            weft.pick(y, 0).backward(full=True)
            return [y.npvalue(), x.gradient()]

    (y, dx), (expected, expected_dx) = run(NumbaBackend()), run(NumpyBackend("float64"))
    compare([y], [expected], 1e-6)
    # The saved logarithm is rounded to float32: at 1e4 by half a thousandth.
    compare([dx], [expected_dx], 1e-3 if np.abs(LINES[kind]).max() > 1e3 else 1e-6)


@pytest.mark.parametrize("name", ["sparsemax", "constrained_softmax"])
def test_large_scores_stay_on_the_simplex(name: str) -> None:
    def run(backend: Any) -> list[np.ndarray]:
        numbers = np.random.default_rng(5)
        with ComputationGraph(True, backend):
            scores = numbers.standard_normal(4000) * (1e4 if name == "sparsemax" else 4)
            x = weft.inputTensor(scores.astype(np.float32) + np.float32(1e4))
            bound = weft.inputTensor(np.linspace(0, 0.01, 4000))
            y = weft.sparsemax(x) if name == "sparsemax" else weft.constrained_softmax(x, bound)
            weft.sum_elems(weft.cmult(y, weft.inputTensor(numbers.standard_normal(4000)))).backward(full=True)
            return [y.npvalue(), x.gradient()]

    found, expected = run(NumbaBackend()), run(NumpyBackend("float64"))
    assert found[0].sum() == pytest.approx(1, rel=1e-5) and found[0].min() >= 0
    compare(found, expected)


@pytest.mark.parametrize("bounds", [[0.5, 0.5], [1.0, 0.0], [0.2, 0.9]])
def test_bounds_that_are_met_exactly(bounds: list[float]) -> None:
    def run(backend: Any) -> list[np.ndarray]:
        with ComputationGraph(True, backend):
            x, bound = weft.inputTensor(np.zeros(2)), weft.inputTensor(np.array(bounds))
            y = weft.constrained_softmax(x, bound)
            weft.pick(y, 1).backward(full=True)
            return [y.npvalue(), x.gradient(), bound.gradient()]

    compare(run(NumbaBackend()), run(NumpyBackend("float64")))


@pytest.mark.parametrize("kind", LINES)
def test_elements_that_take_no_part_are_low_whatever_the_others_are(kind: str) -> None:
    def run(backend: Any) -> list[np.ndarray]:
        with ComputationGraph(True, backend):
            x = weft.inputTensor(np.array(LINES[kind], np.float32))
            y = weft.log_softmax(x, [0, 2])
            weft.pick(y, 0).backward(full=True)
            return [y.npvalue(), x.gradient()]

    (y, dx), (expected, expected_dx) = run(NumbaBackend()), run(NumpyBackend("float64"))
    compare([y[::2], dx[::2]], [expected[::2], expected_dx[::2]], 1e-6)
    assert y[1] == y[3] == -np.inf and dx[1] == dx[3] == 0


def test_sum_of_thousands_of_numbers() -> None:
    with ComputationGraph(True, NumbaBackend()):
        xs = [weft.scalarInput(k) for k in range(3000)]
        total = weft.esum(xs)
        assert total.scalar_value() == pytest.approx(3000 * 2999 / 2, rel=1e-6)
        total.backward(full=True)
        assert {float(x.gradient()[0]) for x in (xs[0], xs[1234], xs[-1])} == {1.0}


@pytest.mark.parametrize("shared", [True, False])
def test_twenty_columns_under_one_matrix_or_under_twenty(shared: bool) -> None:
    """Instructions that share the left operand become one product; those with regular ones of their own do not."""

    def run(autobatch: bool) -> list[np.ndarray]:
        numbers = np.random.default_rng(2)
        with ComputationGraph(autobatch, NumbaBackend()):
            xs = [weft.inputTensor(numbers.standard_normal((6, 9))) for _ in range(20)]
            ys = [weft.inputTensor(numbers.standard_normal(9)) for _ in range(20)]
            zs = [multiply(xs[0] if shared else x, y) for x, y in zip(xs, ys, strict=True)]
            weft.esum([weft.sum_elems(weft.square(z)) for z in zs]).backward(full=True)
            return [z.npvalue() for z in zs] + [e.gradient() for e in (*ys, *xs)]

    compare(run(True), run(False), 1e-5)


# --- speed ----------------------------------------------------------------------------------------

VECTORISED = [
    losses.negative_log_softmax_forward,
    losses.negative_log_softmax_backward,
    losses.hinge_forward,
    reductions.sum_forward,
    reductions.sum_backward,
    reductions.extreme_forward,
    reductions.logsumexp_forward,
    softmax.softmax_forward,
    softmax.softmax_backward,
    softmax.log_softmax_forward,
    softmax.sparsemax_forward,
    list_reductions.esum_forward,
    list_reductions.emax_forward,
    list_reductions.logsumexp_backward,
]


@pytest.mark.parametrize("phase", VECTORISED, ids=lambda phase: phase.__name__)
def test_loop_works_on_vectors(phase: Any) -> None:
    compiled = numba.cfunc(KERNEL, error_model="numpy", fastmath=set(KERNEL_FASTMATH))(phase)
    assert re.search(r"= (fadd|fmul|fsub|fcmp|(tail )?call)[^\n]*<\d+ x float>", compiled.inspect_llvm())


@pytest.mark.parametrize("module", [activations, list_reductions, losses, products, reductions, softmax])
def test_every_phase_of_a_module_is_registered(module: Any) -> None:
    phases = [f for name, f in vars(module).items() if name.endswith(("_forward", "_backward"))]
    kernels = [kernel_table.kernel_of(operation) for operation in operations.values()]
    used = {phase for made in kernels if made for phase in (made.forward, made.backward)}
    assert phases
    assert {f for f in phases if f.__module__ == module.__name__} <= used
