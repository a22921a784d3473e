"""Exponentiated gradient: distributions stay distributions, and follow the formula."""

import numpy as np
import pytest
from numpy.typing import NDArray

import weft_core as dy
from weft_core.collection import ParameterCollection
from weft_trainers import EGTrainer, TrainerError

Array = NDArray[np.float64]


class Reference:
    """The formula, in float64, for a matrix of distributions."""

    def __init__(self, w: Array, rate: float, mom: float) -> None:
        self.w = w / w.sum(axis=-1, keepdims=True)
        self.v = np.zeros_like(w)
        self.rate, self.mom = rate, mom

    def step(self, g: Array, rows: object = slice(None)) -> None:
        self.v[rows] = self.mom * self.v[rows] - self.rate * g[rows]
        z = np.log(self.w[rows]) + self.v[rows]
        self.w[rows] = np.exp(z - np.log(np.exp(z).sum(axis=-1, keepdims=True)))


class Run:
    def __init__(self, sparse: object, rate: float = 0.05, mom: float = 0.9) -> None:
        self.random = np.random.default_rng(4)
        self.root = ParameterCollection()
        p, self.frozen, b = (self.random.uniform(0.1, 1.0, n) for n in ((2, 3), (5,), (20,)))
        e = self.random.uniform(0.1, 1.0, (6, 2, 2))
        self.p = self.root.parameters_from_numpy(p, "p")
        self.b = self.root.parameters_from_numpy(b, "b")
        self.f = self.root.parameters_from_numpy(self.frozen, "f")
        self.f.set_updated(False)
        self.e = self.root.lookup_parameters_from_numpy(e, "e")
        self.trainer = EGTrainer(self.root, rate, mom=mom)
        self.trainer.set_sparse_updates(sparse)  # type: ignore[arg-type]
        self.trainer.set_clip_threshold(0)
        self.sparse = sparse
        arrays = p.reshape(1, -1), b.reshape(1, -1), e.reshape(6, -1)
        self.wanted = [Reference(np.float32(a).astype(float), rate, mom) for a in arrays]

    def step(self) -> None:
        gp, gb, ge = self.random.normal(size=(2, 3)), self.random.normal(size=20), self.random.normal(size=(6, 2, 2))
        rows = self.random.integers(0, 6, 2)
        self.p.gradients[...], self.b.gradients[...] = gp, gb
        self.e.gradients[rows] = ge[rows]
        self.e._slot.touch(rows)
        ge[[k for k in range(6) if k not in rows]] = 0
        self.trainer.update()
        self.wanted[0].step(gp.reshape(1, -1))
        self.wanted[1].step(gb.reshape(1, -1))
        self.wanted[2].step(ge.reshape(6, -1), np.unique(rows) if self.sparse is True else slice(None))

    def check(self) -> None:
        for parameter, wanted in zip((self.p, self.b, self.e), self.wanted, strict=True):
            np.testing.assert_allclose(parameter.as_array().ravel(), wanted.w.ravel(), rtol=2e-5, atol=1e-7)
            assert not parameter.gradients.any()
        np.testing.assert_array_equal(self.f.as_array(), self.frozen.astype(np.float32))


@pytest.mark.parametrize("sparse", [True, False, "lazy"])
def test_fifty_updates(sparse: object) -> None:
    run = Run(sparse)
    for _ in range(50):
        run.step()
        run.check()
    assert run.p.as_array().sum() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(run.e.as_array().sum(axis=(1, 2)), 1, atol=1e-6)
    # The gaps between parameters are as they were.
    used = sum(p.shape.size for p in (run.p, run.f, run.b))
    assert np.count_nonzero(run.root.store.values) == used


def test_the_gradient_of_a_whole_table_reaches_every_row() -> None:
    run = Run(True)
    run.step()
    g = run.random.normal(size=(6, 2, 2))
    run.e.gradients[...] = g
    run.e._slot.touch([1])
    run.e._slot.meta[3] = 1
    run.trainer.update()
    run.wanted[2].step(g.reshape(6, -1))
    for wanted in run.wanted[:2]:
        wanted.step(np.zeros_like(wanted.w))
    run.check()


def test_steps_of_any_size_leave_a_distribution() -> None:
    model = ParameterCollection()
    p = model.add_parameters((3,), init=1.0)
    trainer = EGTrainer(model, 1.0)
    trainer.set_clip_threshold(0)
    p.gradients[...] = [-1000.0, 0.0, 1000.0]
    trainer.update()
    assert p.as_array().tolist() == [1.0, 0.0, 0.0]
    trainer.update()
    assert p.as_array().tolist() == [1.0, 0.0, 0.0]


def test_it_finds_the_smallest_cost() -> None:
    model = ParameterCollection()
    p = model.add_parameters((4,), init=0.25)
    trainer = EGTrainer(model)
    for _ in range(200):
        dy.renew_cg()
        dy.dot_product(p, dy.inputVector([3.0, 1.0, 2.0, 1.5])).backward()
        trainer.update()
    assert p.as_array().argmax() == 1 and p.as_array().max() > 0.9


def test_initial_values_are_divided_by_their_sum() -> None:
    model = ParameterCollection()
    p, table = model.add_parameters((4,), init=3.0), model.add_lookup_parameters((3, 2), init=5.0)
    EGTrainer(model).update()
    assert p.as_array().tolist() == [0.25] * 4 and table.as_array().tolist() == [[0.5, 0.5]] * 3


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["parameter", "row", "later", "set"])
def test_other_values_are_refused(bad: float, where: str) -> None:
    model = ParameterCollection()
    p, table = model.add_parameters((4,), init=3.0), model.add_lookup_parameters((3, 2), init=5.0)
    trainer = EGTrainer(model)
    if where in ("later", "set"):
        trainer.update()
    if where == "later":
        model.parameters_from_numpy(np.array([1.0, bad]))
    elif where == "row":
        table.init_row(1, [1.0, bad])
    elif bad == 0.0 and where == "set":
        # A probability may have become 0.
        p.set_value(np.array([1.0, bad, 1.0, 1.0]))
        trainer.update()
        assert p.as_array()[1] == 0.0
        return
    else:
        p.set_value(np.array([1.0, bad, 1.0, 1.0]))
    before, count = p.as_array(), trainer.updates
    with pytest.raises(TrainerError, match="distributions, of positive numbers"):
        trainer.update()
    np.testing.assert_array_equal(p.as_array(), before)
    assert trainer.updates == count


def test_weight_decay_is_refused() -> None:
    model = ParameterCollection()
    p = model.add_parameters((4,), init=3.0)
    model.set_weight_decay(0.5)
    with pytest.raises(TrainerError, match=r"weight decay 0\.5"):
        EGTrainer(model).update()
    assert p.as_array().tolist() == [3.0] * 4


def test_the_learning_rate_may_go_up_and_down() -> None:
    model = ParameterCollection()
    model.add_parameters((4,), init=3.0)
    trainer = EGTrainer(model, learning_rate=0.75)
    trainer.update()
    assert trainer.learning_rate == 0.75
    trainer.enable_cyclical(0.125, 0.625, step_size=2)
    rates = []
    for _ in range(6):
        rates.append(trainer.learning_rate)
        trainer.update()
    assert rates == [0.125, 0.125, 0.375, 0.625, 0.375, 0.125] and trainer.cycle == 6
    with pytest.raises(ValueError, match="above 0"):
        trainer.enable_cyclical(step_size=0)
