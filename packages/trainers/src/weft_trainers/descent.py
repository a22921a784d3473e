"""Gradient descent: plain, with a learning rate that goes up and down, and with momentum."""

from __future__ import annotations

from weft_core.collection import ParameterCollection
from weft_core.rules import Idle, UpdateRule

from .schedules import CyclicalRate
from .trainer import Trainer


class SimpleSGDTrainer(Trainer):
    """Stochastic gradient descent: `w -= learning_rate g`."""

    rule = UpdateRule("sgd", "w = w - rate * g", settings=("rate",), idle=Idle(""))

    def __init__(self, m: ParameterCollection, learning_rate: float = 0.1) -> None:
        super().__init__(m, learning_rate)

    def numbers(self, step: int) -> dict[str, float]:
        return {"rate": self.learning_rate}


class CyclicalSGDTrainer(SimpleSGDTrainer):
    """Gradient descent whose learning rate goes up and down between two rates (Smith 2017).

    From `learning_rate_min` in the first two updates to `learning_rate_max` in `step_size` updates and back in as many,
    the top falling by `gamma` an update: `CyclicalRate`. It is set after every update, also where it was set by hand.
    """

    constants = ("learning_rate_min", "learning_rate_max", "step_size", "gamma")
    text_constants = ()

    def __init__(
        self,
        m: ParameterCollection,
        learning_rate_min: float = 0.01,
        learning_rate_max: float = 0.1,
        step_size: float = 2000.0,
        gamma: float = 1.0,
    ) -> None:
        super().__init__(m, learning_rate_min)
        self.learning_rate_min, self.learning_rate_max = float(learning_rate_min), float(learning_rate_max)
        self.step_size, self.gamma = float(step_size), float(gamma)
        self._cycle()

    def _cycle(self) -> CyclicalRate:
        return CyclicalRate(self.learning_rate_min, self.learning_rate_max, self.step_size, self.gamma)

    def advance(self) -> None:
        self.learning_rate = self._cycle()(self.steps - 1)


class MomentumSGDTrainer(Trainer):
    """Gradient descent with momentum (Polyak 1964): `v = mom v - learning_rate g`, `w += v`."""

    rule = UpdateRule(
        "momentum",
        "v = mom * v - rate * g\nw = w + v",
        state=("v",),
        settings=("rate", "mom"),
        idle=Idle("v = mom * v\nw = w + v", shrinks="abs(mom) <= kept", decays=(("v", "mom"),)),
    )
    constants = ("mom",)

    def __init__(self, m: ParameterCollection, learning_rate: float = 0.01, mom: float = 0.9) -> None:
        super().__init__(m, learning_rate)
        self.mom = float(mom)

    def numbers(self, step: int) -> dict[str, float]:
        return {"rate": self.learning_rate, "mom": self.mom}
