"""Clipping, counters, frozen parameters, and what must not change."""

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from weft_core.collection import ParameterCollection
from weft_core.files import ParameterFileError, load_arrays
from weft_trainers import AdagradTrainer, AdamTrainer, MomentumSGDTrainer, SimpleSGDTrainer, Trainer


def test_clipping_scales_all_gradients_to_the_threshold() -> None:
    model = ParameterCollection()
    p, frozen = model.add_parameters((2,), init=0.0), model.add_parameters((2,), init=0.0)
    frozen.set_updated(False)
    table = model.add_lookup_parameters((4, 1), init=0.0)
    p.gradients[...] = [3.0, 0.0]
    frozen.gradients[...] = [0.0, 4.0]
    table._slot.touch([2])
    table.gradients[2] = 12.0
    trainer = SimpleSGDTrainer(model, 1.0)
    trainer.set_clip_threshold(1.3)
    trainer.update()
    np.testing.assert_allclose(p.as_array(), [-0.3, 0.0], rtol=1e-6)
    np.testing.assert_allclose(table.as_array(), [[0.0], [0.0], [-1.2], [0.0]], rtol=1e-6)
    np.testing.assert_array_equal(frozen.as_array(), [0.0, 0.0])
    np.testing.assert_array_equal(frozen.gradients, [0.0, 4.0])
    assert (trainer.clips, trainer.updates) == (1, 1)
    assert trainer.get_clip_threshold() == float(np.float32(1.3))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("part", [False, True])
def test_a_bad_gradient_changes_nothing(bad: float, part: bool) -> None:
    root = ParameterCollection()
    model = root.add_subcollection("part") if part else root
    p = model.add_parameters((3,), init=1.0)
    trainer = AdamTrainer(model)
    p.gradients[...] = [1.0, bad, 2.0]
    with pytest.raises(RuntimeError, match="Magnitude of gradient is bad"):
        trainer.update()
    np.testing.assert_array_equal(p.as_array(), [1.0, 1.0, 1.0])
    assert (trainer.updates, trainer.steps) == (0, 0)
    p.gradients[...] = 1.0
    trainer.update()
    np.testing.assert_allclose(p.as_array(), 1 - 0.001, rtol=1e-6)


def test_a_bad_gradient_elsewhere_does_not_stop_a_part() -> None:
    root = ParameterCollection()
    other = root.add_parameters((3,), init=1.0)
    model = root.add_subcollection("part")
    p = model.add_parameters((3,), init=1.0)
    other.gradients[...] = math.nan
    p.gradients[...] = 1.0
    SimpleSGDTrainer(model, 0.5).update()
    np.testing.assert_array_equal(p.as_array(), [0.5, 0.5, 0.5])
    np.testing.assert_array_equal(other.as_array(), [1.0, 1.0, 1.0])


@pytest.mark.parametrize("kind", [SimpleSGDTrainer, MomentumSGDTrainer, AdagradTrainer, AdamTrainer])
def test_an_empty_collection_is_refused(kind: type[Trainer]) -> None:
    model = ParameterCollection()
    with pytest.raises(RuntimeError, match="no parameters"):
        kind(model).update()
    model.add_parameters((2,))
    with pytest.raises(RuntimeError, match="no parameters"):
        kind(model.add_subcollection("empty")).update()


@pytest.mark.parametrize("kind", [MomentumSGDTrainer, AdagradTrainer, AdamTrainer])
def test_parameters_added_later_start_with_fresh_state(kind: type[Trainer]) -> None:
    model = ParameterCollection()
    first = model.add_parameters((5,), init=0.0)
    trainer = kind(model)
    first.gradients[...] = 0.5
    trainer.update()
    late = model.add_parameters((3000,), init=0.0)  # more than the arena held
    table = model.add_lookup_parameters((2, 3), init=0.0)
    late.gradients[...] = 0.01
    table._slot.touch([1])
    table.gradients[1] = 0.02
    before = first.as_array()
    trainer.update()
    assert (late.values < 0).all() and (late.values == late.values[0]).all()
    assert (table.values[1] < 0).all() and not table.values[0].any()
    # The moment of the first parameter is still there: without a gradient it moves on, Adagrad's stays.
    assert (first.as_array() < before).all() == (kind is not AdagradTrainer)


def test_restart_forgets_moments_and_keeps_the_count() -> None:
    model = ParameterCollection()
    p = model.add_parameters((1,), init=0.0)
    trainer = MomentumSGDTrainer(model, 0.5, mom=0.9)
    p.gradients[...] = 1.0
    trainer.update()
    trainer.restart(0.25)
    before = p.as_array()
    trainer.update()
    np.testing.assert_array_equal(p.as_array(), before)
    assert trainer.learning_rate == 0.25 and trainer.steps == 2


def test_status_writes_and_counts_anew(capsys: pytest.CaptureFixture[str]) -> None:
    model = ParameterCollection()
    p = model.add_parameters((1,), init=0.0)
    trainer = SimpleSGDTrainer(model)
    for gradient in (1.0, 10.0):
        p.gradients[...] = gradient
        trainer.update()
    trainer.status()
    trainer.status()
    assert capsys.readouterr().err == "[lr=0.1 clips=1 updates=2] [lr=0.1 clips=0 updates=0] "


def test_a_whole_table_gradient_updates_all_rows_once() -> None:
    model = ParameterCollection()
    table = model.add_lookup_parameters((3, 1), init=0.0)
    trainer = SimpleSGDTrainer(model, 1.0)
    table._slot.touch([1])
    table._slot.meta[3] = 1
    table.gradients[...] = 1.0
    trainer.update()
    trainer.update()
    np.testing.assert_array_equal(table.as_array(), [[-1.0], [-1.0], [-1.0]])


def test_a_negative_threshold_turns_clipping_off() -> None:
    model = ParameterCollection()
    p = model.add_parameters((1,), init=0.0)
    trainer = SimpleSGDTrainer(model, 1.0)
    trainer.set_clip_threshold(-1)
    p.gradients[...] = 100.0
    trainer.update()
    assert p.as_array() == -100.0 and trainer.get_clip_threshold() == 0.0 and trainer.clips == 0


def test_arguments_are_named_as_in_dynet() -> None:
    model = ParameterCollection()
    assert AdamTrainer(model, alpha=0.125, beta_1=0.8, beta_2=0.9, eps=1e-4).learning_rate == 0.125
    assert MomentumSGDTrainer(model, learning_rate=0.2, mom=0.5).mom == 0.5
    assert AdagradTrainer(model, learning_rate=0.3, eps=1e-3).eps == 1e-3
    with pytest.raises(TypeError):
        AdamTrainer(model, learning_rate=0.1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="ParameterCollection"):
        SimpleSGDTrainer(None)  # type: ignore[arg-type]
    assert SimpleSGDTrainer(model).whoami() == "SimpleSGDTrainer"


@pytest.mark.parametrize("kind", [SimpleSGDTrainer, MomentumSGDTrainer, AdagradTrainer, AdamTrainer])
@pytest.mark.parametrize("part", [False, True])
def test_a_saved_trainer_goes_on_as_if_nothing_had_happened(kind: type[Trainer], part: bool, tmp_path: Path) -> None:
    gradients = np.random.default_rng(0).normal(size=(6, 18))

    def make() -> tuple[Trainer, ParameterCollection]:
        model = ParameterCollection()
        model.add_parameters((7,), init=0.0)
        inner = model.add_subcollection("part") if part else model
        inner.add_parameters((2, 3), init=0.0)
        inner.add_lookup_parameters((3, 2, 2), init=0.0)
        return kind(inner), inner

    def step(trainer: Trainer, model: ParameterCollection, gradient: NDArray[np.float64]) -> None:
        model.parameters_list()[-1].gradients[...] = gradient[:6].reshape(2, 3)
        table = model.lookup_parameters_list()[0]
        table.gradients[...] = gradient[6:].reshape(3, 2, 2)
        table._slot.touch([0, 1, 2])
        trainer.update()

    whole, model = make()
    for gradient in gradients[:3]:
        step(whole, model, gradient)
    whole.set_learning_rate(0.05)
    whole.save(tmp_path / "trainer")
    resumed, other = make()
    for p, q in zip(model.parameters_list(), other.parameters_list()):
        q.set_value(p.as_array())
    other.lookup_parameters_list()[0].init_from_array(model.lookup_parameters_list()[0].as_array())
    resumed.load(tmp_path / "trainer")
    for gradient in gradients[3:]:
        step(whole, model, gradient)
        step(resumed, other, gradient)
    for p, q in zip(model.parameters_list(), other.parameters_list()):
        np.testing.assert_array_equal(p.values, q.values)
    np.testing.assert_array_equal(model.lookup_parameters_list()[0].values, other.lookup_parameters_list()[0].values)
    assert resumed.steps == 6 and resumed.learning_rate == float(np.float32(0.05))


def test_a_file_of_another_trainer_or_model_changes_nothing(tmp_path: Path) -> None:
    model = ParameterCollection()
    p = model.add_parameters((3,), init=0.0)
    adam, other = AdamTrainer(model), ParameterCollection()
    p.gradients[...] = 1.0
    adam.update()
    adam.save(tmp_path / "adam")
    with pytest.raises(ParameterFileError, match="holds the state of AdamTrainer"):
        SimpleSGDTrainer(model).load(tmp_path / "adam")
    other.add_parameters((4,))
    larger = AdamTrainer(other)
    with pytest.raises(ParameterFileError, match="the trainer needs"):
        larger.load(tmp_path / "adam")
    other.add_parameters((3,))
    with pytest.raises(ParameterFileError, match="other parameters"):
        larger.load(tmp_path / "adam")
    assert larger.steps == 0


def test_saved_moments_have_the_indices_of_their_parameters(tmp_path: Path) -> None:
    model = ParameterCollection()
    p = model.add_parameters((2, 3), init=0.0, name="w")
    table = model.add_lookup_parameters((3, 2, 4), init=0.0, name="e")
    p.gradients[...] = np.arange(6).reshape(2, 3)
    table.gradients[...] = np.arange(24).reshape(3, 2, 4)
    table._slot.touch([0, 1, 2])
    trainer = MomentumSGDTrainer(model, 1.0)
    trainer.update()
    trainer.save(tmp_path / "trainer")
    arrays, _ = load_arrays(tmp_path / "trainer")
    # From zero, the first step is the moment itself.
    np.testing.assert_array_equal(arrays["v/w"], p.values)
    np.testing.assert_array_equal(arrays["v/e"], table.values)
    assert (np.diff(-table.values.ravel()) > 0).all()
