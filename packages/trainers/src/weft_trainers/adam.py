"""Adam, and the variant whose steps cannot grow again."""

from __future__ import annotations

import math

from weft_core.collection import ParameterCollection
from weft_core.rules import Idle, UpdateRule

from .trainer import Trainer


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
            shrinks="(abs(rate) * keep_m <= abs(last_rate) * sqrt(keep_v) * kept) and (eps == last_eps)",
            decays=(("m", "keep_m"), ("v", "keep_v")),
        ),
    )
    constants = ("beta_1", "beta_2", "eps")

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


class AmsgradTrainer(AdamTrainer):
    """AMSGrad (Reddi, Kale & Kumar 2018): Adam with the largest v so far in the place of v.

    m = beta_1 m + (1 - beta_1) g,  v = beta_2 v + (1 - beta_2) g**2,  x = max(x, v)
    w -= alpha sqrt(1 - beta_2**t) / (1 - beta_1**t) m / (sqrt(x) + eps)
    """

    rule = UpdateRule(
        "amsgrad",
        """
        m = keep_m * m + take_m * g
        v = keep_v * v + take_v * g * g
        x = maximum(x, v)
        w = w - rate * m / (sqrt(x) + eps)""",
        state=("m", "v", "x"),
        settings=AdamTrainer.rule.settings,
        idle=Idle(
            """
            m = keep_m * m
            v = keep_v * v
            x = maximum(x, v)
            w = w - rate * m / (sqrt(x) + eps)""",
            # The denominator never shrinks, and x is at least v from its first update on.
            shrinks="(abs(rate) * keep_m <= abs(last_rate) * kept) and (eps == last_eps) and (keep_v <= 1)",
            decays=(("m", "keep_m"), ("v", "keep_v"), ("x", "")),
        ),
    )
