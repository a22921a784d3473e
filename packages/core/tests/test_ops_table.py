"""One table of operations, and what must hold for every row: gradient, batching, autobatching, parameters.

A row gives a function of expressions and the dims of its operands. Values are multiples of
1/128 and steps powers of two, so that float32 staging rounds nothing: central differences in float64 have
only their truncation error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from weft_core.collection import ParameterCollection
from weft_core.expression import Expression
from weft_core.graph import ComputationGraph
from weft_core.numpy_backend import NumpyBackend
from weft_core.ops import activations as act
from weft_core.ops import arithmetic as ari
from weft_core.ops import gradient_control as con
from weft_core.ops import indexing as ind
from weft_core.ops import list_reductions as lis
from weft_core.ops import losses as los
from weft_core.ops import noise as noi
from weft_core.ops import products as pro
from weft_core.ops import reductions as red
from weft_core.ops import selection as sel
from weft_core.ops import softmax as sof
from weft_core.ops import structure as struc
from weft_core.ops.inputs import InputExpression, inputTensor

Floats = NDArray[np.float64]
Dims = tuple[int, ...]
STEP = 2.0**-10


@dataclass(frozen=True)
class Row:
    """`f(*operands)`; values of operands lie between `low` and `high`; `batches` says how it may be batched.

    `batches`: "each" (each example alone gives the same), "mixes" (examples meet), "none" (batch 1 only).
    """

    name: str
    f: Callable[..., Expression]
    dims: tuple[Dims, ...]
    low: float = -2.0
    high: float = 2.0
    batches: str = "each"


def row(name: str, f: Callable[..., Expression], *dims: Dims, **options: object) -> Row:
    return Row(name, f, dims, **options)  # type: ignore[arg-type]


def many(f: Callable[[list[Expression]], Expression]) -> Callable[..., Expression]:
    return lambda *xs: f(list(xs))


UNARY = [
    row(name, getattr(act, name), (3, 2), low=low, high=high)
    for names, low, high in (
        ("square cube exp abs tanh logistic rectify softsign erf log_sigmoid elu selu silu", -2, 2),
        ("sin cos atan sinh cosh asinh", -2, 2),
        ("sqrt log lgamma", 0.5, 3),
        ("tan asin acos atanh", -0.75, 0.75),
        ("acosh", 1.5, 3),
    )
    for name in names.split()
]

ACTIVATIONS = [
    *UNARY,
    row("elu_alpha", lambda x: act.elu(x, 0.5), (4,)),
    row("silu_beta", lambda x: act.silu(x, 1.75), (4,)),
    row("flip_flip", lambda x: con.flip_gradient(con.flip_gradient(x)), (3,)),
    row("scale_gradient", lambda x: con.scale_gradient(act.square(x), 1.0), (3,)),
    row("cmult_columns", ari.cmult, (3, 2), (3,)),
    row("add_number", lambda x: 2.0 + x - 1.5, (3, 2)),
    row("power", ari.power, (3, 2), (1,), low=0.5),
    row("matrix", pro.multiply, (3, 2), (2, 4)),
]

STRUCTURE = [
    row("reshape", lambda x: struc.reshape(x, (2, 3)), (3, 2)),
    row("reshape_to_batch", lambda x: struc.reshape(x, (2,), 3), (6,), batches="none"),
    row("reshape_from_batch", lambda x: struc.reshape(x, (x.shape.total,)), (3, 2), batches="mixes"),
    row("transpose", struc.transpose, (3, 2)),
    row("transpose_vector", struc.transpose, (3,)),
    row("transpose_3", lambda x: struc.transpose(x, (2, 0, 1)), (3, 2, 4)),
    row("concatenate", many(struc.concatenate), (3,), (2,), (4,)),
    row("concatenate_same", many(struc.concatenate), (3, 2), (3, 2), (3, 2)),
    row("concatenate_1", many(lambda xs: struc.concatenate(xs, 1)), (3, 2), (3,)),
    row("concatenate_cols", many(struc.concatenate_cols), (3,), (3,)),
    row("concatenate_2", many(lambda xs: struc.concatenate(xs, 2)), (3, 2), (3, 2, 2)),
    row("concatenate_to_batch", many(struc.concatenate_to_batch), (3, 2), (3, 2), batches="mixes"),
]

SELECTION = [
    row("pick", lambda x: sel.pick(x, 2), (4,)),
    row("pick_row", lambda x: sel.pick(x, 1), (3, 2)),
    row("pick_column", lambda x: sel.pick(x, 1, 1), (3, 2)),
    row("pick_middle", lambda x: sel.pick(x, 1, 1), (3, 2, 2)),
    row("pick_batch", lambda x: sel.pick_batch(x, [2, 0, 2]), (4,), batches="mixes"),
    row("pick_batch_column", lambda x: sel.pick_batch(x, [1, 0, 1], 1), (4, 2), batches="mixes"),
    row("pick_range", lambda x: sel.pick_range(x, 1, 3), (4,)),
    row("pick_range_rows", lambda x: sel.pick_range(x, 1, 3), (4, 2)),
    row("pick_range_columns", lambda x: sel.pick_range(x, 1, 3, 1), (2, 4)),
    row("select_rows", lambda x: sel.select_rows(x, [2, 0, 2]), (3, 2)),
    row("select_cols", lambda x: sel.select_cols(x, [1, 1, 0]), (3, 2)),
    row("pick_batch_elem", lambda x: sel.pick_batch_elem(x, x.shape.batch - 1), (3, 2), batches="mixes"),
    row(
        "pick_batch_elems",
        lambda x: sel.pick_batch_elems(x, [x.shape.batch - 1, 0, 0]),
        (3,),
        batches="mixes",
    ),
    row("strided_select", lambda x: ind.strided_select(x, [2, 1], [1, 0], [5, 2]), (5, 3)),
    row("strided_batch", lambda x: ind.strided_select(x, [2, 1, 2], [1]), (5, 3), batches="mixes"),
    row("item", lambda x: x[-1], (4, 2)),
    row("slice", lambda x: x[1:-1], (5,)),
    row("slice_all", lambda x: x[:], (5,)),
    row("slice_step", lambda x: x[::2], (5, 2)),
    row("slice_back", lambda x: x[::-1], (5, 2)),
    row("slices", lambda x: x[1:3, -2:], (4, 3)),
    row("slice_and_pick", lambda x: x[1:, 2], (4, 3)),
    row("picks", lambda x: x[1, 2], (4, 3)),
]

REDUCTIONS = [
    row("sum_elems", red.sum_elems, (3, 2)),
    row("sum_batches", red.sum_batches, (3, 2), batches="mixes"),
    row("sum_dim_0", lambda x: red.sum_dim(x, [0]), (3, 2)),
    row("sum_dim_1", lambda x: red.sum_dim(x, [1]), (3, 2, 2)),
    row("sum_dim_both", lambda x: red.sum_dim(x, [2, 0]), (3, 2, 2)),
    row("sum_dim_batch", lambda x: red.sum_dim(x, [1], b=True), (3, 2), batches="mixes"),
    row("cumsum", red.cumsum, (4, 2)),
    row("cumsum_1", lambda x: red.cumsum(x, 1), (4, 3)),
    row("mean_elems", red.mean_elems, (3, 2)),
    row("mean_batches", red.mean_batches, (3,), batches="mixes"),
    row("mean_dim", lambda x: red.mean_dim(x, [1], False), (3, 4)),
    row("mean_dim_n", lambda x: red.mean_dim(x, [1], True, 5), (3, 4), batches="mixes"),
    row("moment_elems", lambda x: red.moment_elems(x, 3), (3, 2)),
    row("moment_batches", lambda x: red.moment_batches(x, 2), (3,), batches="mixes"),
    row("moment_dim", lambda x: red.moment_dim(x, [0], 3, False), (3, 2)),
    row("std_elems", red.std_elems, (3, 2)),
    row(
        "std_batches",
        lambda x: red.std_batches(struc.concatenate_to_batch([x, act.cube(x)])),
        (3,),
        batches="mixes",
    ),
    row("std_dim", lambda x: red.std_dim(x, [0], False), (3, 2, 2)),
    row("std_dim_batch", lambda x: red.std_dim(x, [1], True), (3, 4), batches="mixes"),
    row("max_dim", red.max_dim, (4, 2)),
    row("max_dim_1", lambda x: red.max_dim(x, 1), (2, 4, 2)),
    row("min_dim", red.min_dim, (4,)),
    row("logsumexp_dim", red.logsumexp_dim, (4, 2)),
    row("logsumexp_dim_1", lambda x: red.logsumexp_dim(x, 1), (4, 3)),
    row("esum", many(lis.esum), (3, 2), (3, 2), (3, 2)),
    row("esum_trailing", many(lis.esum), (3,), (3, 1)),
    row("average", many(lis.average), (3,), (3,), (3,)),
    row("emax", many(lis.emax), (3,), (3,), (3,)),
    row("logsumexp", many(lis.logsumexp), (3,), (3,), (3,)),
]

SOFTMAX = [
    row("softmax", sof.softmax, (4, 2)),
    row("softmax_1", lambda x: sof.softmax(x, 1), (2, 4)),
    row("log_softmax", sof.log_softmax, (4, 2)),
    row("restricted", lambda x: sel.select_rows(sof.log_softmax(x, [3, 1]), [1, 3]), (5,)),
    row("sparsemax", sof.sparsemax, (5,)),
    row("constrained", lambda x, y: sof.constrained_softmax(4.0 * x, y), (4,), (4,), low=0.26, high=0.9),
]

LOSSES = [
    row("pickneglogsoftmax", lambda x: los.pickneglogsoftmax(x, 2), (4,), batches="none"),
    row(
        "pickneglogsoftmax_batch",
        lambda x: los.pickneglogsoftmax_batch(x, [2, 0, 3][: x.shape.batch]),
        (4,),
        batches="mixes",
    ),
    row("hinge", lambda x: los.hinge(x, 1, 0.75), (4,), batches="none"),
    row("hinge_batch", lambda x: los.hinge_batch(x, [2, 0, 3][: x.shape.batch]), (4,), batches="mixes"),
    row("hinge_dim", lambda x: los.hinge_dim(x, [2, 0, 1], 0, 0.75), (4, 3)),
    row("hinge_dim_1", lambda x: los.hinge_dim(x, [2, 0, 1, 1], 1, 0.75), (4, 3)),
    row("binary_log_loss", los.binary_log_loss, (3, 2), (3, 2), low=0.25, high=0.85),
    row("squared_distance", los.squared_distance, (3, 2), (3, 2)),
    row("l1_distance", los.l1_distance, (3,), (3, 1)),
    row("huber_distance", los.huber_distance, (4,), (4,)),
    row("huber_distance_c", lambda x, y: los.huber_distance(x, y, 0.25), (4,), (4,)),
    row("dot_product", los.dot_product, (3, 2), (3, 2)),
    row("squared_norm", los.squared_norm, (3, 2)),
    row("l2_norm", los.l2_norm, (3, 2)),
    row("pairwise_rank_loss", los.pairwise_rank_loss, (1, 4), (1, 4)),
    row("poisson_loss", lambda x: los.poisson_loss(x, 3), (1,)),
]

ROWS = [*ACTIVATIONS, *STRUCTURE, *SELECTION, *REDUCTIONS, *SOFTMAX, *LOSSES]
BATCHABLE = [r for r in ROWS if r.batches != "none"]
EACH = [r for r in ROWS if r.batches == "each"]

backend = NumpyBackend("float64")
named = pytest.mark.parametrize


def name_of(r: Row) -> str:
    return r.name


def batch_sizes(r: Row) -> Iterator[tuple[int, ...]]:
    """Batch sizes of the operands to try: all 1, all 3, only the first, all but the first."""
    yield (1,) * len(r.dims)
    if r.batches != "none":
        yield (3,) * len(r.dims)
        if len(r.dims) > 1:
            yield (3,) + (1,) * (len(r.dims) - 1)
            yield (1,) + (3,) * (len(r.dims) - 1)


CASES = [pytest.param(r, b, id=f"{r.name}-{'x'.join(map(str, b))}") for r in ROWS for b in batch_sizes(r)]


def values_for(r: Row, batches: tuple[int, ...], seed: int = 0) -> list[Floats]:
    """Operand values, distinct multiples of 1/64 shifted by 1/128: no ties, no kinks within a step."""
    rng = np.random.default_rng([seed, *r.name.encode()])
    first, last = int(np.ceil(r.low * 64)), int(np.floor(r.high * 64))
    shapes = [(*dims, b) for dims, b in zip(r.dims, batches, strict=True)]
    total = sum(int(np.prod(s)) for s in shapes)
    numbers = (rng.choice(np.arange(first, last), total, replace=False) + 0.5) / 64
    ends = np.cumsum([int(np.prod(s)) for s in shapes])[:-1]
    return [part.reshape(s) for part, s in zip(np.split(numbers, ends), shapes, strict=True)]


def projected(y: Expression, seed: int = 1) -> Expression:
    """A scalar: the elements of y with random weights."""
    rng = np.random.default_rng(seed)
    weights = rng.choice([-1.5, -1.0, -0.5, 0.5, 1.0, 2.0], (*y.shape.dims, y.shape.batch))
    return red.sum_batches(red.sum_elems(ari.cmult(y, inputTensor(weights, batched=True))))


def column_major(x: Floats) -> list[float]:
    return x.ravel(order="F").tolist()  # type: ignore[no-any-return]


def with_batch(array: Floats, batch: int) -> Floats:
    """An array of `npvalue()` or `gradient()` with the batch as last axis, also when it is 1."""
    return array[..., None] if batch == 1 else array


@named("r, batches", CASES)
def test_gradient_is_that_of_central_differences(r: Row, batches: tuple[int, ...]) -> None:
    values = values_for(r, batches)
    with ComputationGraph(backend=backend):
        inputs: list[InputExpression] = [inputTensor(v, batched=True) for v in values]
        loss = projected(r.f(*inputs))
        loss.backward(full=True)
        gradients = [with_batch(x.gradient(), b) for x, b in zip(inputs, batches, strict=True)]
        rng = np.random.default_rng(2)
        for k, x in enumerate(inputs):
            for _ in range(3):
                direction = rng.choice([-1.0, 0.0, 1.0], values[k].shape)
                direction.flat[rng.integers(direction.size)] = 1.0
                ends = []
                for sign in (1, -1):
                    x.set(column_major(values[k] + sign * STEP * direction))
                    ends.append(loss.scalar_value())
                x.set(column_major(values[k]))
                slope = (ends[0] - ends[1]) / (2 * STEP)
                assert float((gradients[k] * direction).sum()) == pytest.approx(slope, rel=2e-5, abs=5e-5)


@named("r", EACH, ids=name_of)
def test_a_batch_is_its_examples_one_by_one(r: Row) -> None:
    values = values_for(r, (3,) * len(r.dims))
    with ComputationGraph(backend=backend):
        inputs = [inputTensor(v, batched=True) for v in values]
        together = r.f(*inputs)
        assert together.shape.batch == 3
        singles = [r.f(*[inputTensor(v[..., b]) for v in values]) for b in range(3)]
        whole = together.npvalue()
        for b, single in enumerate(singles):
            assert single.shape.dims == together.shape.dims
            np.testing.assert_allclose(whole[..., b], single.npvalue(), rtol=1e-12, atol=1e-12)


@named("r", ROWS, ids=name_of)
@named("batch", [1, 3])
def test_autobatching_changes_nothing(r: Row, batch: int) -> None:
    if batch > 1 and r.batches == "none":
        batch = 1
    found = []
    for autobatch in (True, False):
        with ComputationGraph(autobatch=autobatch, backend=backend):
            rows = [[inputTensor(v, batched=True) for v in values_for(r, (batch,) * len(r.dims), s)] for s in range(4)]
            results = [r.f(*xs) for xs in rows]
            chained = lis.esum([projected(y) for y in results])
            chained.backward(full=True)
            found.append([y.npvalue() for y in results] + [x.gradient() for xs in rows for x in xs])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@named("r", ROWS, ids=name_of)
def test_parameters_as_operands(r: Row) -> None:
    """A parameter is not in the arenas: what shares memory with an input is copied from a parameter."""
    values = [v[..., 0] for v in values_for(r, (1,) * len(r.dims))]
    with ComputationGraph(backend=backend):
        inputs = [inputTensor(v) for v in values]
        expected = r.f(*inputs)
        projected(expected).backward(full=True)
        wanted = [x.gradient() for x in inputs]
        model = ParameterCollection()
        parameters = [model.parameters_from_numpy(v) for v in values]
        result = r.f(*parameters)
        np.testing.assert_allclose(result.npvalue(), expected.npvalue(), rtol=1e-12, atol=1e-12)
        lis.esum([projected(result), projected(r.f(*parameters))]).backward()
        for p, gradient in zip(parameters, wanted, strict=True):
            np.testing.assert_allclose(p.grad_as_array(), 2 * gradient, rtol=2e-5, atol=2e-5)


def test_the_table_names_every_row_once() -> None:
    names = [r.name for r in ROWS]
    assert len(set(names)) == len(names)
    assert noi.dropout and len(names) > 100
