"""The trainer: clips gradients, applies an update rule to a collection, counts."""

from __future__ import annotations

import math
import sys
from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, Literal, Self, TypeAlias

import numpy as np

from weft_core.collection import ParameterCollection
from weft_core.files import PathLike
from weft_core.lazy import clear_arrears, update_at_once, update_lazily
from weft_core.parameters import LookupParameters, Parameters, StoredParameter
from weft_core.rules import KEPT, RuleState, UpdateRule
from weft_core.settings import settings
from weft_core.store import ParameterStore, addresses

from . import memory, text
from .arguments import chosen, finite_rate, refuse_unknown
from .averaging import Averaging
from .errors import TrainerError
from .part import Part, members, part_of, parts_of, renewed

DEFAULT_CLIP_THRESHOLD = 5.0

SparseUpdates: TypeAlias = bool | Literal["lazy"]


class Trainer(Averaging):
    """Updates the parameters of a collection from their accumulated gradients, and clears these.

    A subclass names its `rule` and the numbers that the rule uses in an update. Gradients are clipped: where the norm
    of all gradients of the collection is above `clip_threshold`, they are scaled down to it. Weight decay of the
    collection follows the rule. `clips` and `updates` count since the last `status()`.
    """

    rule: ClassVar[UpdateRule]
    # Attributes that files keep, besides the learning rate: numbers, True or False.
    constants: ClassVar[tuple[str, ...]] = ()
    # Those of DyNet's text format, where they are others, and how many numbers without meaning stand before them.
    text_constants: ClassVar[tuple[str, ...] | None] = None
    text_fillers: ClassVar[int] = 0

    def __new__(cls, *arguments: Any, **keywords: Any) -> Self:
        refuse_unknown(cls, keywords)
        return super().__new__(cls)

    def __init__(self, m: ParameterCollection, learning_rate: float) -> None:
        if not isinstance(m, ParameterCollection):
            raise TypeError(f"{self.whoami()} needs a ParameterCollection, got {type(m).__name__}")
        self.model = m
        self._whole = m.store
        self._parts: list[Part] = []
        self._parts_version = -1
        self.learning_rate = learning_rate
        self.clip_threshold = DEFAULT_CLIP_THRESHOLD
        self.sparse_updates: SparseUpdates = True
        self.state = RuleState()
        self.clips = self.updates = 0
        # Updates since the trainer was made; `status` and `restart` leave it alone.
        self.steps = 0

    @abstractmethod
    def numbers(self, step: int) -> dict[str, float]:
        """The settings of the rule in update number `step`, counted from 1."""

    def check(self, parts: list[Part]) -> None:
        """Raise `TrainerError` where the rule cannot be applied to these parameters; nothing has changed yet."""

    def advance(self) -> None:
        """What follows an update, for rules that change their own settings."""

    @property
    def learning_rate(self) -> float:
        """The learning rate, as the nearest float32; it may be set before any update."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: float) -> None:
        self._learning_rate = finite_rate(self.whoami(), learning_rate)

    def set_learning_rate(self, learning_rate: float) -> None:
        """Change the learning rate."""
        self.learning_rate = learning_rate

    def update(self) -> None:
        """One update of all parameters that are not frozen; their gradients are zero afterwards.

        Raises `TrainerError`, a RuntimeError, for a collection without parameters, while moving averages stand in for
        the weights, and while clipping for gradients whose norm is not finite; nothing has changed then.
        """
        self._update(self._present_parts())

    def update_subset(
        self,
        updated_params: Iterable[Parameters | int] = (),
        updated_lookups: Iterable[LookupParameters | int] = (),
    ) -> None:
        """One update of these parameters and tables only; all others keep their values, moments and gradients.

        Each is given itself, or as its place in `parameters_list()` or `lookup_parameters_list()`. The norm for
        clipping is that of the whole collection. Raises ValueError for one that the collection does not hold, and
        `TrainerError` as `update` does.
        """
        some: list[StoredParameter] = list(chosen(updated_params, self.model.parameters_list(), "parameter"))
        some += chosen(updated_lookups, self.model.lookup_parameters_list(), "look-up table")
        self._present_parts()
        # A log of their own: all other tables miss nothing.
        state = RuleState(self.state.dense, self.state.tables)
        self._update(parts_of(self.model, part_of(self.model.store, some), some, state))

    def _update(self, parts: list[Part]) -> None:
        """Check everything, then update these parts of the collection."""
        if not self._whole.dense and not self._whole.tables:
            raise TrainerError(
                f"{self.whoami()}: the collection {self.model.name()} has no parameters to update; add some"
            )
        self._refuse_swapped("an update would be lost")
        scale = self._clip_scale(self._whole)
        self.check(parts)
        numbers = self.numbers(self.steps + 1)
        for part in parts:
            self._apply(part, numbers, scale)
        self.clips += scale != 1.0
        self.updates += 1
        self.steps += 1
        if self.average is not None:
            self.average.take(self._whole)
        self.advance()

    def _apply(self, part: Part, numbers: dict[str, float], scale: float) -> None:
        """The rule, and weight decay after it."""
        rule, sparse, backend = self.rule, self.sparse_updates, settings.backend()
        if part.decay:
            rule = rule.with_decay(rows_rest=sparse is True)
            numbers = numbers | {KEPT: float(1 - np.float32(part.decay))}
            sparse = sparse and "lazy"
        if sparse == "lazy":
            update_lazily(backend, rule, part.state, part.store, numbers, scale)
        else:
            update_at_once(backend, rule, part.state, part.store, numbers, scale, sparse)

    def _present_parts(self) -> list[Part]:
        """The parameters of the collection, all that there are by now, by weight decay."""
        if self._parts_version != addresses.version:
            everything = members(self.model)
            if self.model.name() != "/":
                self._whole = part_of(self.model.store, everything)
            new = parts_of(self.model, self._whole, everything, self.state)
            self._parts, self._parts_version = renewed(self._parts, new, self._whole), addresses.version
        return self._parts

    def _present_store(self) -> ParameterStore:
        self._present_parts()
        return self._whole

    def _clip_scale(self, store: ParameterStore) -> float:
        """Factor of the gradients."""
        if self.clip_threshold <= 0:
            return 1.0
        norm = settings.backend().gradient_norm(store)
        if not math.isfinite(norm):
            raise TrainerError(
                f"Magnitude of gradient is bad: {norm}. The parameters are unchanged; look for an operation that gives "
                "infinite or undefined values, or lower the learning rate"
            )
        return self.clip_threshold / norm if norm > self.clip_threshold else 1.0

    def set_clip_threshold(self, threshold: float) -> None:
        """The norm above which gradients are scaled down, as the nearest float32; 0 or less turns clipping off.

        Raises ValueError for NaN.
        """
        if math.isnan(threshold):
            raise ValueError(f"{self.whoami()}: a threshold is a number, got {threshold}; 0 turns clipping off")
        self.clip_threshold = max(0.0, float(np.float32(threshold)))

    def get_clip_threshold(self) -> float:
        """The present threshold, 0.0 when clipping is off."""
        return self.clip_threshold

    def set_sparse_updates(self, sparse: SparseUpdates) -> None:
        """How rows of look-up tables that were not used since the last update are treated.

        True, the default: left as they are, parameters and moments, as in DyNet. False: updated with gradient zero.
        "lazy": as with False, up to rounding, but a row makes up for the updates it has missed when it is next used or
        read: for tables with many more rows than a hundred updates use. For rules whose step without a gradient changes
        nothing, all three are the same. Weight decay reaches every row in any case.
        Raises ValueError for anything else.
        """
        if sparse not in (True, False, "lazy"):
            raise ValueError(f"set_sparse_updates takes True, False or 'lazy', got {sparse!r}")
        self.sparse_updates = sparse if sparse == "lazy" else bool(sparse)

    def restart(self, learning_rate: float | None = None) -> None:
        """Moments back to zero, and perhaps another learning rate; counts and moving averages go on."""
        if learning_rate is not None:
            self.learning_rate = learning_rate
        clear_arrears(self._present_store())
        self.state.clear()

    def status(self) -> None:
        """Write learning rate, clips and updates to stderr, and count both anew."""
        sys.stderr.write(f"[lr={self.learning_rate:g} clips={self.clips} updates={self.updates}] ")
        sys.stderr.flush()
        self.clips = self.updates = 0

    def update_epoch(self, r: float) -> None:
        """Does nothing but to say so on stderr, as in DyNet 2: learning rates follow a schedule."""
        sys.stderr.write(
            "update_epoch has no effect, as in DyNet 2; set the learning rate of the next epoch: "
            f"trainer.learning_rate = InverseTimeDecay({self.learning_rate:g}, decay)(epoch)\n"
        )

    def save(self, path: PathLike) -> None:
        """Write all that the trainer remembers to a safetensors file, whole or not at all.

        Moments, moving averages, counts, learning rate, constants of the rule and clipping threshold. Raises
        `TrainerError` while averages stand in for the weights.
        """
        self._refuse_swapped("which no file could tell")
        memory.save(path, self)

    def load(self, path: PathLike) -> None:
        """Take up the state that a trainer of the same class and parameters has saved.

        Raises `ParameterFileError` for any other file, `TrainerError` while averages stand in for the weights; the
        trainer is then as before.
        """
        self._refuse_swapped("and would be lost")
        memory.load(path, self)

    def save_text(self, path: PathLike) -> None:
        """Write the state in DyNet's text format, as its C++ trainers do; raises as `save` does.

        The format has one count for all moving averages: `TrainerError` where parameters were added later.
        """
        self._refuse_swapped("which no file could tell")
        text.save(path, self)

    def load_text(self, path: PathLike) -> None:
        """Take up the state of a trainer of DyNet, or one written by `save_text`; raises as `load` does.

        Parameters beyond those of the file have moments zero afterwards, as in DyNet.
        """
        self._refuse_swapped("and would be lost")
        text.load(path, self)

    def whoami(self) -> str:
        """Name of the class."""
        return type(self).__name__
