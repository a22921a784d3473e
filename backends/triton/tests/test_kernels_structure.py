"""Kernels that move, select and pool, at sizes that take several tiles and chunks, against the reference in float64."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import weft_core as weft
from weft_core.graph import ComputationGraph
from weft_core.numpy_backend import NumpyBackend
from weft_core.ops.selection import select
from weft_core.signature import signatures
from weft_triton.backend import TritonBackend
from weft_triton.lowering import lower
from weft_triton.moves import joined
from weft_triton.opcodes import name_of
from weft_triton.options import Options

Dims = tuple[int, ...]


@dataclass
class Case:
    """An operation, called with the number of the instruction (for indices that differ) and its operands."""

    operation: str
    shapes: tuple[tuple[Dims, int], ...]
    function: Callable[..., Any]


def one(operation: str, dims: Dims, batch: int, function: Callable[..., Any]) -> Case:
    return Case(operation, ((dims, batch),), function)


CASES = [
    one("reshape", (30, 20), 1, lambda n, x: weft.reshape(x, (600,))),
    one("transpose", (70, 65), 1, lambda n, x: weft.transpose(x)),
    one("transpose", (32, 2, 129), 1, lambda n, x: weft.transpose(x, (2, 1, 0))),
    one("transpose", (3, 200), 2, lambda n, x: weft.transpose(x)),
    one("transpose", (16, 17, 16), 1, lambda n, x: weft.transpose(x, (0, 2, 1))),
    Case("concatenate", (((300,), 1), ((5,), 3)), lambda n, *xs: weft.concatenate(list(xs))),
    Case("concatenate", (((9,), 1), ((3,), 100)), lambda n, *xs: weft.concatenate(list(xs))),
    Case("concatenate", (((2, 3, 40), 2), ((2, 5, 40), 1)), lambda n, *xs: weft.concatenate(list(xs), 1)),
    Case("concatenate", (((3,), 1), ((2,), 1)), lambda n, x, y: weft.concatenate([x, y] * 12)),
    Case("concatenate_to_batch", (((40, 5), 1), ((40, 5), 3)), lambda n, *xs: weft.concatenate_to_batch(list(xs))),
    one("pick", (7, 60, 5), 2, lambda n, x: weft.pick(x, 50 + n, 1)),
    one("pick", (60, 9), 3, lambda n, x: weft.pick_batch(x, (n, 55, n))),
    one("pick", (60, 9), 1, lambda n, x: weft.pick_batch(x, (n, 5, 5 + n, 0, 5))),
    one("pick_range", (60, 12), 2, lambda n, x: weft.pick_range(x, 3 + n, 33 + n)),
    one("pick_range", (11, 8, 9), 2, lambda n, x: weft.pick_range(x, n, n + 5, 1)),
    one("select", (50, 7), 2, lambda n, x: weft.select_rows(x, [n, 49, n, *range(40)])),
    one("select", (11, 8, 9), 2, lambda n, x: select(x, [5, n, 0, n, 7, 5], 1)),
    one("pick_batch_elems", (70, 2), 5, lambda n, x: weft.pick_batch_elems(x, (n, 4, n, n + 2, 0, 4))),
    one("strided_select", (40, 30, 3), 2, lambda n, x: weft.strided_select(x, (2, 3, 2), (1, 0, 0), (36, 30, 3))),
    one("argmax", (2100,), 1, lambda n, x: weft.argmax(x, "straight_through_gradient")),
    one("argmax", (40, 3), 3, lambda n, x: weft.argmax(x, "straight_through_gradient")),
    Case("circ_conv", (((37,), 1), ((37,), 3)), lambda n, *xs: weft.circ_conv(*xs)),
    Case("circ_conv", (((5,), 1), ((5,), 3)), lambda n, *xs: weft.circ_conv(*xs)),
    Case("circ_corr", (((37,), 3), ((37,), 1)), lambda n, *xs: weft.circ_corr(*xs)),
    Case("circ_corr", (((33,), 1), ((33,), 1)), lambda n, *xs: weft.circ_corr(*xs)),
    one("maxpooling2d", (21, 17, 3), 2, lambda n, x: weft.maxpooling2d(x, [3, 2], [2, 2], False)),
    one("maxpooling2d", (20, 18), 2, lambda n, x: weft.maxpooling2d(x, [4, 3], [4, 3])),
    one("maxpooling2d", (22, 18), 1, lambda n, x: weft.maxpooling2d(x, [9, 8], [3, 5], False)),
    one("kmax_pooling", (5, 40, 3), 1, lambda n, x: weft.kmax_pooling(x, 7)),
    one("kmax_pooling", (50, 6), 2, lambda n, x: weft.kmax_pooling(x, 20, 0)),
    one("kmax_pooling", (600, 2), 1, lambda n, x: weft.kmax_pooling(x, 300, 0)),
    one("fold_rows", (120, 5), 2, lambda n, x: weft.fold_rows(x, 40)),
    one("fold_rows", (60, 12), 1, lambda n, x: weft.fold_rows(x, 3)),
    one("kmh_ngram", (4, 30), 2, lambda n, x: weft.kmh_ngram(x, 9)),
]


def halves(numbers: np.random.Generator, *dims: int) -> np.ndarray:
    """Few different numbers, so that many are equal."""
    return numbers.integers(-9, 10, dims) / 2


def evaluate(case: Case, backend: Any, alone: bool) -> list[np.ndarray]:
    """Values and all gradients: of one instruction, or of several with own, with shared and with parameter operands."""
    numbers = np.random.default_rng(3)
    model = weft.ParameterCollection()
    parameters = [model.parameters_from_numpy(halves(numbers, *dims).astype(np.float32)) for dims, _ in case.shapes]
    with ComputationGraph(backend=backend) as graph:
        operands = [
            [weft.inputTensor(halves(numbers, *dims, batch), batched=True) for dims, batch in case.shapes]
            for _ in range(1 if alone else 2)
        ]
        results = [case.function(n, *xs) for n, xs in enumerate(operands)]
        if not alone:
            # The operands of the first instruction once more: their gradients add up.
            results.append(case.function(1, *operands[0]))
        for k, (_, batch) in enumerate(case.shapes):
            if batch == 1 and not alone:
                results += [case.function(n, *xs[:k], parameters[k], *xs[k + 1 :]) for n, xs in enumerate(operands)]
        losses = []
        for y in results:
            dims, batch = y.dim()
            weights = weft.inputTensor(halves(numbers, *dims, batch), batched=True)
            losses.append(weft.sum_batches(weft.sum_elems(weft.cmult(y, weights))))
        weft.esum(losses).backward(full=True)
        found = [y.npvalue() for y in results] + [x.gradient() for xs in operands for x in xs]
        if isinstance(backend, TritonBackend):
            assert graph.execution.counts()["host_steps"] == 0
    return found + [p.grad_as_array() for p in parameters]


@pytest.mark.parametrize("alone", [False, True], ids=["several", "alone"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.operation}-{case.shapes}")
def test_values_and_gradients_are_those_of_the_reference(case: Case, alone: bool) -> None:
    expected = evaluate(case, NumpyBackend("float64"), alone)
    found = evaluate(case, TritonBackend(), alone)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=2e-5)
    assert any(np.any(b != 0) for b in expected)


def kernels(case: Case) -> set[str]:
    """The kernels of one instruction, without what they are specialised on."""
    with ComputationGraph(backend=NumpyBackend()) as graph:
        xs = [weft.inputTensor(np.zeros((*dims, batch)), batched=True) for dims, batch in case.shapes]
        signature = signatures[graph.code[case.function(0, *xs).index]]
    views = len(signature.results) + len(signature.operands)
    works = lower(signature, [False] * views, [True] * views, [True] * views, Options())
    assert works is not None
    return {name_of(work.body.opcode).rstrip("_0123456789") for work in works}


def test_these_sizes_take_every_way() -> None:
    taken: dict[str, set[str]] = {}
    for case in CASES:
        taken.setdefault(case.operation, set()).update(kernels(case))
    moves = {"copy_part", "copy_part_backward"}
    assert taken["transpose"] == moves | {"turn_part", "turn_part_backward"}
    assert taken["concatenate"] == moves | {"copy_to_examples_backward"}
    assert all(taken[name] == moves for name in ("concatenate_to_batch", "pick", "select", "pick_batch_elems"))


def test_axes_that_go_on_where_another_ends_are_one() -> None:
    assert joined([(3, 1, 2), (1, 7, 7), (4, 3, 6), (5, 12, 0), (2, 60, 0)]) == [(12, 1, 2), (10, 12, 0)]
    assert joined([(1, 1), (1, 5)]) == []


SPECIAL = np.array(list(itertools.product([0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf], repeat=2))).T
LARGEST: list[Callable[..., Any]] = [
    lambda x: weft.argmax(x, "straight_through_gradient"),
    lambda x: weft.kmax_pooling(x, 1, 0),
    # The second window is half outside: the border is less than any number, and yet not in x.
    lambda x: weft.maxpooling2d(x, [2, 1], [1, 1], False),
]


def largest(backend: Any) -> list[np.ndarray]:
    with ComputationGraph(backend=backend):
        operands = [weft.inputTensor(SPECIAL) for _ in LARGEST]
        results = [function(x) for function, x in zip(LARGEST, operands, strict=True)]
        weights = [weft.inputTensor(np.arange(1.0, 73.0).reshape(2, 36)[: y.dim()[0][0]]) for y in results]
        losses = [weft.sum_elems(weft.cmult(y, weight)) for y, weight in zip(results, weights, strict=True)]
        weft.esum(losses).backward(full=True)
        return [y.npvalue() for y in results] + [x.gradient() for x in operands]


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_zeros_infinities_and_nan_are_as_large_as_in_the_reference() -> None:
    for a, b in zip(largest(TritonBackend()), largest(NumpyBackend()), strict=True):
        np.testing.assert_array_equal(a, b)
