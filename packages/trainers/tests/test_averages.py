"""Moving averages: what they are, when they are taken, and how they stand in for the weights."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

import weft_core as dy
from weft_core.collection import ParameterCollection
from weft_trainers import AdamTrainer, SimpleSGDTrainer, Trainer, TrainerError

Array = NDArray[np.float64]


class Model:
    """A weight and a table; gradients are random, the weights after each update are remembered."""

    def __init__(self, kind: Callable[[ParameterCollection], Trainer] = SimpleSGDTrainer) -> None:
        self.random = np.random.default_rng(2)
        self.root = ParameterCollection()
        self.w = self.root.parameters_from_numpy(self.random.normal(size=(2, 3)), "w")
        self.table = self.root.lookup_parameters_from_numpy(self.random.normal(size=(4, 3)), "e")
        self.trainer = kind(self.root)
        self.seen: list[tuple[Array, Array]] = []

    def step(self) -> None:
        self.w.gradients[...] = self.random.normal(size=(2, 3))
        row = int(self.random.integers(4))
        self.table._slot.touch([row])
        self.table.gradients[row] = self.random.normal(size=3)
        self.trainer.update()
        self.seen.append(self.values())

    def values(self) -> tuple[Array, Array]:
        return self.w.as_array(), self.table.as_array()


def assert_values(model: Model, wanted: tuple[Array, Array]) -> None:
    for ours, theirs in zip(model.values(), wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=1e-7)


def exponential(seen: list[tuple[Array, Array]], beta: float) -> tuple[Array, Array]:
    w, e = np.zeros((2, 3)), np.zeros((4, 3))
    for new_w, new_e in seen:
        w, e = beta * w + (1 - beta) * new_w, beta * e + (1 - beta) * new_e
    return w, e


def mean(seen: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    return np.mean([w for w, _ in seen], axis=0), np.mean([e for _, e in seen], axis=0)


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("updates", [1, 7])
@pytest.mark.parametrize("correction", [False, True])
def test_an_exponential_average(every: int, updates: int, correction: bool) -> None:
    model = Model()
    model.trainer.exponential_moving_average(0.75, update_freq=every)
    for _ in range(updates):
        model.step()
    taken = model.seen[::every]
    w, e = exponential(taken, 0.75)
    share = 1 - 0.75 ** len(taken) if correction else 1.0
    model.trainer.swap_params_to_moving_average(bias_correction=correction)
    assert_values(model, (w / share, e / share))
    model.trainer.swap_params_to_weights()
    for ours, theirs in zip(model.values(), model.seen[-1], strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("correction", [False, True])
def test_a_cumulative_average_is_the_mean(every: int, correction: bool) -> None:
    model = Model()
    model.trainer.cumulative_moving_average(every)
    for _ in range(6):
        model.step()
    model.trainer.swap_params_to_moving_average(bias_correction=correction)
    assert_values(model, mean(model.seen[::every]))


@pytest.mark.parametrize("sparse", [True, "lazy"])
def test_averages_are_of_effective_values(sparse: object) -> None:
    """Rows that have missed updates, and weight decay, are in them."""
    model = Model(AdamTrainer)
    model.root.set_weight_decay(0.1)
    model.trainer.set_sparse_updates(sparse)  # type: ignore[arg-type]
    model.trainer.cumulative_moving_average()
    for _ in range(5):
        model.step()
    with model.trainer.averaged():
        assert_values(model, mean(model.seen))


def test_an_update_while_averages_stand_in_is_refused() -> None:
    model = Model()
    model.trainer.cumulative_moving_average()
    model.step()
    model.step()
    model.trainer.swap_params_to_moving_average()
    averages = model.values()
    model.trainer.swap_params_to_moving_average()
    assert_values(model, averages)
    for act in (
        model.trainer.update,
        lambda: model.trainer.update_subset([0]),
        lambda: model.trainer.save("nowhere"),
        lambda: model.trainer.load("nowhere"),
        lambda: model.trainer.save_text("nowhere"),
        lambda: model.trainer.load_text("nowhere"),
        lambda: model.trainer.exponential_moving_average(0.9),
    ):
        with pytest.raises(TrainerError, match="call swap_params_to_weights"):
            act()
    assert_values(model, averages)
    assert model.trainer.updates == 2
    model.trainer.swap_params_to_weights()
    model.trainer.swap_params_to_weights()
    model.step()
    model.trainer.swap_params_to_moving_average()
    assert_values(model, mean(model.seen))


def test_weights_that_were_not_kept() -> None:
    model = Model()
    model.trainer.exponential_moving_average(0.5)
    model.step()
    model.trainer.swap_params_to_moving_average(save_weights=False)
    for act in (model.trainer.swap_params_to_weights, model.trainer.update):
        with pytest.raises(TrainerError, match="begin new ones"):
            act()
    model.trainer.cumulative_moving_average()
    model.step()
    model.trainer.swap_params_to_moving_average()
    assert_values(model, model.seen[-1])


def test_there_must_be_an_average() -> None:
    model = Model()
    with pytest.raises(TrainerError, match="no moving average yet"):
        model.trainer.swap_params_to_moving_average()
    model.trainer.swap_params_to_weights()
    model.trainer.cumulative_moving_average()
    with pytest.raises(TrainerError, match="no moving average yet"), model.trainer.averaged():
        pass


@pytest.mark.parametrize("beta", [-0.1, 1.0, float("nan")])
def test_beta_is_a_share(beta: float) -> None:
    with pytest.raises(ValueError, match="0 <= beta < 1"):
        Model().trainer.exponential_moving_average(beta)


def test_every_so_many_updates_is_at_least_one() -> None:
    for act in (lambda t: t.exponential_moving_average(0.5, 0), lambda t: t.cumulative_moving_average(-1)):
        with pytest.raises(ValueError, match="at least 1"):
            act(Model().trainer)
    with pytest.raises(TypeError):
        Model().trainer.cumulative_moving_average(1.5)  # type: ignore[arg-type]


def test_beta_zero_is_the_weight_itself() -> None:
    model = Model()
    model.trainer.exponential_moving_average(0)
    model.step()
    model.step()
    model.trainer.swap_params_to_moving_average(bias_correction=True)
    assert_values(model, model.seen[-1])


@pytest.mark.parametrize("kind", ["exponential", "cumulative"])
def test_parameters_added_later_have_their_own_count(kind: str) -> None:
    model = Model()
    if kind == "exponential":
        model.trainer.exponential_moving_average(0.5)
    else:
        model.trainer.cumulative_moving_average()
    for _ in range(3):
        model.step()
    late = model.root.add_parameters((3000,), init=2.0)
    late_table = model.root.add_lookup_parameters((2, 3), init=4.0)
    with model.trainer.averaged(bias_correction=True):
        # It has no average yet.
        assert (late.as_array() == 2.0).all()
    model.step()
    model.step()
    last = model.root.add_parameters((2,), init=8.0)
    with model.trainer.averaged(bias_correction=True):
        # Their gradients were zero: an average of equal numbers, whatever their count.
        np.testing.assert_allclose(late.as_array(), 2.0, rtol=1e-6)
        np.testing.assert_allclose(late_table.as_array(), 4.0, rtol=1e-6)
        assert (last.as_array() == 8.0).all()
        w, e = mean(model.seen) if kind == "cumulative" else exponential(model.seen, 0.5)
        share = 1.0 if kind == "cumulative" else 1 - 0.5**5
        assert_values(model, (w / share, e / share))
    assert (late.as_array() == 2.0).all()


def test_averages_of_a_part_leave_the_rest_alone() -> None:
    root = ParameterCollection()
    outside = root.add_parameters((2,), 1.0)
    part = root.add_subcollection("part")
    inside = part.add_parameters((2,), 1.0)
    trainer = SimpleSGDTrainer(part, 1.0)
    trainer.cumulative_moving_average()
    for _ in range(2):
        inside.gradients[...] = 1.0
        trainer.update()
    with trainer.averaged():
        assert inside.as_array().tolist() == [-0.5, -0.5] and outside.as_array().tolist() == [1.0, 1.0]
    assert inside.as_array().tolist() == [-1.0, -1.0]


def test_the_block_gives_the_weights_back_after_an_error() -> None:
    model = Model()
    model.trainer.cumulative_moving_average()
    model.step()
    model.step()
    with pytest.raises(KeyError), model.trainer.averaged():
        dy.renew_cg()
        np.testing.assert_allclose((model.w * 1.0).npvalue(), mean(model.seen)[0], rtol=1e-6)
        with model.trainer.averaged():
            pass
        np.testing.assert_allclose(model.w.as_array(), mean(model.seen)[0], rtol=1e-6)
        raise KeyError
    np.testing.assert_array_equal(model.w.as_array(), model.seen[-1][0])


def test_switching_on_again_begins_anew() -> None:
    model = Model()
    model.trainer.exponential_moving_average(0.5)
    model.step()
    model.trainer.cumulative_moving_average(2)
    model.step()
    model.step()
    model.step()
    with model.trainer.averaged():
        assert_values(model, mean(model.seen[1::2]))
