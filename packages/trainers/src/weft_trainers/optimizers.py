"""Update rules as formulas: `w` the parameter, `g` its clipped gradient, the rest moments and settings."""

from __future__ import annotations

import math

from weft_core.collection import ParameterCollection
from weft_core.rules import Idle, UpdateRule

from .trainer import Trainer


class SimpleSGDTrainer(Trainer):
    """Stochastic gradient descent: `w -= learning_rate g`."""

    rule = UpdateRule("sgd", "w = w - rate * g", settings=("rate",), idle=Idle(""))

    def __init__(self, m: ParameterCollection, learning_rate: float = 0.1) -> None:
        super().__init__(m, learning_rate)

    def numbers(self, step: int) -> dict[str, float]:
        return {"rate": self.learning_rate}


class MomentumSGDTrainer(Trainer):
    """Gradient descent with momentum (Polyak 1964): `v = mom v - learning_rate g`, `w += v`."""

    rule = UpdateRule(
        "momentum",
        "v = mom * v - rate * g\nw = w + v",
        state=("v",),
        settings=("rate", "mom"),
        idle=Idle("v = mom * v\nw = w + v", shrinks="abs(mom) <= 1", decays=(("v", "mom"),)),
    )

    def __init__(self, m: ParameterCollection, learning_rate: float = 0.01, mom: float = 0.9) -> None:
        super().__init__(m, learning_rate)
        self.mom = float(mom)

    def numbers(self, step: int) -> dict[str, float]:
        return {"rate": self.learning_rate, "mom": self.mom}


class AdagradTrainer(Trainer):
    """Adagrad (Duchi, Hazan & Singer 2011): `h += g**2`, `w -= learning_rate g / sqrt(h + eps)`."""

    rule = UpdateRule(
        "adagrad",
        "h = h + g * g\nw = w - rate * g / sqrt(h + eps)",
        state=("h",),
        settings=("rate", "eps"),
        idle=Idle(""),
    )

    def __init__(self, m: ParameterCollection, learning_rate: float = 0.1, eps: float = 1e-20) -> None:
        super().__init__(m, learning_rate)
        self.eps = float(eps)

    def numbers(self, step: int) -> dict[str, float]:
        return {"rate": self.learning_rate, "eps": self.eps}


class AdamTrainer(Trainer):
    """Adam (Kingma & Ba 2015), the bias correction of update t, counted over all updates, in the learning rate.

    m = beta_1 m + (1 - beta_1) g,  v = beta_2 v + (1 - beta_2) g**2
    w -= alpha sqrt(1 - beta_2**t) / (1 - beta_1**t) m / (sqrt(v) + eps)
    """

    rule = UpdateRule(
        "adam",
        """
        m = keep_m * m + take_m * g
        v = keep_v * v + take_v * g * g
        w = w - rate * m / (sqrt(v) + eps)""",
        state=("m", "v"),
        # What is kept and taken are two settings: 1 - beta_2 in float32 has only four right digits.
        settings=("rate", "keep_m", "take_m", "keep_v", "take_v", "eps"),
        idle=Idle(
            """
            m = keep_m * m
            v = keep_v * v
            w = w - rate * m / (sqrt(v) + eps)""",
            # The numerator shrinks by keep_m and the denominator by at most sqrt(keep_v).
            shrinks="(abs(rate) * keep_m <= abs(last_rate) * sqrt(keep_v)) and (eps == last_eps)",
            decays=(("m", "keep_m"), ("v", "keep_v")),
        ),
    )

    def __init__(
        self,
        m: ParameterCollection,
        alpha: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        eps: float = 1e-8,
    ) -> None:
        super().__init__(m, alpha)
        self.beta_1, self.beta_2, self.eps = float(beta_1), float(beta_2), float(eps)

    def numbers(self, step: int) -> dict[str, float]:
        correction = math.sqrt(1 - self.beta_2**step) / (1 - self.beta_1**step)
        return {
            "rate": self.learning_rate * correction,
            "keep_m": self.beta_1,
            "take_m": 1 - self.beta_1,
            "keep_v": self.beta_2,
            "take_v": 1 - self.beta_2,
            "eps": self.eps,
        }
