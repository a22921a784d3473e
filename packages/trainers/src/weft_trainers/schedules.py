"""Learning rates that change: a schedule gives the rate of a step, an epoch or an update, counted from 0.

for epoch in range(20):
    trainer.learning_rate = schedule(epoch)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

Schedule: TypeAlias = Callable[[float], float]


@dataclass(frozen=True)
class InverseTimeDecay:
    """`rate / (1 + decay step)` (Robbins & Monro 1951): DyNet 1's argument `edecay`, with epochs as steps."""

    rate: float
    decay: float

    def __post_init__(self) -> None:
        _at_least(self, 0, decay=self.decay)

    def __call__(self, step: float) -> float:
        return self.rate / (1 + self.decay * _counted(step))


@dataclass(frozen=True)
class ExponentialDecay:
    """`rate decay**step`, with `decay` just below 1."""

    rate: float
    decay: float

    def __post_init__(self) -> None:
        _at_least(self, 0, decay=self.decay)

    def __call__(self, step: float) -> float:
        return self.rate * math.pow(self.decay, _counted(step))


@dataclass(frozen=True)
class StepDecay:
    """`rate factor**floor(step / every)`: the rate falls at once after every so many steps."""

    rate: float
    factor: float
    every: float

    def __post_init__(self) -> None:
        _at_least(self, 0, factor=self.factor)
        _above_zero(self, every=self.every)

    def __call__(self, step: float) -> float:
        return self.rate * math.pow(self.factor, math.floor(_counted(step) / self.every))


@dataclass(frozen=True)
class LinearDecay:
    """`rate + (lowest - rate) min(step / steps, 1)`: in a straight line to `lowest`, which then stays."""

    rate: float
    steps: float
    lowest: float = 0.0

    def __post_init__(self) -> None:
        _above_zero(self, steps=self.steps)

    def __call__(self, step: float) -> float:
        return self.rate + (self.lowest - self.rate) * min(_counted(step) / self.steps, 1.0)


@dataclass(frozen=True)
class CosineDecay:
    """`lowest + (rate - lowest) (1 + cos(pi min(step / steps, 1))) / 2`: Loshchilov & Hutter 2017, without restarts."""

    rate: float
    steps: float
    lowest: float = 0.0

    def __post_init__(self) -> None:
        _above_zero(self, steps=self.steps)

    def __call__(self, step: float) -> float:
        turn = math.pi * min(_counted(step) / self.steps, 1.0)
        return self.lowest + (self.rate - self.lowest) * (1 + math.cos(turn)) / 2


@dataclass(frozen=True)
class LinearWarmup:
    """`min((step + 1) / steps, 1) then(step)`: a rate, or the rates of another schedule, from near zero on.

    Goyal et al. 2017. `then` is a schedule or a number; it counts from the first step of the warm-up.
    """

    then: Schedule | float
    steps: float

    def __post_init__(self) -> None:
        _above_zero(self, steps=self.steps)

    def __call__(self, step: float) -> float:
        rate = self.then(step) if callable(self.then) else self.then
        return rate * min((_counted(step) + 1) / self.steps, 1.0)


@dataclass(frozen=True)
class InverseSquareRoot:
    """`rate min(t / warmup, sqrt(warmup / t))`, `t = step + 1`: the rate of Vaswani et al. 2017, `rate` at its highest.

    Their constant is `InverseSquareRoot.noam(size, warmup)`: `size**-0.5 min(t**-0.5, t warmup**-1.5)`.
    """

    rate: float
    warmup: float

    def __post_init__(self) -> None:
        _above_zero(self, warmup=self.warmup)

    @classmethod
    def noam(cls, size: int, warmup: float) -> InverseSquareRoot:
        """The schedule for a model with hidden vectors of `size` numbers."""
        if not size > 0 or not warmup > 0:
            raise ValueError(f"InverseSquareRoot.noam: size and warmup must be above 0, got {size} and {warmup}")
        return cls((size * warmup) ** -0.5, warmup)

    def __call__(self, step: float) -> float:
        t = _counted(step) + 1
        return self.rate * min(t / self.warmup, math.sqrt(self.warmup / t))


@dataclass(frozen=True)
class CyclicalRate:
    """Up and down between two rates, `steps` each way, the top falling by `gamma` a step (Smith 2017).

    `lowest + (highest - lowest) max(0, 1 - x) gamma**step`, where `x = |step / steps - 2 cycle + 1|` and
    `cycle = floor(1 + step / (2 steps))`.
    """

    lowest: float
    highest: float
    steps: float
    gamma: float = 1.0

    def __post_init__(self) -> None:
        _above_zero(self, steps=self.steps)

    def __call__(self, step: float) -> float:
        cycle = math.floor(1 + _counted(step) / (2 * self.steps))
        x = abs(step / self.steps - 2 * cycle + 1)
        return self.lowest + (self.highest - self.lowest) * max(0.0, 1 - x) * math.pow(self.gamma, step)


def _counted(step: float) -> float:
    if not step >= 0:
        raise ValueError(f"a schedule counts steps from 0, got {step}")
    return step


def _at_least(schedule: object, least: float, **numbers: float) -> None:
    for name, number in numbers.items():
        if not number >= least:
            raise ValueError(f"{type(schedule).__name__}: {name} must be at least {least}, got {number}")


def _above_zero(schedule: object, **numbers: float) -> None:
    for name, number in numbers.items():
        if not number > 0:
            raise ValueError(f"{type(schedule).__name__}: {name} must be above 0, got {number}")
