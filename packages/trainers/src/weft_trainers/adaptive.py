"""Rules that divide a step by the size of earlier gradients, element by element."""

from __future__ import annotations

from weft_core.collection import ParameterCollection
from weft_core.rules import Idle, UpdateRule

from .trainer import Trainer


class AdagradTrainer(Trainer):
    """Adagrad (Duchi, Hazan & Singer 2011): `h += g**2`, `w -= learning_rate g / sqrt(h + eps)`."""

    rule = UpdateRule(
        "adagrad",
        "h = h + g * g\nw = w - rate * g / sqrt(h + eps)",
        state=("h",),
        settings=("rate", "eps"),
        idle=Idle(""),
    )
    constants = ("eps",)

    def __init__(self, m: ParameterCollection, learning_rate: float = 0.1, eps: float = 1e-20) -> None:
        super().__init__(m, learning_rate)
        self.eps = float(eps)

    def numbers(self, step: int) -> dict[str, float]:
        return {"rate": self.learning_rate, "eps": self.eps}


class AdadeltaTrainer(Trainer):
    """Adadelta (Zeiler 2012): steps as large as recent ones were. Its learning rate reads 1.0 and has no effect.

    h = rho h + (1 - rho) g**2,  step = -g sqrt(d + eps) / sqrt(h + eps),  d = rho d + (1 - rho) step**2,  w += step
    """

    rule = UpdateRule(
        "adadelta",
        """
        h = keep * h + take * g * g
        step = -g * sqrt(d + eps) / sqrt(h + eps)
        d = keep * d + take * step * step
        w = w + step""",
        state=("h", "d"),
        settings=("keep", "take", "eps"),
        idle=Idle("h = keep * h\nd = keep * d", decays=(("h", "keep"), ("d", "keep"))),
    )
    constants = ("eps", "rho")

    def __init__(self, m: ParameterCollection, eps: float = 1e-6, rho: float = 0.95) -> None:
        super().__init__(m, 1.0)
        self.eps, self.rho = float(eps), float(rho)

    def numbers(self, step: int) -> dict[str, float]:
        return {"keep": self.rho, "take": 1 - self.rho, "eps": self.eps}


class RMSPropTrainer(Trainer):
    """RMSProp (Tieleman & Hinton 2012): `h = rho h + (1 - rho) g**2`, `w -= learning_rate g / sqrt(h + eps)`."""

    rule = UpdateRule(
        "rmsprop",
        "h = keep * h + take * g * g\nw = w - rate * g / sqrt(h + eps)",
        state=("h",),
        settings=("rate", "keep", "take", "eps"),
        idle=Idle("h = keep * h", decays=(("h", "keep"),)),
    )
    constants = ("eps", "rho")

    def __init__(
        self, m: ParameterCollection, learning_rate: float = 0.001, eps: float = 1e-8, rho: float = 0.9
    ) -> None:
        super().__init__(m, learning_rate)
        self.eps, self.rho = float(eps), float(rho)

    def numbers(self, step: int) -> dict[str, float]:
        return {"rate": self.learning_rate, "keep": self.rho, "take": 1 - self.rho, "eps": self.eps}
