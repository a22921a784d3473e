"""Trainers of parameters and moments that a backend keeps in memory of its own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from weft_core.collection import ParameterCollection
from weft_testing.elsewhere import take_away
from weft_trainers import AdamTrainer, EGTrainer, MomentumSGDTrainer, Trainer
from weft_trainers.part import part_of


class Run:
    """A trainer of two matrices in collections of different weight decay, and a table; perhaps taken away again and
    again."""

    def __init__(self, kind: type[Trainer], away: bool, decay: bool = True) -> None:
        self.away = away
        self.model = ParameterCollection()
        below = self.model.add_subcollection("below")
        self.W = self.model.add_parameters((3, 2), 0.25)
        self.V = below.add_parameters((2, 2), 0.5)
        self.E = self.model.add_lookup_parameters((4, 3), 0.125)
        if decay:
            below.set_weight_decay(0.25)
        self.trainer = kind(self.model)  # type: ignore[call-arg]
        self.turn = 0

    def take_away(self) -> None:
        if self.away:
            take_away(self.model.store, self.trainer.state)

    def update(self) -> None:
        """Gradients that differ in every turn, then an update."""
        self.turn += 1
        self.take_away()
        for p in (self.W, self.V):
            p.gradients[...] = np.arange(p.gradients.size).reshape(p.gradients.shape) / 8 - self.turn
        self.E.gradients[self.turn] = self.turn
        self.model.store.tables[0].touch([self.turn])
        self.take_away()
        self.trainer.update()
        self.take_away()

    def arrays(self) -> list[np.ndarray]:
        self.take_away()
        state = self.trainer.state
        found = [a for p in (self.W, self.V, self.E) for a in (p.as_array(), p.grad_as_array())]
        return [*found, *(a.copy() for a in (*state.dense.values(), *state.tables.values()))]


def saved(run: Run, path: Path) -> None:
    run.trainer.save(path / "state")
    run.update()
    run.take_away()
    run.trainer.load(path / "state")


def saved_text(run: Run, path: Path) -> None:
    run.trainer.save_text(path / "state")
    run.update()
    run.take_away()
    run.trainer.load_text(path / "state")


def averaged(run: Run, path: Path) -> None:
    run.trainer.exponential_moving_average(0.5)
    run.update()
    run.trainer.swap_params_to_moving_average()
    run.take_away()
    run.trainer.swap_params_to_weights()
    run.trainer.swap_params_to_moving_average(save_weights=False)


def lazily(run: Run, path: Path) -> None:
    run.trainer.set_sparse_updates("lazy")
    run.update()
    run.update()


def some(run: Run, path: Path) -> None:
    run.V.gradients[...] = 1
    run.take_away()
    run.trainer.update_subset([run.V], [run.E])


def grown(run: Run, path: Path) -> None:
    run.model.add_parameters((40, 40), 0.0)
    run.update()


ACTIONS: dict[str, Callable[[Run, Path], None]] = {
    "update": lambda run, path: run.update(),
    "save": saved,
    "save text": saved_text,
    "average": averaged,
    "lazy": lazily,
    "subset": some,
    "restart": lambda run, path: run.trainer.restart(),
    "grown": grown,
}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("kind", [AdamTrainer, MomentumSGDTrainer])
def test_everything_may_be_away_at_any_time(kind: type[Trainer], action: str, tmp_path: Path) -> None:
    runs = [Run(kind, away) for away in (True, False)]
    for run in runs:
        run.update()
        ACTIONS[action](run, tmp_path)
    for found, right in zip(runs[0].arrays(), runs[1].arrays(), strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-6)


def test_distributions_may_be_away() -> None:
    runs = [Run(EGTrainer, away, decay=False) for away in (True, False)]
    for run in runs:
        run.update()
        run.update()
    for found, right in zip(runs[0].arrays(), runs[1].arrays(), strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-6)


def test_the_check_of_distributions_leaves_them_where_they_are() -> None:
    run = Run(EGTrainer, False, decay=False)
    run.update()
    taken = take_away(run.model.store)
    run.trainer.check(run.trainer._present_parts())
    assert not any(elsewhere.released for elsewhere in taken.values())


def test_averages_are_taken_of_values_that_stay_away() -> None:
    run = Run(AdamTrainer, False)
    run.trainer.cumulative_moving_average()
    average = run.trainer.average
    assert average is not None
    taken = take_away(run.model.store)
    average.take(run.model.store)
    assert not any(elsewhere.released for elsewhere in taken.values())
    np.testing.assert_array_equal(average.of(run.model.store, run.model.store.tables[0]), 0.125)


def test_a_part_of_a_store_has_its_numbers_where_the_store_has_them() -> None:
    run = Run(AdamTrainer, False)
    part = part_of(run.model.store, [run.W])
    take_away(run.model.store)
    part.values[:2] = 7
    assert run.W.as_array().ravel(order="F")[:3].tolist() == [7, 7, 0.25]
    run.model.add_parameters((50, 50))
    assert part.values is run.model.store.values
