"""Lazy updates of look-up tables: at any moment, the values that dense updates give."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import weft_core as dy
import weft_core.lazy
from weft_core.collection import ParameterCollection
from weft_core.files import load_parameters, save_parameters
from weft_core.formula import numpy_function
from weft_core.parameters import LookupParameters
from weft_core.rules import UpdateRule
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

ROWS, SIZE = 40, 3
# Those whose rows move without a gradient.
MOVING = [MomentumSGDTrainer, AdamTrainer, AmsgradTrainer]
# Those whose rows stay, while their moments decay.
FADING = [AdadeltaTrainer, RMSPropTrainer]
KINDS = [SimpleSGDTrainer, CyclicalSGDTrainer, AdagradTrainer, *FADING, *MOVING]


class DecayTrainer(Trainer):
    """Descent with weight decay: a rule that says nothing about steps without a gradient."""

    rule = UpdateRule("test_decay", "w = (w - rate * g) * (1 - decay)", settings=("rate", "decay"))

    def __init__(self, m: ParameterCollection) -> None:
        super().__init__(m, 0.1)

    def numbers(self, step: int) -> dict[str, float]:
        return {"rate": self.learning_rate, "decay": 0.01 / step}


class Model:
    """A weight and a table, with a trainer; random rows enter a loss."""

    def __init__(self, kind: Callable[[ParameterCollection], Trainer], sparse: object, inner: bool = False) -> None:
        self.root = ParameterCollection()
        self.collection = self.root.add_subcollection("inner") if inner else self.root
        self.random = np.random.default_rng(3)
        self.weight = self.collection.parameters_from_numpy(self.random.normal(size=(2, SIZE)), "weight")
        self.table = self.collection.lookup_parameters_from_numpy(self.random.normal(size=(ROWS, SIZE)), "table")
        self.trainer = kind(self.collection)
        self.trainer.set_sparse_updates(sparse)  # type: ignore[arg-type]
        self.trainer.set_clip_threshold(0.7)

    def loss(self, rows: list[int]) -> dy.Expression:
        dy.renew_cg()
        batch = dy.sum_batches(dy.lookup_batch(self.table, rows))
        return dy.squared_norm(self.weight * dy.tanh(batch + self.table[rows[0]]))

    def step(self, *rows: int) -> float:
        chosen = list(rows) or self.random.integers(0, ROWS, 3).tolist()
        loss = self.loss(chosen)
        value = loss.scalar_value()
        loss.backward()
        self.trainer.update()
        return value

    def memory(self) -> NDArray[np.float32]:
        """The rows as they are, current or not."""
        return self.table._slot.memory.copy()


def pair(kind: Callable[[ParameterCollection], Trainer], inner: bool = False) -> tuple[Model, Model]:
    return Model(kind, "lazy", inner), Model(kind, False, inner)


def assert_equal(lazy: Model, dense: Model, rtol: float = 1e-6) -> None:
    np.testing.assert_allclose(lazy.weight.as_array(), dense.weight.as_array(), rtol=rtol, atol=1e-9)
    np.testing.assert_allclose(lazy.table.as_array(), dense.table.as_array(), rtol=rtol, atol=1e-9)


@pytest.fixture
def short_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(weft_core.lazy, "LOG_CAPACITY", 7)
    yield


READS: dict[str, Callable[[LookupParameters], NDArray[np.float64]]] = {
    "as_array": lambda table: table.as_array(),
    "npvalue": lambda table: table.npvalue().T,
    "row_as_array": lambda table: np.stack([table.row_as_array(row) for row in range(ROWS)]),
    "rows_as_array": lambda table: table.rows_as_array(range(ROWS)),
    "values": lambda table: table.values.astype(np.float64),
    "in a graph": lambda table: np.stack([table[row].npvalue() for row in range(ROWS)]),
    "in a batch": lambda table: dy.lookup_batch(table, range(ROWS)).npvalue().T,
    "as a constant": lambda table: np.stack([dy.lookup(table, row, update=False).npvalue() for row in range(ROWS)]),
    "whole": lambda table: (table.expr(update=False) * 1.0).npvalue().T,
}


@pytest.mark.parametrize("kind", [*KINDS, DecayTrainer])
@pytest.mark.parametrize("inner", [False, True])
def test_sixty_steps_equal_dense_ones(kind: Callable[[ParameterCollection], Trainer], inner: bool) -> None:
    lazy, dense = pair(kind, inner)
    for step in range(60):
        np.testing.assert_allclose(lazy.step(), dense.step(), rtol=1e-6)
        for trainer in (lazy.trainer, dense.trainer):
            if step in (15, 45):
                trainer.set_learning_rate(trainer.learning_rate * (3.0 if step == 15 else 0.1))
    assert lazy.trainer.clips == dense.trainer.clips > 0
    assert_equal(lazy, dense)


@pytest.mark.parametrize("kind", MOVING)
@pytest.mark.parametrize("how", READS)
def test_whoever_reads_finds_current_rows(kind: type[Trainer], how: str) -> None:
    lazy, dense = pair(kind)
    for step in range(25):
        lazy.step(), dense.step()
        if step % 8 == 3:
            dy.renew_cg()
            np.testing.assert_allclose(READS[how](lazy.table), dense.table.as_array(), rtol=1e-6)
    assert_equal(lazy, dense)


@pytest.mark.parametrize("kind", MOVING)
def test_rows_are_visited_only_when_they_are_used(kind: type[Trainer]) -> None:
    model = Model(kind, "lazy")

    def update(*rows: int) -> None:
        model.table._slot.touch(rows)
        model.table.gradients[list(rows)] = 1.0
        model.trainer.update()

    update(4, 5)
    before = model.memory()
    for _ in range(3):
        update(8, 9)
    np.testing.assert_array_equal(model.memory()[[4, 5]], before[[4, 5]])
    current = model.table.as_array()
    assert (current[[4, 5]] != before[[4, 5]]).all()


@pytest.mark.parametrize("kind", [SimpleSGDTrainer, CyclicalSGDTrainer, AdagradTrainer])
def test_a_rule_that_rests_without_gradients_keeps_no_log(kind: type[Trainer]) -> None:
    model = Model(kind, "lazy")
    model.step()
    assert model.trainer.state.missed is None and model.table._slot.arrears is None


@pytest.mark.parametrize("kind", KINDS)
def test_saved_files_are_equal(kind: type[Trainer], tmp_path: Path) -> None:
    lazy, dense = pair(kind)
    for _ in range(20):
        lazy.step(), dense.step()
    for name, model in (("lazy", lazy), ("dense", dense)):
        save_parameters(tmp_path / name, model.root)
        model.step(1, 2)
        model.trainer.save(tmp_path / (name + ".trainer"))
    for suffix in ("", ".trainer"):
        ours, theirs = (dy.read_parameters(tmp_path / (name + suffix)) for name in ("lazy", "dense"))
        assert ours.keys() == theirs.keys()
        for key in ours:
            np.testing.assert_allclose(ours[key], theirs[key], rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("kind", [*MOVING, *FADING])
def test_a_trainer_goes_on_from_its_files(kind: type[Trainer], tmp_path: Path) -> None:
    lazy, dense = pair(kind)
    for _ in range(12):
        lazy.step(), dense.step()
    lazy.trainer.save(tmp_path / "trainer")
    save_parameters(tmp_path / "model", lazy.root)
    for _ in range(5):
        lazy.step()
    load_parameters(tmp_path / "model", lazy.root)
    lazy.trainer.load(tmp_path / "trainer")
    for _ in range(12):
        rows = dense.random.integers(0, ROWS, 3).tolist()
        lazy.step(*rows), dense.step(*rows)
    assert_equal(lazy, dense)


CHANGES: dict[str, Callable[[Model], object]] = {
    "a row is replaced": lambda m: m.table.init_row(7, [1.0, 2.0, 3.0]),
    "rows are replaced": lambda m: m.table.init_from_array(np.ones((5, SIZE))),
    "values are scaled": lambda m: m.table.scale(0.5),
    "values are cleared": lambda m: m.table.zero(),
    "the table is frozen": lambda m: m.table.set_updated(False),
    "the table is freed": lambda m: m.table.set_updated(True),
    "moments are forgotten": lambda m: m.trainer.restart(),
    "a parameter is added": lambda m: m.root.add_parameters((3000,), 0.0),
    "a table is added": lambda m: m.root.add_lookup_parameters((4, 2), 0.0),
    "the threshold is changed": lambda m: m.trainer.set_clip_threshold(0.1),
}


@pytest.mark.parametrize("kind", [*MOVING, *FADING, DecayTrainer])
@pytest.mark.parametrize("change", CHANGES)
def test_changes_in_between(kind: type[Trainer], change: str) -> None:
    lazy, dense = pair(kind)
    changes = ["the table is frozen", change] if change == "the table is freed" else [change]
    for action in [*changes, ""]:
        for _ in range(9):
            lazy.step(), dense.step()
        if action:
            CHANGES[action](lazy), CHANGES[action](dense)
    assert_equal(lazy, dense)


@pytest.mark.parametrize("kind", MOVING)
def test_the_option_may_change_in_between(kind: type[Trainer]) -> None:
    lazy, dense = pair(kind)
    for sparse in (False, "lazy", False, "lazy"):
        lazy.trainer.set_sparse_updates(sparse)  # type: ignore[arg-type]
        for _ in range(6):
            lazy.step(), dense.step()
    assert_equal(lazy, dense)
    models = Model(kind, "lazy"), Model(kind, False)
    for sparse_of in (("lazy", False), (True, True), ("lazy", False)):
        for model, sparse in zip(models, sparse_of, strict=True):
            model.trainer.set_sparse_updates(sparse)  # type: ignore[arg-type]
            for _ in range(6):
                model.step()
    assert_equal(*models)


@pytest.mark.parametrize("second", ["lazy", True])
def test_two_trainers_of_one_table(second: object) -> None:
    models = pair(AdamTrainer)
    for model in models:
        other = MomentumSGDTrainer(model.collection)
        # What is sparse for one is sparse for both.
        other.set_sparse_updates(False if second == "lazy" and model is models[1] else second)  # type: ignore[arg-type]
        trainers = model.trainer, other
        for step in range(30):
            model.trainer = trainers[step // 3 % 2]
            model.step()
    assert_equal(*models)


@pytest.mark.parametrize("kind", [*MOVING, DecayTrainer])
def test_a_full_log_starts_again(kind: type[Trainer], short_log: None) -> None:
    lazy, dense = pair(kind)
    for _ in range(30):
        lazy.step(), dense.step()
    log = lazy.trainer.state.missed
    assert log is not None and len(log.settings) == 7 and len(log) <= 7
    assert_equal(lazy, dense)


def test_a_row_at_rest_wakes_up_when_the_rate_rises() -> None:
    lazy, dense = pair(AdamTrainer)
    for model in (lazy, dense):
        for _ in range(3):
            model.step(1, 2)
        model.trainer.set_learning_rate(1e-12)
        for _ in range(5):
            model.step(3, 4)
        model.trainer.set_learning_rate(0.1)
        for _ in range(5):
            model.step(3, 4)
    assert_equal(lazy, dense)


def test_a_row_at_rest_wakes_up_when_momentum_grows() -> None:
    lazy, dense = pair(MomentumSGDTrainer)
    for model in (lazy, dense):
        assert isinstance(model.trainer, MomentumSGDTrainer)
        model.step(1, 2)
        model.trainer.mom = 0.01
        for _ in range(8):
            model.step(3, 4)
        model.trainer.mom = 30.0
        for _ in range(4):
            model.step(3, 4)
    assert_equal(lazy, dense, rtol=1e-5)


@pytest.mark.parametrize("kind", [*MOVING, *FADING])
def test_a_row_that_was_away_for_long_has_its_moments(kind: type[Trainer]) -> None:
    lazy, dense = pair(kind)
    for model in (lazy, dense):
        for _ in range(5):
            model.step(1, 2)
        for _ in range(600):
            model.step(3, 4)
    assert_equal(lazy, dense)
    for moment in lazy.trainer.rule.state:
        ours, theirs = (model.trainer.state.table(moment, model.table._slot) for model in (lazy, dense))
        # Six hundred roundings in the one, a few in the other.
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-30)


def test_a_graph_computed_before_an_update_and_differentiated_after_it() -> None:
    lazy, dense = pair(AdamTrainer)
    for model in (lazy, dense):
        for _ in range(3):
            model.step(1, 2)
        model.step(5, 6)
        early = dy.ComputationGraph()
        with dy.graph.recording_on(early):
            loss = dy.squared_norm(model.table[1])
            loss.value()
        for _ in range(4):
            model.step(5, 6)
        loss.backward()
        early.close()
        model.trainer.update()
    assert_equal(lazy, dense)


def test_a_table_used_as_a_whole_is_updated_at_once() -> None:
    lazy, dense = pair(AdamTrainer)
    for step in range(20):
        for model in (lazy, dense):
            if step in (5, 6, 12):
                dy.renew_cg()
                dy.squared_norm(dy.tanh(model.table.expr())).backward()
            model.step()
        if step > 5:
            np.testing.assert_allclose(lazy.memory(), dense.memory(), rtol=1e-6)
    assert_equal(lazy, dense)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_rule_says_of_its_idle_step_is_true(kind: type[Trainer]) -> None:
    rule = kind.rule
    random = np.random.default_rng(0)
    arrays = [random.uniform(0.1, 1.0, 50) for _ in ("w", *rule.state)]
    settings = list(kind(ParameterCollection()).numbers(3).values())
    names = ("w", *rule.state)
    full = numpy_function((*names, "g", *rule.settings), rule.program, names)(*arrays, 0.0, *settings)
    idle = numpy_function((*names, *rule.settings), rule.idle_program, names)(*arrays, *settings)
    np.testing.assert_allclose(idle, full, rtol=1e-12)


@pytest.mark.parametrize("sparse", ["Lazy", "dense", 2, None])
def test_other_options_are_refused(sparse: object) -> None:
    with pytest.raises(ValueError, match="takes True, False or 'lazy'"):
        SimpleSGDTrainer(ParameterCollection()).set_sparse_updates(sparse)  # type: ignore[arg-type]
