"""Products of computed matrices: on both sides of every tile, of shared and unaligned operands, and contractions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import weft_core as w
from weft_core import ComputationGraph, Expression, ParameterCollection
from weft_core.numpy_backend import NumpyBackend
from weft_core.signature import signatures
from weft_triton.backend import TritonBackend
from weft_triton.lowering import lower
from weft_triton.opcodes import name_of
from weft_triton.options import Options

Floats = NDArray[np.float64]
Outcome = list[Floats]
BACKENDS: tuple[Any, Any] = (TritonBackend(), NumpyBackend("float64"))


def spread(seed: int, *dims: int) -> Floats:
    """Distinct numbers between -1 and 1."""
    n = int(np.prod(dims))
    return (np.random.default_rng(seed).permutation(n).reshape(dims) - n / 2 + 0.75) * (2 / n)


def weighted(y: Expression, seed: int) -> Expression:
    """A sum in which every number counts differently."""
    dims, batch = y.dim()
    return w.sum_batches(w.sum_elems(w.cmult(y, w.inputTensor(spread(seed, *dims, batch), batched=True))))


def run(backend: Any, build: Callable[[], tuple[list[Expression], list[Expression]]]) -> tuple[Outcome, dict[str, int]]:
    """Results and gradients of operands, and what the execution counted; `build` returns results and operands."""
    with ComputationGraph(backend=backend) as graph:
        results, operands = build()
        w.esum([weighted(y, seed) for seed, y in enumerate(results)]).backward(full=True)
        found = [np.array(y.npvalue(), np.float64) for y in results]
        found += [np.array(x.gradient(), np.float64) for x in operands]
        return found, graph.execution.counts()


def close(found: Outcome, wanted: Outcome) -> None:
    """Equal up to rounding of the largest number."""
    assert len(found) == len(wanted)
    for n, (a, b) in enumerate(zip(found, wanted)):
        largest = np.abs(b).max()
        assert largest > 1e-3, n
        np.testing.assert_allclose(a, b.reshape(a.shape), rtol=0, atol=3e-6 * largest, err_msg=str(n))


def compare(build: Callable[[], tuple[list[Expression], list[Expression]]]) -> dict[str, int]:
    """Both backends agree, and nothing ran on the host."""
    (found, counts), (wanted, _) = (run(backend, build) for backend in BACKENDS)
    assert counts["host_steps"] == 0
    close(found, wanted)
    return counts


def inputs(seed: int, *dims: int) -> Expression:
    """An input whose last axis are examples."""
    return w.inputTensor(spread(seed, *dims), batched=True)


# Rows, inner size and columns; examples of both operands. Sums of few, some and many terms, then tiles, narrow first.
SIZES = [
    ((3, 4, 5), (3, 1)), ((1, 1500, 1), (2, 2)), ((2, 1030, 3), (1, 1)), ((1100, 2, 3), (1, 2)), ((7, 65, 10), (1, 3)),
    ((65, 7, 10), (3, 1)), ((40, 1, 30), (2, 2)), ((8, 8, 1), (3, 3)), ((33, 40, 1), (1, 1)), ((70, 33, 3), (1, 3)),
    ((64, 36, 16), (2, 2)), ((65, 20, 15), (3, 1)), ((40, 36, 17), (1, 1)), ((33, 35, 70), (2, 2)),
    ((72, 68, 66), (1, 1)), ((36, 40, 7), (1, 3)), ((36, 9, 30), (1, 3)), ((36, 40, 18), (3, 1)),
]  # fmt: skip


@pytest.mark.parametrize(("sizes", "batches"), SIZES, ids=str)
def test_sizes_around_tiles(sizes: tuple[int, int, int], batches: tuple[int, int]) -> None:
    rows, inner, columns = sizes

    def build() -> tuple[list[Expression], list[Expression]]:
        xs = [inputs(n, rows, inner, batches[0]) for n in range(2)]
        ys = [inputs(n + 2, inner, columns, batches[1]) for n in range(2)]
        return [x * y for x, y in zip(xs, ys)], [*xs, *ys]

    compare(build)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("columns", [1, 5])
def test_one_left_matrix_of_many_instructions(columns: int, together: bool) -> None:
    """Runs of instructions share a matrix, or neighbours do not."""

    def build() -> tuple[list[Expression], list[Expression]]:
        left = [inputs(n, 36, 20, 1) for n in range(3)]
        right = [inputs(n + 3, 20, columns, 1) for n in range(40)]
        return [left[n // 25 if together else n % 3] * y for n, y in enumerate(right)], left[
            : 2 + (not together)
        ] + right

    compare(build)


def test_a_row_of_examples_shares_its_left_matrix_with_other_instructions() -> None:
    def build() -> tuple[list[Expression], list[Expression]]:
        left = inputs(0, 20, 12, 1)
        right = [inputs(n, 12, 1, 4) for n in range(1, 11)]
        return [left * y for y in right], [left, *right]

    compare(build)


@pytest.mark.parametrize(("batches", "shared"), [((3, 3), False), ((1, 3), False), ((3, 1), True)])
def test_tiles_of_several_examples_add_to_one_matrix_atomically(batches: tuple[int, int], shared: bool) -> None:
    with ComputationGraph(backend=BACKENDS[1]) as graph:
        signature = signatures[graph.code[(inputs(0, 36, 20, batches[0]) * inputs(1, 20, 9, batches[1])).index]]
    works = lower(signature, [False] * 3, [True] * 3, [True] * 3, Options())
    assert works is not None
    found = {ref.view: ref.shared for work in works for ref in work.views if ref.gradient and ref.view}
    assert found == {1: False, 2: shared}


def test_an_instruction_whose_operands_are_one_value() -> None:
    def build() -> tuple[list[Expression], list[Expression]]:
        xs = [inputs(n, 36, 36, 2) for n in range(2)]
        return [x * x for x in xs], xs

    compare(build)


def test_products_in_the_kernel_for_large_ones() -> None:
    def build() -> tuple[list[Expression], list[Expression]]:
        x, y = inputs(0, 132, 256, 1), inputs(1, 256, 130, 1)
        return [x * y], [x, y]

    # Both gradients are on one level.
    assert compare(build)["large_launches"] == 2


def test_unaligned_products_in_the_kernel_for_large_ones() -> None:
    def build() -> tuple[list[Expression], list[Expression]]:
        x, y = inputs(0, 131, 257, 1), inputs(1, 257, 130, 1)
        return [x * y], [x, y]

    assert compare(build)["large_launches"] == 2


@pytest.mark.parametrize("in_cell", [False, True])
@pytest.mark.parametrize("begin", [0, 1])
def test_four_floats_at_a_time_only_where_all_rows_allow_it(begin: int, in_cell: bool) -> None:
    """Sizes are multiples of four; a part of a vector may begin anywhere, by its rows or, in a cell, a shift."""

    def multiply(x: Expression, y: Expression) -> Expression:
        return x * w.pick_range(y, 4 + begin, 36 + begin)

    function = w.cell(multiply) if in_cell else multiply

    def build() -> tuple[list[Expression], list[Expression]]:
        wide = [inputs(n, 40, 1) for n in range(3)]
        left = [inputs(n + 3, 36, 32, 1) for n in range(3)]
        return [function(x, y) for x, y in zip(left, wide)], [*left, *wide]

    compare(build)
    with ComputationGraph(backend=BACKENDS[0]) as graph:
        w.esum([weighted(y, 0) for y in build()[0]]).backward(full=True)
        found = [name_of(n) for n in np.frombuffer(graph.execution.coder.opcode_key, np.int64).tolist()]
    assert {name.rsplit("_", 1)[1] for name in found if name.startswith("product_")} == {str(int(begin == 0))}


@pytest.mark.parametrize("sizes", [(33, 36, 5), (36, 33, 5)], ids=str)
def test_one_instruction_begins_on_16_bytes_whatever_its_sizes(sizes: tuple[int, int, int]) -> None:
    def build() -> tuple[list[Expression], list[Expression]]:
        x, y = inputs(0, *sizes[:2], 1), inputs(1, *sizes[1:], 1)
        return [x * y], [x, y]

    compare(build)


@pytest.mark.parametrize("dims", [(2, 3, 4), (5, 9, 40)], ids=str)
@pytest.mark.parametrize("batches", [(2, 2), (1, 3), (3, 1)], ids=str)
def test_contractions(dims: tuple[int, int, int], batches: tuple[int, int]) -> None:
    def build() -> tuple[list[Expression], list[Expression]]:
        xs = [inputs(n, *dims, batches[0]) for n in range(2)]
        ys = [inputs(n + 2, dims[2], batches[1]) for n in range(2)]
        return [w.contract3d_1d(x, y) for x, y in zip(xs, ys)], [*xs, *ys]

    compare(build)


def parameter_gradients(
    backend: Any, build: Callable[[Sequence[Any]], list[Expression]], *dims: Sequence[int]
) -> Outcome:
    """Gradients of parameters of these dims."""
    model = ParameterCollection()
    parameters = [model.parameters_from_numpy(spread(50 + n, *d)) for n, d in enumerate(dims)]
    with ComputationGraph(backend=backend):
        w.esum([weighted(y, seed) for seed, y in enumerate(build(parameters))]).backward()
    return [np.array(p.grad_as_array(), np.float64) for p in parameters]


def test_a_parameter_on_the_left_of_many_instructions() -> None:
    """One product for up to 64 columns; those of all rows add up in its gradient."""

    def build(parameters: Sequence[Any]) -> list[Expression]:
        return [w.contract3d_1d(parameters[0], inputs(n, 12, 1)) for n in range(270)]

    close(*(parameter_gradients(backend, build, (5, 7, 12)) for backend in BACKENDS))


def test_parameters_on_both_sides() -> None:
    def build(parameters: Sequence[Any]) -> list[Expression]:
        left, right = parameters
        return [left * right + inputs(n, 33, 10, 1) * 0.5 for n in range(3)] + [inputs(9, 40, 33, 2) * left]

    close(*(parameter_gradients(backend, build, (33, 40), (40, 10)) for backend in BACKENDS))
