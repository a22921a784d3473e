"""What all trainers have in common: arguments, learning rate, subsets, and what DyNet's callers expect."""

from collections.abc import Callable

import numpy as np
import pytest

import weft_core as dy
from weft_core.collection import ParameterCollection
from weft_core.rules import Idle, UpdateRule
from weft_trainers import (
    AdadeltaTrainer,
    AdagradTrainer,
    AdamTrainer,
    AmsgradTrainer,
    CyclicalSGDTrainer,
    EGTrainer,
    MomentumSGDTrainer,
    RMSPropTrainer,
    SimpleSGDTrainer,
    Trainer,
    TrainerError,
)

KINDS: list[type[Trainer]] = [
    SimpleSGDTrainer,
    CyclicalSGDTrainer,
    MomentumSGDTrainer,
    AdagradTrainer,
    AdadeltaTrainer,
    RMSPropTrainer,
    AdamTrainer,
    AmsgradTrainer,
    EGTrainer,
]


def make(kind: Callable[[ParameterCollection], Trainer], **options: object) -> Trainer:
    return kind(ParameterCollection(), **options)


RATES = {
    SimpleSGDTrainer: 0.1,
    CyclicalSGDTrainer: 0.01,
    MomentumSGDTrainer: 0.01,
    AdagradTrainer: 0.1,
    AdadeltaTrainer: 1.0,
    RMSPropTrainer: 0.001,
    AdamTrainer: 0.001,
    AmsgradTrainer: 0.001,
    EGTrainer: 0.1,
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_learning_rate_is_a_float32(kind: type[Trainer]) -> None:
    trainer = make(kind)
    assert trainer.learning_rate == float(np.float32(RATES[kind]))
    trainer.learning_rate = 0.3
    assert trainer.learning_rate == float(np.float32(0.3))
    trainer.set_learning_rate(0.7)
    assert trainer.learning_rate == float(np.float32(0.7))
    trainer.restart(0.9)
    assert trainer.learning_rate == float(np.float32(0.9))
    trainer.restart()
    assert trainer.learning_rate == float(np.float32(0.9))
    for bad in (float("nan"), float("inf"), 1e39):
        with pytest.raises(ValueError, match="a learning rate is a finite float32"):
            trainer.learning_rate = bad
        with pytest.raises(ValueError, match="a learning rate is a finite float32"):
            trainer.restart(bad)
    assert trainer.learning_rate == float(np.float32(0.9))
    assert trainer.whoami() == kind.__name__


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", [None, "model", 3, []])
def test_it_needs_a_collection(kind: type[Trainer], model: object) -> None:
    with pytest.raises(TypeError, match=f"{kind.__name__} needs a ParameterCollection"):
        kind(model)  # type: ignore[arg-type, call-arg]


@pytest.mark.parametrize(
    ("kind", "keyword", "hint"),
    [
        (SimpleSGDTrainer, "edecay", r"InverseTimeDecay\(rate, edecay\)"),
        (AdamTrainer, "eta_decay", r"InverseTimeDecay\(rate, eta_decay\)"),
        (SimpleSGDTrainer, "e0", "write learning_rate"),
        (CyclicalSGDTrainer, "e0", "it takes m, learning_rate_min, learning_rate_max, step_size, gamma"),
        (CyclicalSGDTrainer, "learning_rate", "write learning_rate_min and learning_rate_max"),
        (AdamTrainer, "learning_rate", "write alpha"),
        (AmsgradTrainer, "lr", "write alpha"),
        (RMSPropTrainer, "alpha", "write learning_rate"),
        (MomentumSGDTrainer, "momentum", "write mom"),
        (AdagradTrainer, "epsilon", "write eps"),
        (AdadeltaTrainer, "learning_rate", "it takes m, eps, rho"),
        (AdamTrainer, "weight_decay", "set_weight_decay"),
        (SimpleSGDTrainer, "lam", "set_weight_decay"),
        (EGTrainer, "clip_threshold", "set_clip_threshold"),
    ],
)
def test_wrong_arguments_are_named_with_their_replacement(kind: type[Trainer], keyword: str, hint: str) -> None:
    with pytest.raises(TypeError, match=f"{kind.__name__} has no argument '{keyword}'; .*{hint}"):
        make(kind, **{keyword: 0.1})


def test_a_trainer_of_ones_own_may_take_what_it_wants() -> None:
    class Own(SimpleSGDTrainer):
        def __init__(self, m: ParameterCollection, edecay: float, **more: float) -> None:
            super().__init__(m, edecay)
            self.more = more

    trainer = Own(ParameterCollection(), edecay=0.5, e0=0.25)
    assert trainer.learning_rate == 0.5 and trainer.more == {"e0": 0.25} and trainer.whoami() == "Own"
    with pytest.raises(TypeError):
        Trainer(ParameterCollection(), 0.1)  # type: ignore[abstract]


@pytest.mark.parametrize("kind", KINDS)
def test_a_collection_without_parameters_is_refused(kind: type[Trainer]) -> None:
    trainer = make(kind)
    with pytest.raises(RuntimeError, match="no parameters"):
        trainer.update()
    with pytest.raises(TrainerError, match="no parameters"):
        trainer.update_subset()
    assert (trainer.updates, trainer.steps) == (0, 0)


def test_update_epoch_says_that_it_does_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    trainer = make(SimpleSGDTrainer)
    trainer.update_epoch(1.0)
    shown = capsys.readouterr().err
    assert "no effect" in shown and "trainer.learning_rate = InverseTimeDecay(0.1, decay)(epoch)" in shown
    assert trainer.learning_rate == float(np.float32(0.1))
    with pytest.raises(TypeError):
        trainer.update_epoch()  # type: ignore[call-arg]


def test_the_threshold_is_a_float32() -> None:
    trainer = make(SimpleSGDTrainer)
    assert trainer.get_clip_threshold() == 5.0
    trainer.set_clip_threshold(1.3)
    assert trainer.get_clip_threshold() == float(np.float32(1.3))
    with pytest.raises(ValueError, match="0 turns clipping off"):
        trainer.set_clip_threshold(float("nan"))
    assert trainer.get_clip_threshold() == float(np.float32(1.3))
    trainer.set_clip_threshold(0)
    assert trainer.get_clip_threshold() == 0.0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_gradient_changes_nothing(kind: type[Trainer], bad: float) -> None:
    model = ParameterCollection()
    p, table = model.add_parameters((2,), 0.5), model.add_lookup_parameters((3, 2), 0.5)
    trainer = kind(model)  # type: ignore[call-arg]
    for _ in range(2):
        table.gradients[1] = [1.0, 2.0]
        table._slot.touch([1])
        trainer.update()
    rate, values = trainer.learning_rate, (p.as_array(), table.as_array())
    moments = {name: trainer.state.table(name, table._slot).copy() for name in trainer.rule.state}
    table.gradients[2] = [1.0, bad]
    table._slot.touch([2])
    with pytest.raises(TrainerError, match="Magnitude of gradient is bad"):
        trainer.update()
    np.testing.assert_array_equal(p.as_array(), values[0])
    np.testing.assert_array_equal(table.as_array(), values[1])
    for name, moment in moments.items():
        np.testing.assert_array_equal(trainer.state.table(name, table._slot), moment)
    assert (trainer.steps, trainer.learning_rate) == (2, rate)


class Model:
    """Two weights and two tables, of which some are updated."""

    def __init__(self, kind: Callable[[ParameterCollection], Trainer], sparse: object, decay: float) -> None:
        random = np.random.default_rng(8)
        self.m = ParameterCollection()
        self.ws = [self.m.parameters_from_numpy(random.normal(size=(2, 3))) for _ in range(2)]
        self.es = [self.m.lookup_parameters_from_numpy(random.normal(size=(8, 3))) for _ in range(2)]
        self.m.set_weight_decay(decay)
        self.trainer = kind(self.m)
        self.trainer.set_sparse_updates(sparse)  # type: ignore[arg-type]
        self.random = np.random.default_rng(9)

    def backward(self) -> None:
        rows = self.random.integers(0, 8, 2).tolist()
        dy.renew_cg()
        parts = [w * (e[rows[0]] + e[rows[1]]) for w, e in zip(self.ws, self.es, strict=True)]
        dy.squared_norm(dy.esum(parts) * 3).backward()


def by_freezing(model: Model, params: list[int], lookups: list[int]) -> None:
    """The same update: what is not meant is frozen for its time."""
    others = [w for k, w in enumerate(model.ws) if k not in params]
    others += [e for k, e in enumerate(model.es) if k not in lookups]
    for other in others:
        other.set_updated(False)
    model.trainer.update()
    for other in others:
        other.set_updated(True)


@pytest.mark.parametrize("kind", [SimpleSGDTrainer, MomentumSGDTrainer, AdamTrainer])
@pytest.mark.parametrize("sparse", [True, False, "lazy"])
@pytest.mark.parametrize("decay", [0.0, 0.05])
def test_a_subset_is_updated_as_if_the_rest_were_frozen(kind: type[Trainer], sparse: object, decay: float) -> None:
    model, wanted = (Model(kind, sparse, decay) for _ in range(2))  # type: ignore[arg-type]
    for step in range(16):
        for m in (model, wanted):
            m.backward()
        if step % 4 == 1:
            model.trainer.update_subset([0], [model.es[1]])
            by_freezing(wanted, [0], [1])
        elif step % 4 == 2:
            model.trainer.update_subset(updated_params=(model.ws[1], 1), updated_lookups=[0])
            by_freezing(wanted, [1], [0])
        else:
            model.trainer.update(), wanted.trainer.update()
        for ours, theirs in zip(model.ws + model.es, wanted.ws + wanted.es, strict=True):
            np.testing.assert_allclose(ours.as_array(), theirs.as_array(), rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(ours.grad_as_array(), theirs.grad_as_array(), rtol=1e-3, atol=1e-4)
    assert model.trainer.updates == 16 and model.trainer.clips == wanted.trainer.clips > 0


@pytest.mark.parametrize("wanted", [([2], []), ([-1], []), ([], [2]), ("other", []), ([], "other")])
def test_a_subset_of_something_else_is_refused(wanted: tuple[object, object]) -> None:
    model = Model(SimpleSGDTrainer, True, 0.0)
    stranger = ParameterCollection()
    other = [stranger.add_parameters((2, 3))], [stranger.add_lookup_parameters((8, 3))]
    model.backward()
    params, lookups = (other[k] if some == "other" else some for k, some in enumerate(wanted))
    with pytest.raises(ValueError, match="of the trainer's collection, which has 2"):
        model.trainer.update_subset(params, lookups)  # type: ignore[arg-type]
    assert model.trainer.steps == 0 and model.ws[0].gradients.any()


def test_the_names_of_weight_decay_are_kept_for_it() -> None:
    rule = UpdateRule("test_kept", "w = w * kept - g", settings=("kept",))
    with pytest.raises(ValueError, match="'kept'"):
        rule.with_decay(rows_rest=True)
    softmax = UpdateRule("test_softmax", "w = w - g", softmax=True)
    with pytest.raises(ValueError, match="softmax"):
        softmax.with_decay(rows_rest=False)


def test_rest_under_weight_decay_is_what_the_rule_says_of_it() -> None:
    """A formula that leaves `kept` out compares steps with each other, not with a weight that shrinks."""
    for shrinks, rests in [("b <= 1", False), ("b <= kept", True)]:
        idle = Idle("m = b * m\nw = w - m", shrinks=shrinks, decays=(("m", "b"),))
        rule = UpdateRule("test_rest", "m = b * m + g\nw = w - m", ("m",), ("b",), idle)
        assert rule.idle_step.rests and rule.with_decay(rows_rest=False).idle_step.rests == rests
        assert rule.with_decay(rows_rest=True).idle_step.rests


@pytest.mark.parametrize(
    "idle",
    [
        Idle("m = b * m", decays=(("m", "b"),)),
        Idle("m = b * m\nw = w - m", shrinks="b <= 1", decays=(("m", "b"),)),
    ],
)
def test_an_idle_step_that_rests_names_every_moment(idle: Idle) -> None:
    with pytest.raises(ValueError, match="names the decay of every moment"):
        UpdateRule("test_idle", "m = b * m + g\nv = v + g\nw = w - m", ("m", "v"), ("b",), idle)
