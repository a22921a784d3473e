"""Values and gradients where they are a decision: ties, modes, limits, indices, memory that is shared."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import ArrayLike

from weft_core.errors import ShapeError
from weft_core.expression import Expression
from weft_core.graph import ComputationGraph
from weft_core.numpy_backend import NumpyBackend
from weft_core.operation import Call
from weft_core.ops import activations as act
from weft_core.ops import arithmetic as ari
from weft_core.ops import gradient_control as con
from weft_core.ops import list_reductions as lis
from weft_core.ops import losses as los
from weft_core.ops import reductions as red
from weft_core.ops import selection as sel
from weft_core.ops import softmax as sof
from weft_core.ops import structure as struc
from weft_core.ops.inputs import InputExpression, inputTensor, inputVector
from weft_core.signature import ALIAS, BLOCKS, signatures

backend = NumpyBackend("float64")
MODES = ["zero_gradient", "straight_through_gradient"]


@pytest.fixture(autouse=True)
def graph() -> Iterator[ComputationGraph]:
    with ComputationGraph(backend=backend) as graph:
        yield graph


def gradient_of(y: Expression, x: Expression) -> np.ndarray:
    """Gradient of the sum of all elements of y."""
    red.sum_batches(red.sum_elems(y)).backward(full=True)
    return x.gradient()


def equal(found: ArrayLike, expected: ArrayLike) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("mode", MODES)
def test_rounding(mode: str) -> None:
    x = inputVector([-2.5, -0.5, 0.25, 0.5, 2.5])
    equal(act.round(x, mode).npvalue(), [-3, -1, 0, 1, 3])
    equal(act.ceil(x, mode).npvalue(), [-2, 0, 1, 1, 3])
    equal(act.floor(x, mode).npvalue(), [-3, -1, 0, 0, 2])
    for function in (act.round, act.ceil, act.floor):
        equal(gradient_of(function(x, mode), x), np.full(5, float(mode == MODES[1])))


@pytest.mark.parametrize("mode", MODES)
def test_argmax_is_one_hot_of_the_first_maximum(mode: str) -> None:
    x = inputTensor(np.array([[1, 3, 3, 2], [5, 1, 1, 1]]).T, batched=True)
    y = act.argmax(x, mode)
    equal(y.npvalue(), np.array([[0, 1, 0, 0], [1, 0, 0, 0]]).T)
    equal(gradient_of(ari.cmult(y, y), x), 2 * y.npvalue() if mode == MODES[1] else np.zeros((4, 2)))


def test_gradients_at_kinks() -> None:
    x = inputVector([0.0])
    for function, expected in ((act.abs, 0), (act.rectify, 0), (act.elu, 1)):
        equal(gradient_of(function(x), x), [expected])
    equal(gradient_of(act.elu(x, 0.25), x), [0.25])
    x, y = inputVector([1.0]), inputVector([1.0])
    equal(gradient_of(los.l1_distance(x, y), x), [0])


def test_no_overflow() -> None:
    x = inputVector([-1000.0, 1000.0])
    equal(act.logistic(x).npvalue(), [0, 1])
    equal(act.log_sigmoid(x).npvalue(), [-1000, 0])
    equal(sof.softmax(x).npvalue(), [0, 1])
    equal(red.logsumexp_dim(x).npvalue(), [1000])
    equal(lis.logsumexp([x, x]).npvalue(), np.array([-1000, 1000]) + np.log(2))
    equal(los.pickneglogsoftmax(x, 0).npvalue(), [2000])


def test_hinge_dim_is_one_hinge_per_column_or_row() -> None:
    x = inputTensor(np.array([[0.5, 2.0, 1.0], [1.0, 0.25, 1.5]]))
    equal(los.hinge_dim(x, [0, 1, 1]).npvalue(), [1.5, 2.75, 0.5])
    equal(los.hinge_dim(x, [1, 2], 1).npvalue(), [0, 0.5])


def test_gradient_control() -> None:
    x = inputVector([1.0, 2.0])
    for function, factor in (
        (con.flip_gradient, -1),
        (lambda e: con.scale_gradient(e, 0.25), 0.25),
        (con.scale_gradient, 1),
        (con.nobackprop, 0),
    ):
        y = function(x)
        equal(y.npvalue(), [1, 2])
        equal(gradient_of(act.square(y), x), factor * 2 * x.npvalue())


def test_ties_go_to_the_first() -> None:
    x = inputTensor(np.array([[1.0, 2, 2], [3, 1, 3]]))
    equal(gradient_of(red.max_dim(x, 1), x), [[0, 1, 0], [1, 0, 0]])
    x = inputTensor(np.array([[1.0, 1, 2], [3, 1, 3]]))
    equal(gradient_of(red.min_dim(x, 1), x), [[1, 0, 0], [0, 1, 0]])
    x, y = inputVector([1.0, 3.0]), inputVector([1.0, 4.0])
    equal(gradient_of(lis.emax([x, y]), x), [1, 0])


def test_restricted_log_softmax() -> None:
    x = inputVector([0.5, 1.0, 0.25, -1.0])
    y = sof.log_softmax(x, [1, 3, 1])
    norm = np.log(np.exp(1.0) + np.exp(-1.0))
    equal(y.npvalue(), [-np.inf, 1 - norm, -np.inf, -1 - norm])
    equal(sof.log_softmax(x, [2]).npvalue()[2], 0)


def test_sparsemax_and_constrained_softmax_are_distributions() -> None:
    x = inputVector([0.5, 1.25, 0.25, -1.0])
    y = sof.sparsemax(x).npvalue()
    equal(y, [0.125, 0.875, 0, 0])
    bound = inputVector([0.25, 0.375, 0.25, 1.0])
    p = sof.constrained_softmax(x, bound).npvalue()
    equal(p.sum(), 1)
    equal(p[:3], [0.25, 0.375, 0.25])


def test_binary_log_loss_at_the_ends() -> None:
    x, y = inputVector([0.0, 1.0, 0.25]), inputVector([1.0, 0.0, 0.25])
    loss = los.binary_log_loss(x, y)
    entropy = -0.25 * np.log(0.25) - 0.75 * np.log(0.75)
    equal(loss.scalar_value(), 2 * 87.33654475 + entropy)
    assert gradient_of(loss, x)[2] == 0
    equal(y.gradient()[2], np.log(0.75) - np.log(0.25))


def test_a_moment_divides_by_n_where_given() -> None:
    x = inputTensor(np.arange(1.0, 7).reshape(2, 3))
    equal(red.mean_dim(x, [1], False, 6).npvalue(), [1, 2.5])
    equal(red.moment_dim(x, [0], 2, False, 4).npvalue(), [17 / 4, 29 / 4, 45 / 4])
    equal(red.std_dim(x, [0], False, 7).npvalue(), [1.5] * 3)


def test_single_list_and_whole_slice_cost_nothing(graph: ComputationGraph) -> None:
    x = inputVector([1.0, 2.0])
    length = len(graph.code)
    assert lis.esum([x]) is x
    assert x[:] is x
    assert len(graph.code) == length


def test_indexing_is_numpy_indexing() -> None:
    array = np.arange(24.0).reshape(4, 3, 2)
    x = inputTensor(array)
    for key in (
        1,
        -1,
        slice(1, 3),
        slice(None, None, 2),
        slice(None, -1),
        (slice(None), 2),
        (slice(2, None), slice(0, 2)),
    ):
        equal(x[key].npvalue(), array[key])
    for key in (
        (1, 2),
        (slice(None, None, -1), slice(1, 3), 1),
        (slice(3, 0, -2), -1),
        (0, slice(None, None, 2), slice(1)),
    ):
        equal(x[key].npvalue(), array[key])
    equal(x[np.int64(2)].npvalue(), array[2])
    equal(x[1, 1, 1].npvalue(), [array[1, 1, 1]])
    batched = inputTensor(array, batched=True)
    equal(batched[:, 1, 1].npvalue(), array[:, 1, 1])
    equal(batched[1:3, :, ::-1].npvalue(), array[1:3, :, ::-1])
    equal(np.array([row.npvalue() for row in x]), array)


def test_set_index_picks_anew() -> None:
    x = inputTensor(np.arange(6.0).reshape(2, 3))
    column, entries = sel.pick(x, 0, 1), sel.pick_batch(x, [0, 2, 1], 1)
    shared = red.sum_elems(column)
    equal(shared.scalar_value(), 3)
    equal(entries.npvalue(), [[0, 2, 1], [3, 5, 4]])
    column.set_index(2)
    entries.set_index([1, 1, 0])
    equal(shared.scalar_value(), 7)
    equal(entries.npvalue(), [[1, 1, 0], [4, 4, 3]])
    with pytest.raises(ShapeError, match="3 positions got 1"):
        entries.set_index(1)


def alias_of(e: Expression, graph: ComputationGraph) -> bool:
    return bool(signatures[graph.code[e.index]].flags & ALIAS)


def test_what_shares_memory_is_not_executed(graph: ComputationGraph) -> None:
    vector, matrix = inputVector([1.0, 2, 3]), inputTensor(np.ones((3, 2)))
    batch = inputTensor(np.ones((3, 2)), batched=True)
    shared = [
        struc.reshape(matrix, (2, 3)), struc.transpose(vector), sel.pick(vector, 1),
        sel.pick(matrix, 1, 1), vector[1:], sel.pick_range(matrix, 0, 1, 1),
        sel.pick_batch_elem(batch, 1), struc.reshape(batch, (6,)),
    ]  # fmt: skip
    copied = [
        struc.transpose(matrix), sel.pick(matrix, 1), sel.pick(batch, 1), matrix[1:], batch[1:],
        sel.pick_batch_elems(batch, [1, 0]),
    ]  # fmt: skip
    assert [alias_of(e, graph) for e in shared] == [True] * len(shared)
    assert [alias_of(e, graph) for e in copied] == [False] * len(copied)


def test_an_alias_has_the_reference_of_a_copy() -> None:
    """The reference of an aliasing signature gives what sharing memory gives."""
    x: InputExpression = inputTensor(np.arange(12.0).reshape(3, 4))
    code = x.graph.code
    for y in (struc.reshape(x, (4, 3)), sel.pick(x, 2, 1), sel.pick_range(x, 1, 3, 1)):
        signature = signatures[code[y.index]]
        payload = np.array([code[y.index + 2 : y.index + 2 + signature.payload]], np.int64)
        call = Call(signature, payload, np.zeros(0, np.float32), 0, 0)
        array = x.npvalue()[..., None]
        (copied,) = signature.operation.forward(call, array)
        equal(copied[..., 0], y.npvalue())
        (dx,) = signature.operation.backward(call, (np.ones_like(copied),), (copied,), array)
        assert dx is not None
        equal(dx[..., 0], gradient_of(y, x))


def test_gradients_through_overlapping_ranges_add_up() -> None:
    x = inputVector([1.0, 2.0, 3.0, 4.0])
    y = lis.esum([ari.cmult(sel.pick_range(x, i, i + 2), inputVector([1.0, 10.0])) for i in range(3)])
    equal(gradient_of(y, x), [1, 11, 11, 10])


INDEXED: list[tuple[str, Callable[[Expression, int], Expression]]] = [
    ("pick", lambda x, k: sel.pick(x, k)),
    ("pick_batch", lambda x, k: sel.pick_batch(x, [k, 1, 3 - k])),
    ("pick_range", lambda x, k: sel.pick_range(x, k, k + 2)),
    ("select_rows", lambda x, k: sel.select_rows(x, [k, 3 - k])),
    ("pick_batch_elem", lambda x, k: sel.pick_batch_elem(x, k)),
    ("pick_batch_elems", lambda x, k: sel.pick_batch_elems(x, [k, 2 - k])),
    ("log_softmax", lambda x, k: sel.select_rows(sof.log_softmax(x, [k, 3]), [k, 3])),
    ("pickneglogsoftmax_batch", lambda x, k: los.pickneglogsoftmax_batch(x, [k, 1, 3 - k])),
    ("hinge_batch", lambda x, k: los.hinge_batch(x, [k, 1, 3 - k])),
]


@pytest.mark.parametrize("name, f", INDEXED, ids=[name for name, _ in INDEXED])
def test_instructions_of_one_group_keep_their_own_indices(
    name: str, f: Callable[[Expression, int], Expression]
) -> None:
    array = np.sin(np.arange(12.0)).reshape(4, 3)
    found = []
    for autobatch in (True, False):
        with ComputationGraph(autobatch=autobatch, backend=backend):
            x = inputTensor(array, batched=True)
            ys = [f(x, k) for k in range(3)]
            total = lis.esum([red.sum_batches(red.sum_elems(act.square(y))) for y in ys])
            total.backward(full=True)
            found.append([*[y.npvalue() for y in ys], x.gradient()])
    assert (found[0][0] != found[0][2]).any()
    for a, b in zip(*found, strict=True):
        equal(a, b)


def test_the_planner_sees_what_blocks_gradients(graph: ComputationGraph) -> None:
    x = inputVector([1.0, 2.0])
    for y in (con.nobackprop(x), act.argmax(x, "zero_gradient")):
        assert signatures[graph.code[y.index]].flags & BLOCKS
    assert not signatures[graph.code[act.argmax(x, "straight_through_gradient").index]].flags & BLOCKS


def test_ranges_of_one_length_meet_in_one_group(graph: ComputationGraph) -> None:
    x = inputTensor(np.ones((4, 2)))
    kinds = {graph.code[sel.pick_range(x, i, i + 2).index] for i in range(3)}
    kinds |= {graph.code[sel.pick_range(x, 0, 2).index]}
    assert len(kinds) == 1
