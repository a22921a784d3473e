"""The loop itself, with a model that is one number: f(x) = (x - 3)^2 by gradient descent."""

import io
import math
from dataclasses import dataclass, field

import pytest

from weft_trainers.loop import Bar, Epoch, Fit, fit


@dataclass
class Parabola:
    x: float = 0.0
    gradient: float = 0.0
    updates: int = 0
    fail_at: int = -1
    bests: list[int] = field(default_factory=list)

    def loss(self, batch: list[float]) -> "Parabola":
        return self

    def value(self) -> float:
        return math.nan if self.updates == self.fail_at else (self.x - 3) ** 2

    def backward(self) -> None:
        self.gradient = 2 * (self.x - 3)

    def update(self) -> None:
        self.x -= 0.1 * self.gradient
        self.updates += 1

    def score(self) -> float:
        return -self.value()

    def keep(self, epoch: Epoch) -> None:
        self.bests.append(epoch.number)

    def run(self, epochs: int = 3, **options: object) -> Fit:
        batches = [[1.0, 2.0], [3.0]]
        evaluate = options.pop("evaluate", self.score)
        return fit(self.loss, lambda epoch: batches, self, evaluate, self.keep, epochs, **options)  # type: ignore[arg-type]


def test_it_descends_and_keeps_the_best() -> None:
    model = Parabola()
    result = model.run()
    assert model.updates == 6
    assert model.x == pytest.approx(3 - 3 * 0.8**6)
    assert model.bests == [1, 2, 3]
    assert not result.interrupted
    # Mean over items: the first batch has two of them.
    assert result.epochs[0].loss == pytest.approx((2 * 9 + 9 * 0.64) / 3)
    assert result.epochs[0].items == 3


def test_only_a_better_score_is_kept() -> None:
    model = Parabola()
    scores = iter([0.5, 0.4, 0.5, 0.6])
    result = model.run(4, evaluate=lambda: next(scores))
    assert model.bests == [1, 4]
    assert result.best is not None and result.best.number == 4


def test_interruption_keeps_what_was_done() -> None:
    model = Parabola()
    calls = 0

    def evaluate() -> float:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return 1.0

    result = model.run(5, evaluate=evaluate)
    assert result.interrupted
    assert [epoch.number for epoch in result.epochs] == [1]
    assert model.bests == [1]


def test_a_loss_that_is_not_finite_never_reaches_the_parameters() -> None:
    model = Parabola(fail_at=3)
    with pytest.raises(FloatingPointError, match="loss of batch 2 in epoch 2 is nan"):
        model.run()
    assert model.updates == 3


def test_time_limit_cuts_the_epoch_and_still_measures() -> None:
    model = Parabola()
    result = model.run(5, time_limit=1e-9)
    assert result.out_of_time
    assert len(result.epochs) == 1
    assert model.updates == 1
    assert model.bests == [1]


@pytest.mark.parametrize("epochs", [0, -1])
def test_no_epoch(epochs: int) -> None:
    with pytest.raises(ValueError, match="at least one epoch"):
        Parabola().run(epochs)


def test_no_batch() -> None:
    model = Parabola()
    with pytest.raises(ValueError, match="no batch for epoch 1"):
        fit(model.loss, lambda epoch: [], model, model.score, model.keep, 1)


def test_the_bar_shows_loss_and_rate() -> None:
    screen = io.StringIO()
    bar = Bar("words", screen)
    bar.start(1, 2, 1)
    bar.step(10, 0.5)
    bar.end()
    assert "epoch 1/2" in screen.getvalue()
    assert "words/s" in screen.getvalue()
    assert "loss 0.5000" in screen.getvalue()
