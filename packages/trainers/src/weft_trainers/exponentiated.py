"""Exponentiated gradient: parameters that are probability distributions."""

from __future__ import annotations

import numpy as np

from weft_core.collection import ParameterCollection
from weft_core.files import PathLike
from weft_core.rules import UpdateRule
from weft_core.store import Floats, LookupTable, Slot, parameter_values, seen_values

from .errors import TrainerError
from .part import Part, members, slots_of
from .schedules import CyclicalRate
from .trainer import Trainer


class EGTrainer(Trainer):
    """Exponentiated gradient (Kivinen & Warmuth 1997) with momentum.

    v = mom v - learning_rate g,  w = softmax(ln w + v)

    Each parameter as a whole, and each row of a look-up table, is a distribution: positive numbers of sum 1. In the
    first update that a parameter takes part in, its values must be positive, and are divided by their sum, all rows of
    a table too. An update raises `TrainerError` for other values, and for a collection with weight decay.
    """

    rule = UpdateRule(
        "exponentiated",
        "v = mom * v - rate * g\nw = log(w) + v",
        state=("v",),
        settings=("rate", "mom"),
        softmax=True,
    )
    constants = ("mom", "learning_rate_min", "learning_rate_max", "step_size", "gamma", "cycle", "cyclical")
    text_constants = constants
    # Two tensors for intermediate results, zeg and meg.
    text_fillers = 2

    def __init__(self, m: ParameterCollection, learning_rate: float = 0.1, mom: float = 0.9) -> None:
        super().__init__(m, learning_rate)
        self.mom = float(mom)
        self.learning_rate_min, self.learning_rate_max = 0.01, 0.1
        self.step_size, self.gamma = 2000.0, 1.0
        # Updates since the learning rate began to go up and down.
        self.cycle = 0
        self.cyclical = False
        self._seen: set[int] = set()

    def enable_cyclical(
        self,
        learning_rate_min: float = 0.01,
        learning_rate_max: float = 0.1,
        step_size: float = 2000.0,
        gamma: float = 1.0,
    ) -> None:
        """From now on the learning rate goes up and down as that of `CyclicalSGDTrainer`, from its lowest on."""
        CyclicalRate(learning_rate_min, learning_rate_max, step_size, gamma)
        self.learning_rate = learning_rate_min
        self.learning_rate_min, self.learning_rate_max = float(learning_rate_min), float(learning_rate_max)
        self.step_size, self.gamma = float(step_size), float(gamma)
        self.cycle, self.cyclical = 0, True

    def numbers(self, step: int) -> dict[str, float]:
        return {"rate": self.learning_rate, "mom": self.mom}

    def advance(self) -> None:
        if self.cyclical:
            rate = CyclicalRate(self.learning_rate_min, self.learning_rate_max, self.step_size, self.gamma)
            self.learning_rate = rate(self.cycle)
            self.cycle += 1

    def check(self, parts: list[Part]) -> None:
        new: list[Slot] = []
        for part in parts:
            if part.decay:
                raise TrainerError(
                    f"EGTrainer: the collection has weight decay {part.decay:g}, which would take distributions from "
                    "their sum of 1; call set_weight_decay(0)"
                )
            for slot in slots_of(part.store):
                if slot.updated:
                    first = slot.id not in self._seen
                    self._require_positive(_distributions(slot, seen_values(slot.id)), first)
                    if first:
                        new.append(slot)
        for slot in new:
            values = _distributions(slot, parameter_values(slot.id))
            values /= values.sum(axis=1, keepdims=True)
            self._seen.add(slot.id)

    def _require_positive(self, values: Floats, first: bool) -> None:
        """What is so improbable that it has become 0 may stay so, but nothing can begin there."""
        lowest = values.min()
        if not (lowest > 0 if first else lowest >= 0) or not np.isfinite(values.sum()):
            raise TrainerError(
                f"EGTrainer: parameters and rows of tables are distributions, of positive numbers; found {lowest:g} "
                f"in one of {values.shape[1]} numbers. Initialise them with a positive constant, or from an array"
            )

    def load(self, path: PathLike) -> None:
        super().load(path)
        self._go_on()

    def load_text(self, path: PathLike) -> None:
        super().load_text(path)
        self._go_on()

    def _go_on(self) -> None:
        """What the saved trainer has updated is not begun anew."""
        self._seen.update(p.shape.parameter for p in members(self.model))


def _distributions(slot: Slot, values: Floats) -> Floats:
    """The values with a distribution in each row."""
    return values.reshape(slot.rows if isinstance(slot, LookupTable) else 1, -1)
