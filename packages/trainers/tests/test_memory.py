"""A trainer's file: whatever it remembers goes on as if nothing had happened; other files change nothing."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from weft_core.collection import ParameterCollection
from weft_core.files import ParameterFileError, load_arrays, save_arrays
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

Make = Callable[[ParameterCollection], Trainer]


def cyclical_eg(m: ParameterCollection) -> Trainer:
    trainer = EGTrainer(m, mom=0.5)
    trainer.enable_cyclical(0.125, 0.5, step_size=3, gamma=0.9)
    return trainer


# Each with constants that are not the defaults, and a trainer of the same class with the defaults.
KINDS: dict[str, tuple[Make, Make]] = {
    "sgd": (lambda m: SimpleSGDTrainer(m, 0.3), SimpleSGDTrainer),
    "cyclical": (lambda m: CyclicalSGDTrainer(m, 0.05, 0.2, step_size=2, gamma=0.9), CyclicalSGDTrainer),
    "momentum": (lambda m: MomentumSGDTrainer(m, mom=0.5), MomentumSGDTrainer),
    "adagrad": (lambda m: AdagradTrainer(m, eps=1e-3), AdagradTrainer),
    "adadelta": (lambda m: AdadeltaTrainer(m, eps=1e-3, rho=0.5), AdadeltaTrainer),
    "rmsprop": (lambda m: RMSPropTrainer(m, eps=1e-3, rho=0.5), RMSPropTrainer),
    "adam": (lambda m: AdamTrainer(m, beta_1=0.5, beta_2=0.75, eps=1e-3), AdamTrainer),
    "amsgrad": (lambda m: AmsgradTrainer(m, beta_1=0.5, beta_2=0.75, eps=1e-3), AmsgradTrainer),
    "eg": (lambda m: EGTrainer(m, mom=0.5), EGTrainer),
    "cyclical eg": (cyclical_eg, EGTrainer),
}


class Run:
    """A model whose trainer gets random gradients."""

    def __init__(self, make: Make, part: bool = False, late: bool = False) -> None:
        root = ParameterCollection()
        root.add_parameters((7,), init=0.5)
        self.model = root.add_subcollection("part") if part else root
        random = np.random.default_rng(1)
        self.w = self.model.parameters_from_numpy(random.uniform(0.5, 1.0, (2, 3)), "w")
        self.e = self.model.lookup_parameters_from_numpy(random.uniform(0.5, 1.0, (4, 2, 2)), "e")
        self.trainer = make(self.model)
        self.trainer.set_clip_threshold(0.7)
        if late:
            self.add_late()

    def add_late(self) -> None:
        self.late = self.model.add_parameters((5,), 0.25, "late")

    def step(self, gradient: np.ndarray) -> None:
        self.w.gradients[...] = gradient[:6].reshape(2, 3)
        rows = [0, 2] if gradient[0] > 0 else [3]
        self.e._slot.touch(rows)
        self.e.gradients[rows] = gradient[6:22].reshape(4, 2, 2)[rows]
        self.trainer.update()

    def copy_values(self, other: "Run") -> None:
        for mine, theirs in zip(self.model.parameters_list(), other.model.parameters_list(), strict=True):
            mine.set_value(theirs.as_array())
        self.e.init_from_array(other.e.as_array())

    def state(self) -> dict[str, np.ndarray]:
        found = {p.name(): p.as_array() for p in self.model.parameters_list()} | {"e": self.e.as_array()}
        with self.trainer.averaged():
            found |= {"average of " + p.name(): p.as_array() for p in self.model.parameters_list()}
            found["average of e"] = self.e.as_array()
        return found


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("average", ["exponential", "cumulative"])
@pytest.mark.parametrize("part", [False, True])
@pytest.mark.parametrize("text", [False, True])
def test_it_goes_on_as_if_nothing_had_happened(name: str, average: str, part: bool, text: bool, tmp_path: Path) -> None:
    make, plain = KINDS[name]
    gradients = np.random.default_rng(0).normal(size=(12, 22))
    whole = Run(make, part)
    if average == "exponential":
        whole.trainer.exponential_moving_average(0.75, 2)
    else:
        whole.trainer.cumulative_moving_average(2)
    for gradient in gradients[:5]:
        whole.step(gradient)
    if name != "cyclical":
        whole.trainer.learning_rate = 0.0625
    whole.trainer.set_clip_threshold(0.5)
    # The text format has no constants of a cyclical trainer.
    resumed = Run(make if text and name == "cyclical" else plain, part)
    if text:
        whole.trainer.save_text(tmp_path / "trainer")
        resumed.trainer.load_text(tmp_path / "trainer")
    else:
        whole.trainer.save(tmp_path / "trainer")
        resumed.trainer.load(tmp_path / "trainer")
    resumed.copy_values(whole)
    assert resumed.trainer.steps == 5 and resumed.trainer.get_clip_threshold() == 0.5
    assert resumed.trainer.learning_rate == whole.trainer.learning_rate
    for gradient in gradients[5:]:
        whole.step(gradient)
        resumed.step(gradient)
        assert resumed.trainer.learning_rate == pytest.approx(whole.trainer.learning_rate, rel=1e-6)
    for key, value in whole.state().items():
        # Constants pass through float32 in the text format.
        np.testing.assert_allclose(resumed.state()[key], value, rtol=2e-5 if text else 0, atol=1e-7 if text else 0)


def test_counts_of_parameters_added_later_are_kept(tmp_path: Path) -> None:
    gradients = np.random.default_rng(0).normal(size=(6, 22))
    whole = Run(AdamTrainer)
    whole.trainer.cumulative_moving_average()
    for gradient in gradients[:2]:
        whole.step(gradient)
    whole.add_late()
    whole.step(gradients[2])
    whole.trainer.save(tmp_path / "trainer")
    with pytest.raises(TrainerError, match="one count of moving averages"):
        whole.trainer.save_text(tmp_path / "text")
    assert not (tmp_path / "text").exists()
    resumed = Run(AdamTrainer, late=True)
    resumed.trainer.load(tmp_path / "trainer")
    resumed.copy_values(whole)
    for gradient in gradients[3:]:
        for run in (whole, resumed):
            run.late.gradients[...] = gradient[:5]
            run.step(gradient)
    for key, value in whole.state().items():
        np.testing.assert_array_equal(resumed.state()[key], value)


def test_updates_that_rows_have_missed_are_in_the_file(tmp_path: Path) -> None:
    runs = Run(AdamTrainer), Run(AdamTrainer)
    runs[0].trainer.set_sparse_updates("lazy")
    runs[1].trainer.set_sparse_updates(False)
    for gradient in np.random.default_rng(0).normal(size=(6, 22)):
        for run in runs:
            run.step(gradient)
    for run, name in zip(runs, ("lazy", "dense")):
        run.trainer.save_text(tmp_path / name)
    lazy, dense = ((tmp_path / name).read_text().split() for name in ("lazy", "dense"))
    for ours, theirs in zip(lazy, dense, strict=True):
        assert ours == theirs or float(ours) == pytest.approx(float(theirs), rel=1e-5, abs=1e-12)


def changed(path: Path, **facts: object) -> Path:
    """The file with other facts; None removes one."""
    arrays, old = load_arrays(path)
    new = {name: text for name, text in {**old, **facts}.items() if text is not None}
    save_arrays(path.with_name("changed"), arrays, {name: str(text) for name, text in new.items()})
    return path.with_name("changed")


@pytest.mark.parametrize(
    "facts",
    [
        {"steps": "many"},
        {"steps": None},
        {"learning_rate": "nan"},
        {"clip_threshold": None},
        {"constants": "{}"},
        {"constants": json.dumps({"mom": "0.5"})},
        {"constants": json.dumps({"mom": None})},
        {"constants": "0.5"},
        {"average": None},
        {"average": json.dumps({"kind": "exponential", "beta": 2.0, "every": 1, "updates": 1, "counts": {}})},
        {"average": json.dumps({"kind": "median", "beta": 0.5, "every": 1, "updates": 1, "counts": {}})},
        {"average": json.dumps({"kind": "cumulative"})},
        {"average": json.dumps(3)},
        {"trainer": "AdamTrainer"},
    ],
)
def test_bad_numbers_change_nothing(facts: dict[str, object], tmp_path: Path) -> None:
    run, other = Run(MomentumSGDTrainer), Run(MomentumSGDTrainer)
    gradient = np.random.default_rng(0).normal(size=22)
    run.trainer.cumulative_moving_average()
    run.step(gradient)
    run.trainer.save(tmp_path / "trainer")
    other.step(gradient)
    before = other.trainer.state.arena("v", other.model.store).copy()
    with pytest.raises(ParameterFileError):
        other.trainer.load(changed(tmp_path / "trainer", **facts))
    np.testing.assert_array_equal(other.trainer.state.arena("v", other.model.store), before)
    assert (other.trainer.steps, other.trainer.average) == (1, None)
    assert other.trainer.learning_rate == float(np.float32(0.01))
    other.trainer.load(tmp_path / "trainer")
    assert other.trainer.average is not None and other.trainer.average.updates == 1


def test_averages_have_the_indices_of_their_parameters(tmp_path: Path) -> None:
    run = Run(SimpleSGDTrainer)
    run.trainer.cumulative_moving_average()
    run.trainer.update()
    run.trainer.save(tmp_path / "trainer")
    arrays, _ = load_arrays(tmp_path / "trainer")
    np.testing.assert_array_equal(arrays["moving average/w"], run.w.as_array())
    np.testing.assert_array_equal(arrays["moving average/e"], run.e.as_array())
