"""Kernels that move elements, select them or draw random numbers, against the NumPy reference in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import weft_core as weft
from weft_core.graph import ComputationGraph, reset_random_seed
from weft_core.numpy_backend import NumpyBackend
from weft_core.ops.selection import select
from weft_core.shape import shape_of
from weft_core.signature import ALIAS, signatures
from weft_numba.backend import NumbaBackend
from weft_numba.moves import piece, places, table

Dims = tuple[int, ...]
ShapeOf = tuple[Dims, int]


@dataclass
class Case:
    """An operation, called with the number of the instruction (for indices that differ) and its operands."""

    operation: str
    shapes: tuple[ShapeOf, ...]
    function: Callable[..., Any]


def batches(operation: str, dims: Dims, function: Callable[..., Any]) -> list[Case]:
    """An operation of one operand, without and with a batch."""
    return [Case(operation, ((dims, 1),), function), Case(operation, ((dims, 3),), function)]


def to_batch(n: int, *xs: Any) -> Any:
    return weft.concatenate_to_batch([*xs, xs[0]])


VECTOR_AND_BATCH = (((4,), 1), ((3,), 5))
MATRICES = (((3, 2), 1), ((3, 4), 1), ((3,), 1))

CASES = [
    *batches("reshape", (4, 3), lambda n, x: weft.reshape(x, (2, 6))),
    Case("reshape", (((4,), 6),), lambda n, x: weft.reshape(x, (8,), 3)),
    *batches("transpose", (4, 3), lambda n, x: weft.transpose(x)),
    *batches("transpose", (5,), lambda n, x: weft.transpose(x)),
    *batches("transpose", (2, 3, 4), lambda n, x: weft.transpose(x, (2, 0, 1))),
    *batches("transpose", (9, 2, 3), lambda n, x: weft.transpose(x, (0, 2, 1))),
    *batches("transpose", (2, 3), lambda n, x: weft.transpose(x, (1, 2, 0))),
    Case("concatenate", (((4,), 1), ((3,), 1)), lambda n, *xs: weft.concatenate(list(xs))),
    Case("concatenate", (((4,), 5), ((3,), 5)), lambda n, *xs: weft.concatenate(list(xs))),
    Case("concatenate", VECTOR_AND_BATCH, lambda n, *xs: weft.concatenate(list(xs))),
    Case("concatenate", VECTOR_AND_BATCH, lambda n, x, y: weft.concatenate([x, y, x])),
    Case("concatenate", (((2, 3), 1), ((5, 3), 1)), lambda n, *xs: weft.concatenate(list(xs))),
    Case("concatenate", (((2, 1, 2), 2), ((2, 3, 2), 1)), lambda n, *xs: weft.concatenate(list(xs), 1)),
    Case("concatenate", (((2, 3), 2), ((2, 3), 1)), lambda n, *xs: weft.concatenate(list(xs), 2)),
    Case("concatenate", MATRICES, lambda n, *xs: weft.concatenate_cols(list(xs))),
    Case("concatenate_to_batch", (((3, 2), 1), ((3, 2), 4)), to_batch),
    Case("concatenate_to_batch", (((3,), 1), ((3,), 1)), to_batch),
    *batches("pick", (6,), lambda n, x: weft.pick(x, n)),
    *batches("pick", (5, 3), lambda n, x: weft.pick(x, n)),
    *batches("pick", (3, 5), lambda n, x: weft.pick(x, n, 1)),
    *batches("pick", (3, 5, 2), lambda n, x: weft.pick(x, n, 1)),
    Case("pick", (((6,), 3),), lambda n, x: weft.pick_batch(x, (n, 5, n))),
    Case("pick", (((6,), 1),), lambda n, x: weft.pick_batch(x, (n, 5, n))),
    Case("pick", (((3, 5, 2), 2),), lambda n, x: weft.pick_batch(x, (n, 4), 1)),
    *batches("pick_range", (8,), lambda n, x: weft.pick_range(x, n, n + 3)),
    *batches("pick_range", (8, 3), lambda n, x: weft.pick_range(x, n, n + 3)),
    *batches("pick_range", (3, 8, 2), lambda n, x: weft.pick_range(x, n, n + 3, 1)),
    *batches("select", (6, 10), lambda n, x: weft.select_rows(x, (n, 5, n))),
    *batches("select", (3, 6), lambda n, x: weft.select_cols(x, (n, 5, n))),
    *batches("select", (2, 6, 3), lambda n, x: select(x, (5, n, 0, n), 1)),
    Case("pick_batch_elems", (((2, 3), 5),), lambda n, x: weft.pick_batch_elems(x, (n, 4, n))),
    Case("pick_batch_elems", (((4,), 1),), lambda n, x: weft.pick_batch_elems(x, (0, 0))),
    Case("pick_batch_elems", (((4,), 5),), lambda n, x: weft.pick_batch_elem(x, n)),
    *batches("strided_select", (7, 5), lambda n, x: weft.strided_select(x, (2, 3), (1, 0), (6, 5))),
    *batches("strided_select", (4, 3, 5), lambda n, x: weft.strided_select(x, (1, 2, 2))),
    *batches("dropout", (13,), lambda n, x: weft.dropout(x, 0.4)),
    *batches("dropout", (5, 4), lambda n, x: weft.dropout(x, 0.75)),
    *batches("shared_dropout", (4, 7), lambda n, x: weft.dropout_dim(x, 0, 0.5)),
    *batches("shared_dropout", (3, 4, 5), lambda n, x: weft.dropout_dim(x, 1, 0.5)),
    Case("shared_dropout", (((3, 2), 9),), lambda n, x: weft.dropout_batch(x, 0.5)),
    *batches("shared_dropout", (3, 2), lambda n, x: weft.block_dropout(x, 0.5)),
    *batches("noise", (5, 3), lambda n, x: weft.noise(x, 0.7)),
    *batches("nobackprop", (5,), lambda n, x: weft.nobackprop(x)),
    *batches("flip_gradient", (5,), lambda n, x: weft.flip_gradient(x)),
    *batches("scale_gradient", (5,), lambda n, x: weft.scale_gradient(x, 0.3)),
    Case("random_normal", (), lambda n: weft.random_normal((3, 5), 1.5, 0.5, 2)),
    Case("random_uniform", (), lambda n: weft.random_uniform(9, -2.0, 3.0)),
    Case("random_bernoulli", (), lambda n: weft.random_bernoulli((7, 2), 0.3, 2.5, 3)),
    Case("random_gumbel", (), lambda n: weft.random_gumbel((11,), 0.5, 2.0)),
]
INSTRUCTIONS = 4


def evaluate(case: Case, backend: Any, autobatch: bool) -> list[np.ndarray]:
    """Values and all gradients of a graph with instructions of own, of shared and of parameter operands."""
    reset_random_seed(11)
    numbers = np.random.default_rng(3)
    model = weft.ParameterCollection()
    parameters = [
        model.parameters_from_numpy(numbers.standard_normal(dims).astype(np.float32)) for dims, _ in case.shapes
    ]
    with ComputationGraph(autobatch, backend):
        operands = []
        for _ in range(INSTRUCTIONS):
            made = []
            for dims, batch in case.shapes:
                values = numbers.standard_normal((*dims, batch))
                made.append(weft.inputTensor(values, batched=True))
            operands.append(made)
        results = [case.function(n, *xs) for n, xs in enumerate(operands)]
        # Operands of several instructions: their gradients add up.
        results += [case.function(n, *operands[0]) for n in range(1, INSTRUCTIONS)]
        for k, (_, batch) in enumerate(case.shapes):
            if batch == 1:
                for n in range(2):
                    results.append(case.function(n, *operands[n][:k], parameters[k], *operands[n][k + 1 :]))
        losses = []
        for y in results:
            dims, batch = y.dim()
            weights = weft.inputTensor(numbers.standard_normal((*dims, batch)), batched=True)
            losses.append(weft.sum_batches(weft.sum_elems(weft.cmult(y, weights))))
        loss = weft.esum(losses)
        loss.backward(full=True)
        found = [y.npvalue() for y in results] + [x.gradient() for xs in operands for x in xs]
    return found + [p.grad_as_array() for p in parameters]


@pytest.mark.parametrize("autobatch", [True, False], ids=["autobatch", "one-by-one"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.operation}-{case.shapes}")
def test_values_and_gradients_are_those_of_the_reference(case: Case, autobatch: bool) -> None:
    expected = evaluate(case, NumpyBackend("float64"), autobatch)
    found = evaluate(case, NumbaBackend(), autobatch)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=2e-6)
    assert any(np.any(b != 0) for b in expected)


@pytest.mark.parametrize("name", sorted({case.operation for case in CASES}))
def test_the_kernel_runs_and_not_the_reference(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference of the operation is forbidden; every signature of it has compiled phases."""
    cases = [case for case in CASES if case.operation == name]
    evaluate(cases[0], NumbaBackend(), True)
    made = [s for s in signatures.all if s.operation.name == name and not s.flags & ALIAS]
    assert made

    def forbidden(*_: Any) -> Any:
        raise AssertionError(f"{name} ran through its reference")

    for kind in {type(s.operation) for s in made}:
        monkeypatch.setattr(kind, "forward", forbidden)
        monkeypatch.setattr(kind, "backward", forbidden)
    for case in cases:
        evaluate(case, NumbaBackend(), True)


RANDOM = [case for case in CASES if case.operation in ("dropout", "shared_dropout")]


@pytest.mark.parametrize("case", RANDOM, ids=lambda case: f"{case.operation}-{case.shapes}")
def test_masks_are_bit_equal_and_the_gradient_has_the_same(case: Case) -> None:
    def masks(backend: Any) -> tuple[np.ndarray, np.ndarray]:
        reset_random_seed(2**63 + 5)
        with ComputationGraph(True, backend):
            ((dims, batch),) = case.shapes
            xs = [weft.ones(dims, batch) for _ in range(3)]
            ys = [case.function(0, x) for x in xs]
            weft.esum([weft.sum_batches(weft.sum_elems(y)) for y in ys]).backward(full=True)
            return np.array([y.npvalue() for y in ys]), np.array([x.gradient() for x in xs])

    values, gradients = masks(NumbaBackend())
    expected, _ = masks(NumpyBackend())
    assert np.array_equal(values, gradients)
    assert np.array_equal(values, expected)


def test_recalculation_draws_anew_and_as_the_reference_does() -> None:
    def twice(backend: Any) -> tuple[list[float], list[float]]:
        reset_random_seed(4)
        with ComputationGraph(True, backend):
            y = weft.dropout(weft.ones(40), 0.5)
            return y.vec_value(), y.vec_value(recalculate=True)

    first, second = twice(NumbaBackend())
    assert first != second
    assert (first, second) == twice(NumpyBackend())


def test_random_numbers_are_those_of_the_reference_in_float32() -> None:
    def numbers(backend: Any) -> list[list[float]]:
        reset_random_seed(9)
        with ComputationGraph(True, backend):
            cases = [case for case in CASES if case.operation.startswith("random_")]
            return [case.function(0).vec_value() for case in cases]

    assert numbers(NumbaBackend())[1:3] == numbers(NumpyBackend())[1:3]


def test_a_look_up_table_as_a_whole_gets_a_gradient() -> None:
    def gradient(backend: Any) -> np.ndarray:
        model = weft.ParameterCollection()
        rows = np.arange(12, dtype=np.float32).reshape(4, 3)
        lookup = model.lookup_parameters_from_numpy(rows)
        with ComputationGraph(True, backend):
            y = weft.sum_elems(weft.select_cols(lookup.expr(), (1, 3, 1)))
            assert y.scalar_value() == rows[[1, 3, 1]].sum()
            y.backward()
        return lookup.grad_as_array()

    assert gradient(NumbaBackend()).tolist() == [[0] * 3, [2] * 3, [0] * 3, [1] * 3]
    assert np.array_equal(gradient(NumbaBackend()), gradient(NumpyBackend()))


def test_tables_are_short_where_memory_runs_on() -> None:
    """Two vectors side by side are two runs, and a batch of matrices in the same order is one."""
    vector, both, matrices = shape_of((4,)), shape_of((8,)), shape_of((5, 6), 7)
    halves = np.split(places(both), 2)
    pieces = [piece(k, half, places(vector)) for k, half in enumerate(halves)]
    assert table(pieces) == [2, 1, -1, 0, 4, 1, 1, 1, 0, 0, 2, -1, 0, 4, 1, 1, 1, 4, 0]
    assert piece(0, places(matrices), places(matrices)) == [1, -1, 0, 210, 1, 1, 1, 0, 0]
