"""Weight decay of collections: after every update, (1 - lambda) (w + step), for every row of every table."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import weft_core as dy
import weft_core.lazy
from weft_core.collection import ParameterCollection
from weft_core.files import save_parameters
from weft_core.graph import init
from weft_core.settings import settings
from weft_trainers import (
    AdadeltaTrainer,
    AdagradTrainer,
    AdamTrainer,
    AmsgradTrainer,
    CyclicalSGDTrainer,
    MomentumSGDTrainer,
    RMSPropTrainer,
    SimpleSGDTrainer,
    Trainer,
)

Make = Callable[[ParameterCollection], Trainer]
KINDS: list[Make] = [
    SimpleSGDTrainer,
    CyclicalSGDTrainer,
    MomentumSGDTrainer,
    AdagradTrainer,
    AdadeltaTrainer,
    RMSPropTrainer,
    AdamTrainer,
    AmsgradTrainer,
]
ROWS, SIZE = 30, 3


class Model:
    """Weights and tables in a root and in a subcollection; random rows enter a loss."""

    def __init__(self, kind: Make, sparse: object = True, decay: float = 0.0, inner: float | None = None) -> None:
        self.random = np.random.default_rng(5)
        self.root = ParameterCollection()
        self.root.set_weight_decay(decay)
        self.inner = self.root.add_subcollection("inner")
        if inner is not None:
            self.inner.set_weight_decay(inner)
        self.W = self.root.parameters_from_numpy(self.random.normal(size=(2, SIZE)), "W")
        self.V = self.inner.parameters_from_numpy(self.random.normal(size=(2, SIZE)), "V")
        self.E = self.root.lookup_parameters_from_numpy(self.random.normal(size=(ROWS, SIZE)), "E")
        self.F = self.inner.lookup_parameters_from_numpy(self.random.normal(size=(ROWS, SIZE)), "F")
        self.trainer = kind(self.root)
        self.trainer.set_sparse_updates(sparse)  # type: ignore[arg-type]
        self.trainer.set_clip_threshold(0.7)

    def everything(self) -> list[dy.Parameters | dy.LookupParameters]:
        return [self.W, self.V, self.E, self.F]

    def backward(self) -> float:
        rows = self.random.integers(0, ROWS, 4).tolist()
        dy.renew_cg()
        x = dy.tanh(self.E[rows[0]] + dy.sum_batches(dy.lookup_batch(self.E, rows[1:])))
        y = self.W * x + self.V * dy.tanh(self.F[rows[1]])
        loss = dy.squared_norm(y)
        value = loss.scalar_value()
        loss.backward()
        return value

    def step(self) -> float:
        value = self.backward()
        self.trainer.update()
        return value


def step_by_hand(model: Model, decays: list[float]) -> float:
    """An update without weight decay, then a multiplication of everything."""
    value = model.step()
    for parameter, decay in zip(model.everything(), decays, strict=True):
        if parameter.is_updated():
            parameter.scale(float(1 - np.float32(decay)))
    return value


def assert_equal(model: Model, wanted: Model, rtol: float = 2e-6) -> None:
    for ours, theirs in zip(model.everything(), wanted.everything(), strict=True):
        np.testing.assert_allclose(ours.as_array(), theirs.as_array(), rtol=rtol, atol=3e-7)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sparse", [True, False, "lazy"])
@pytest.mark.parametrize(("decay", "inner"), [(0.02, None), (0.02, 0.1), (0.0, 0.05), (0.05, 0.0)])
def test_values_decay_after_every_update(kind: Make, sparse: object, decay: float, inner: float | None) -> None:
    model = Model(kind, sparse, decay, inner)
    wanted = Model(kind, sparse)
    below = decay if inner is None else inner
    for step in range(40):
        np.testing.assert_allclose(model.step(), step_by_hand(wanted, [decay, below] * 2), rtol=1e-4)
        if step in (7, 8, 25):
            assert_equal(model, wanted, 1e-5)
    assert_equal(model, wanted, 1e-5)
    assert model.trainer.clips == wanted.trainer.clips > 0


@pytest.mark.parametrize("sparse", [True, "lazy"])
def test_rows_without_a_gradient_are_not_visited(sparse: object) -> None:
    model = Model(AdamTrainer, sparse, 0.1)
    table = model.E._slot
    for _ in range(3):
        model.step()
    before = table.memory.copy()
    model.E.gradients[4] = 1.0
    table.touch([4])
    model.trainer.update()
    moved = (table.memory != before).any(axis=1)
    assert moved[4] and moved.sum() == 1
    dy.renew_cg()
    row = 11
    seen = model.E[row].npvalue()
    np.testing.assert_array_equal(seen, table.memory[row])
    assert (np.abs(seen) < np.abs(before[row])).all()


def change_decay(m: Model) -> None:
    m.root.set_weight_decay(0.25)


def freeze(m: Model) -> None:
    for parameter in (m.V, m.E):
        parameter.set_updated(False)


def free(m: Model) -> None:
    for parameter in (m.V, m.E):
        parameter.set_updated(True)


CHANGES: dict[str, Callable[[Model], object]] = {
    "frozen": freeze,
    "freed": free,
    "restarted": lambda m: m.trainer.restart(),
    "row set": lambda m: m.E.init_row(3, [1.0, 2.0, 3.0]),
    "scaled": lambda m: m.F.scale(0.5),
    "a parameter added": lambda m: m.inner.add_parameters((3000,), 0.0),
    "a table added": lambda m: m.root.add_lookup_parameters((5, 2), 0.0),
    "all rows": lambda m: m.trainer.set_sparse_updates(False),
    "lazy": lambda m: m.trainer.set_sparse_updates("lazy"),
    "sparse": lambda m: m.trainer.set_sparse_updates(True),
}


@pytest.mark.parametrize("kind", [SimpleSGDTrainer, MomentumSGDTrainer, AdamTrainer])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("inner", [None, 0.1])
def test_changes_in_between(kind: Make, change: str, inner: float | None) -> None:
    model, wanted = Model(kind, True, 0.02, inner), Model(kind, True)
    decays = [0.02, 0.02 if inner is None else inner] * 2
    for action in ["frozen", change, ""] if change == "freed" else [change, ""]:
        for _ in range(6):
            model.step(), step_by_hand(wanted, decays)
        if action:
            CHANGES[action](model), CHANGES[action](wanted)
    assert_equal(model, wanted, 1e-5)


@pytest.mark.parametrize("sparse", [True, "lazy"])
def test_lambda_may_change_and_tables_go_from_part_to_part(sparse: object) -> None:
    model, wanted = Model(AdamTrainer, sparse, 0.1, 0.02), Model(AdamTrainer, sparse)
    pairs = [(0.1, 0.02), (0.02, 0.02), (0.05, 0.05), (0.0, 0.05), (0.0, 0.0), (0.1, 0.0), (0.3, 0.2), (0.1, 0.1)]
    for outer, inner in [*pairs, (0.05, 0.1), (0.1, 0.1), (0.1, 0.05)]:
        model.root.set_weight_decay(outer)
        model.inner.set_weight_decay(inner)
        for _ in range(5):
            model.step(), step_by_hand(wanted, [outer, inner] * 2)
    assert_equal(model, wanted, 1e-5)


def test_frozen_parameters_do_not_decay() -> None:
    model = Model(SimpleSGDTrainer, True, 0.1)
    freeze(model)
    before = model.V.as_array(), model.E.as_array()
    for _ in range(3):
        model.step()
    np.testing.assert_array_equal(model.V.as_array(), before[0])
    np.testing.assert_array_equal(model.E.as_array(), before[1])


def test_a_row_that_was_frozen_keeps_what_it_owed() -> None:
    model, wanted = Model(SimpleSGDTrainer, True, 0.1), Model(SimpleSGDTrainer, True)
    for _ in range(4):
        model.step(), step_by_hand(wanted, [0.1] * 4)
    for m in (model, wanted):
        m.E.set_updated(False)
    for _ in range(4):
        model.step(), step_by_hand(wanted, [0.1] * 4)
    assert_equal(model, wanted)


def test_a_trainer_of_a_subcollection_decays_that_part_by_its_own_lambda() -> None:
    root = ParameterCollection()
    root.set_weight_decay(0.5)
    part = root.add_subcollection("part")
    part.set_weight_decay(0.25)
    outside = root.add_parameters((2,), 1.0), root.add_lookup_parameters((3, 2), 1.0)
    inside = part.add_parameters((2,), 1.0), part.add_lookup_parameters((3, 2), 1.0)
    SimpleSGDTrainer(part).update()
    for parameter in outside:
        assert (parameter.as_array() == 1.0).all()
    for parameter in inside:
        assert (parameter.as_array() == 0.75).all()
    SimpleSGDTrainer(root).update()
    assert all((parameter.as_array() == 0.5).all() for parameter in outside)
    assert all((parameter.as_array() == 0.5625).all() for parameter in inside)


@pytest.mark.parametrize("where", ["root", "subcollection"])
def test_the_files_and_a_graph_show_the_effective_values(where: str, tmp_path: Path) -> None:
    root = ParameterCollection()
    model = root if where == "root" else root.add_subcollection("part")
    w, table = model.add_parameters((2,), 1.0, "w"), model.add_lookup_parameters((3, 2), 1.0, "e")
    model.set_weight_decay(0.5)
    trainer = SimpleSGDTrainer(model)
    for _ in range(3):
        trainer.update()
    assert (w.as_array() == 0.125).all() and (table.row_as_array(1) == 0.125).all()
    dy.renew_cg()
    assert (w * 1.0).npvalue().tolist() == [0.125] * 2
    assert table[2].npvalue().tolist() == [0.125] * 2
    assert (table.expr() * 1.0).npvalue().tolist() == [[0.125] * 3] * 2
    trainer.update()
    dy.renew_cg()
    assert (table.expr() * 1.0).npvalue().tolist() == [[0.0625] * 3] * 2
    save_parameters(tmp_path / "model", root)
    for array in dy.read_parameters(tmp_path / "model").values():
        assert (array == 0.0625).all()


@pytest.mark.parametrize("kind", [SimpleSGDTrainer, AdamTrainer])
def test_a_table_used_as_a_whole_decays_at_once(kind: Make) -> None:
    model, wanted = Model(kind, True, 0.05), Model(kind, True)
    for step in range(12):
        for m in (model, wanted):
            if step in (3, 4, 9):
                dy.renew_cg()
                dy.squared_norm(dy.tanh(m.E.expr())).backward()
        model.step(), step_by_hand(wanted, [0.05] * 4)
        if step >= 3:
            np.testing.assert_allclose(model.E._slot.memory, wanted.E.as_array(), rtol=1e-5, atol=1e-8)
    assert_equal(model, wanted, 1e-5)


def test_long_absences_and_full_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weft_core.lazy, "LOG_CAPACITY", 13)
    root = ParameterCollection()
    table = root.add_lookup_parameters((4, 2), 1.0)
    root.set_weight_decay(0.01)
    trainer = SimpleSGDTrainer(root)
    for _ in range(100):
        table._slot.touch([1])
        trainer.update()
    kept = float(np.float32(0.99)) ** 100
    np.testing.assert_allclose(table.as_array(), kept, rtol=1e-5)


def test_decay_down_to_nothing() -> None:
    root = ParameterCollection()
    table = root.add_lookup_parameters((4, 2), 1.0)
    root.set_weight_decay(0.9)
    trainer = SimpleSGDTrainer(root)
    for step in range(600):
        trainer.update()
        # In between, a product of all factors would have become 0.
        if step in (199, 399):
            table.init_row(0, [1.0, 1.0])
        if step in (201, 401):
            np.testing.assert_allclose(table.row_as_array(0), 0.01, rtol=1e-5)
    assert not table.as_array().any()


@pytest.mark.parametrize("kind", [MomentumSGDTrainer, AdamTrainer, AmsgradTrainer])
@pytest.mark.parametrize("decay", [0.3, 0.1, 0.001])
def test_a_row_comes_to_rest_only_where_its_weight_does_not_shrink_faster(kind: Make, decay: float) -> None:
    models = Model(kind, "lazy", decay), Model(kind, False, decay)
    for model in models:
        # So small that the weight does not move, until decay has made it as small.
        model.trainer.learning_rate = 1e-9
        for _ in range(3):
            model.step()
        for _ in range(120):
            model.E._slot.touch([1])
            model.trainer.update()
    # Also where next to nothing is left of both.
    np.testing.assert_allclose(models[0].E.as_array(), models[1].E.as_array(), rtol=1e-3)


def test_a_subcollection_follows_its_parent_until_it_has_its_own() -> None:
    root = ParameterCollection()
    early = root.add_subcollection("early")
    root.set_weight_decay(0.25)
    late = root.add_subcollection("late")
    assert [c.get_weight_decay() for c in (root, early, late, late.add_subcollection())] == [0.25] * 4
    late.set_weight_decay_lambda(0.5)
    root.set_weight_decay(0.125)
    assert [c.get_weight_decay() for c in (root, early, late)] == [0.125, 0.125, 0.5]
    late.set_weight_decay(0)
    w = late.add_parameters((1,), 1.0)
    late = early
    root.add_parameters((1,), 1.0)
    SimpleSGDTrainer(root).update()
    assert w.as_array() == 1.0 and root.weight_decay_of(w) == 0.0


def test_the_default_of_new_root_collections() -> None:
    try:
        init(weight_decay=0.25)
        model = ParameterCollection()
        assert model.get_weight_decay() == 0.25 and model.add_subcollection().get_weight_decay() == 0.25
        init(weight_decay=0)
        assert ParameterCollection().get_weight_decay() == 0.0 and model.get_weight_decay() == 0.25
    finally:
        settings.weight_decay = 0.0


@pytest.mark.parametrize("bad", [-0.1, 1.0, 1.5, float("nan"), float("inf"), 0.99999999])
def test_lambda_is_a_share(bad: float) -> None:
    model = ParameterCollection()
    model.set_weight_decay(0.5)
    for call in (model.set_weight_decay, model.set_weight_decay_lambda, lambda lam: init(weight_decay=lam)):
        with pytest.raises(ValueError, match="0 <= lambda < 1"):
            call(bad)
    assert model.get_weight_decay() == 0.5 and settings.weight_decay == 0.0


@pytest.mark.parametrize("bad", ["0.1", None, True, [0.1]])
def test_lambda_is_a_number(bad: object) -> None:
    with pytest.raises(TypeError, match="weight decay is a number"):
        ParameterCollection().set_weight_decay(bad)  # type: ignore[arg-type]


def test_two_trainers_of_one_table() -> None:
    model, wanted = Model(AdamTrainer, True, 0.05), Model(AdamTrainer, True)
    for m in (model, wanted):
        m.second = SimpleSGDTrainer(m.root)  # type: ignore[attr-defined]
        m.first = m.trainer  # type: ignore[attr-defined]
    for step in range(20):
        for m in (model, wanted):
            m.trainer = (m.first, m.second)[step // 3 % 2]  # type: ignore[attr-defined]
        model.step(), step_by_hand(wanted, [0.05] * 4)
    assert_equal(model, wanted, 1e-5)
