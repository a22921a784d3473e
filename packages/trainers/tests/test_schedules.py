"""Schedules of learning rates: their formulas, their ends, and one line in a loop."""

import math

import pytest

from weft_core.collection import ParameterCollection
from weft_trainers import (
    CosineDecay,
    CyclicalRate,
    CyclicalSGDTrainer,
    ExponentialDecay,
    InverseSquareRoot,
    InverseTimeDecay,
    LinearDecay,
    LinearWarmup,
    SimpleSGDTrainer,
    StepDecay,
)
from weft_trainers.schedules import Schedule

VALUES: list[tuple[Schedule, dict[float, float]]] = [
    (InverseTimeDecay(0.1, 0.5), {0: 0.1, 1: 0.1 / 1.5, 2: 0.05, 6: 0.025}),
    (ExponentialDecay(0.2, 0.5), {0: 0.2, 1: 0.1, 3: 0.025}),
    (StepDecay(1.0, 0.1, 10), {0: 1.0, 9: 1.0, 10: 0.1, 19: 0.1, 20: 0.01}),
    (LinearDecay(1.0, 4), {0: 1.0, 1: 0.75, 4: 0.0, 9: 0.0}),
    (LinearDecay(1.0, 4, lowest=0.2), {0: 1.0, 2: 0.6, 4: 0.2, 5: 0.2}),
    (CosineDecay(1.0, 4, lowest=0.2), {0: 1.0, 2: 0.6, 4: 0.2, 7: 0.2, 1: 0.6 + 0.4 * math.sqrt(0.5)}),
    (LinearWarmup(0.4, 4), {0: 0.1, 1: 0.2, 3: 0.4, 100: 0.4}),
    (LinearWarmup(StepDecay(0.4, 0.5, 6), 4), {0: 0.1, 3: 0.4, 5: 0.4, 6: 0.2}),
    (InverseSquareRoot(0.3, 4), {0: 0.075, 3: 0.3, 15: 0.15}),
    (CyclicalRate(0.1, 0.5, 2), {0: 0.1, 1: 0.3, 2: 0.5, 3: 0.3, 4: 0.1, 6: 0.5}),
    (CyclicalRate(0.1, 0.5, 2, gamma=0.5), {0: 0.1, 1: 0.2, 2: 0.2}),
]


@pytest.mark.parametrize(("schedule", "values"), VALUES, ids=lambda x: type(x).__name__)
def test_rates(schedule: Schedule, values: dict[float, float]) -> None:
    for step, rate in values.items():
        assert schedule(step) == pytest.approx(rate, rel=1e-12, abs=1e-15)


def test_the_rate_of_the_transformer_paper() -> None:
    schedule = InverseSquareRoot.noam(512, 4000)
    for t in (1, 10, 3999, 4000, 4001, 100_000):
        assert schedule(t - 1) == pytest.approx(512**-0.5 * min(t**-0.5, t * 4000**-1.5))


BAD = [
    (lambda: InverseTimeDecay(0.1, -1), "decay must be at least 0"),
    (lambda: ExponentialDecay(0.1, -0.5), "decay must be at least 0"),
    (lambda: StepDecay(0.1, 0.5, 0), "every must be above 0"),
    (lambda: StepDecay(0.1, -0.5, 1), "factor must be at least 0"),
    (lambda: LinearDecay(0.1, 0), "LinearDecay: steps"),
    (lambda: CosineDecay(0.1, math.nan), "CosineDecay: steps"),
    (lambda: LinearWarmup(0.1, 0), "LinearWarmup: steps"),
    (lambda: InverseSquareRoot(0.1, 0), "warmup must be above 0"),
    (lambda: InverseSquareRoot.noam(0, 10), "size and warmup"),
    (lambda: CyclicalRate(0.1, 0.2, 0), "CyclicalRate: steps"),
    (lambda: ExponentialDecay(0.1, 0.5)(-1), "counts steps from 0"),
    (lambda: LinearWarmup(0.1, 3)(-1), "counts steps from 0"),
]


@pytest.mark.parametrize(("make", "complaint"), BAD)
def test_what_makes_no_schedule(make: object, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()  # type: ignore[operator]


def test_in_one_line_of_a_loop() -> None:
    model = ParameterCollection()
    w = model.add_parameters((1,), init=0.0)
    trainer = SimpleSGDTrainer(model)
    schedule = StepDecay(0.5, 0.5, every=2)
    for epoch in range(4):
        trainer.learning_rate = schedule(epoch)
        w.gradients[...] = 1.0
        trainer.update()
    assert w.as_array() == -(0.5 + 0.5 + 0.25 + 0.25)


def test_a_cyclical_trainer_sets_its_rate_after_every_update() -> None:
    model = ParameterCollection()
    w = model.add_parameters((1,), init=0.0)
    trainer = CyclicalSGDTrainer(model, 0.25, 0.75, step_size=2)
    rates = []
    for step in range(6):
        rates.append(trainer.learning_rate)
        if step == 3:
            trainer.learning_rate = 8.0
        w.gradients[...] = 1.0
        trainer.update()
    assert rates == [0.25, 0.25, 0.5, 0.75, 0.5, 0.25]
    assert w.as_array() == -(0.25 + 0.25 + 0.5 + 8.0 + 0.5 + 0.25)
    with pytest.raises(ValueError, match="steps must be above 0"):
        CyclicalSGDTrainer(model, step_size=0)
