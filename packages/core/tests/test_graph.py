"""Life of a graph: current graphs, stale handles, marks, mixing, setting inputs, one thread beside another."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

import weft_core as dy
from weft_core.operation import Array, Attribute, Call, Operation
from weft_core.shape import Shape, shape_of
from weft_core.signature import Signature


@pytest.fixture(autouse=True)
def numpy_backend() -> None:
    dy.init(backend="numpy", seed=1)


def test_renewing_makes_every_use_of_an_old_expression_an_error() -> None:
    x = dy.inputVector([1.0, 2.0])
    y = dy.tanh(x)
    dy.renew_cg()
    fresh = dy.inputVector([1.0, 2.0])
    uses = [
        lambda: y.value(),
        lambda: y.npvalue(),
        lambda: y.dim(),
        lambda: y.forward(),
        lambda: y.gradient(),
        lambda: dy.tanh(y),
        lambda: y + 1.0,
        lambda: y + fresh,
        lambda: fresh + y,
        lambda: -y,
        lambda: y[0],
        lambda: dy.esum([fresh, y]),
        lambda: dy.concatenate([y, fresh]),
    ]
    for use in uses:
        with pytest.raises(dy.StaleExpression, match="renewed or left"):
            use()
    assert fresh.value() == [1.0, 2.0]


def test_a_graph_of_a_block_leaves_the_one_around_it_alone() -> None:
    outer = dy.inputVector([1.0])
    with dy.ComputationGraph() as graph:
        inner = dy.inputVector([2.0]) + 3.0
        assert dy.cg() is graph
        assert inner.value() == 5.0
        with pytest.raises(dy.WeftError, match="two computation graphs"):
            _ = inner + outer
    assert (outer + 1.0).value() == 2.0
    with pytest.raises(dy.StaleExpression):
        inner.value()


def test_two_products_of_two_graphs_are_refused_also_when_their_shapes_are_known() -> None:
    model = dy.ParameterCollection()
    b, W, U = model.add_parameters(2), model.add_parameters((2, 3)), model.add_parameters((2, 3))
    x = dy.inputVector([1.0, 2.0, 3.0])
    dy.affine_transform([b, W, x, U, x])
    with dy.ComputationGraph():
        y = dy.inputVector([1.0, 2.0, 3.0])
        assert len(dy.affine_transform([b, W, y, U, y]).npvalue()) == 2
        with pytest.raises(dy.WeftError, match="two computation graphs"):
            dy.affine_transform([b, W, x, U, y])


def test_revert_drops_what_came_after_the_mark() -> None:
    x = dy.inputVector([1.0, 2.0])
    kept = dy.square(x)
    dy.cg_checkpoint()
    dropped = dy.tanh(kept)
    dropped.value()
    dy.cg_revert()
    with pytest.raises(dy.StaleExpression, match="reverted"):
        dropped.value()
    later = kept + 1.0
    assert later.value() == [2.0, 5.0]
    with pytest.raises(dy.StaleExpression, match="reverted"):
        (dropped + later).value()
    dy.cg_revert()
    assert later.value() == [2.0, 5.0]


def test_set_computes_again_and_other_lengths_are_refused() -> None:
    x = dy.vecInput(2)
    y = dy.sum_elems(dy.square(x))
    assert y.value() == 0.0
    x.set([3.0, 4.0])
    assert y.value() == 25.0
    with pytest.raises(dy.ShapeError, match=r"shape \{2\} needs 2 numbers, got 3"):
        x.set([1.0, 2.0, 3.0])
    assert y.value() == 25.0


def test_look_ups_and_picks_can_be_set() -> None:
    table = dy.ParameterCollection().add_lookup_parameters((3, 2), init=np.arange(6.0).reshape(3, 2))
    row = dy.lookup(table, 0)
    picked = dy.pick(row, 1)
    assert picked.value() == 1.0
    row.set(2)
    assert picked.value() == 5.0
    picked.set_index(0)
    assert picked.value() == 4.0
    with pytest.raises(IndexError, match="index 3 is outside"):
        row.set(3)


def test_recalculation_draws_anew_and_caching_does_not() -> None:
    x = dy.dropout(dy.ones(64), 0.5)
    first = x.npvalue()
    np.testing.assert_array_equal(x.npvalue(), first)
    assert (x.npvalue(recalculate=True) != first).any()


def test_backward_starts_from_one_number() -> None:
    x = dy.inputVector([1.0, 2.0])
    with pytest.raises(ValueError, match=r"starts from one number, this expression has shape \{2\}"):
        x.backward()
    with pytest.raises(ValueError, match="exactly one element"):
        x.scalar_value()
    with pytest.raises(dy.GradientError, match="call backward"):
        x.gradient()


def test_numbers_and_arrays_are_told_apart() -> None:
    x = dy.inputVector([1.0, 2.0])
    assert (x * np.float32(2.0)).value() == [2.0, 4.0]
    assert (np.int64(3) - x).value() == [2.0, 1.0]
    with pytest.raises(TypeError, match="use inputTensor for arrays"):
        _ = x + np.array([1.0, 2.0])
    with pytest.raises(TypeError, match="operands must be expressions, got NoneType"):
        dy.tanh(None)


def test_every_thread_has_a_graph_of_its_own() -> None:
    mine = dy.inputVector([1.0])
    seen: list[float] = []

    def other() -> None:
        dy.renew_cg()
        seen.append((dy.inputVector([5.0]) * 2.0).value())

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert seen == [10.0]
    assert (mine + 1.0).value() == 2.0


def test_seeds_are_checked() -> None:
    with pytest.raises(TypeError, match="must be an int"):
        dy.reset_random_seed("7")  # type: ignore[arg-type]
    with pytest.raises(OverflowError, match="got -1"):
        dy.reset_random_seed(-1)


class Fragile(Operation):
    """The identity, which fails as often as it is told to."""

    failures = 0

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        return Signature(self, operands, attributes, (shape_of(operands[0].dims, operands[0].batch),))

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("out of luck")
        return (operands[0],)


fragile = Fragile("test_fragile")


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_a_failed_forward_leaves_no_half_computed_values(backend: str) -> None:
    dy.init(backend=backend)
    x = dy.inputVector([1.0, 2.0])
    y = fragile.record((x + 1.0,)) * 3.0
    fragile.failures = 2
    for _ in range(2):
        with pytest.raises(RuntimeError, match="out of luck"):
            y.value()
    later = y + dy.inputVector([0.5, 0.5])
    assert later.value() == [6.5, 9.5]
    assert y.value() == [6.0, 9.0]


def test_what_is_not_an_expression_is_refused_by_name() -> None:
    pc = dy.ParameterCollection()
    W, b, x = pc.add_parameters((3, 2)), pc.add_parameters(3), dy.inputVector([1.0, 2.0])
    calls: dict[str, list[Callable[[], object]]] = {
        "affine_transform": [
            lambda: dy.affine_transform([b, 3, x]),  # type: ignore[list-item]
            lambda: dy.affine_transform([b, W, None]),  # type: ignore[list-item]
            lambda: dy.affine_transform([b, W, x, None, x]),  # type: ignore[list-item]
            lambda: dy.affine_transform(5),  # type: ignore[arg-type]
        ],
        "colwise_add": [lambda: dy.colwise_add(W, 3)],  # type: ignore[arg-type]
        "squared_distance": [lambda: dy.squared_distance(x, None)],  # type: ignore[arg-type]
        "strided_select": [lambda: dy.strided_select(None, [1])],  # type: ignore[arg-type]
        "forward": [lambda: dy.forward([x, 3]), lambda: dy.values([None])],  # type: ignore[list-item]
    }
    for name, uses in calls.items():
        for use in uses:
            with pytest.raises(TypeError, match=rf"^{name}(:| takes)"):
                use()
    with pytest.raises(ValueError, match="an odd number, got 0"):
        dy.affine_transform([])
