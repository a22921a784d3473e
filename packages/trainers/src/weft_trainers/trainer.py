"""The trainer: clips gradients, applies an update rule to a collection, counts."""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from typing import ClassVar

from weft_core.collection import ParameterCollection
from weft_core.errors import WeftError
from weft_core.files import PathLike
from weft_core.rules import RuleState, UpdateRule
from weft_core.settings import settings
from weft_core.store import ParameterStore

from . import memory
from .part import part_of

DEFAULT_CLIP_THRESHOLD = 5.0


class TrainerError(WeftError, RuntimeError):
    """An update that cannot be made; the parameters are as before it."""


class Trainer(ABC):
    """Updates the parameters of a collection from their accumulated gradients, and clears these.

    A subclass names its `rule` and the numbers that the rule uses in an update. Gradients are clipped: where the norm
    of all gradients of the collection is above `clip_threshold`, they are scaled down to it.
    `clips` and `updates` count since the last `status()`.
    """

    rule: ClassVar[UpdateRule]

    def __init__(self, m: ParameterCollection, learning_rate: float) -> None:
        if not isinstance(m, ParameterCollection):
            raise TypeError(f"{self.whoami()} needs a ParameterCollection, got {type(m).__name__}")
        self.model = m
        self.learning_rate = float(learning_rate)
        self.clip_threshold = DEFAULT_CLIP_THRESHOLD
        self.sparse_updates = True
        self.state = RuleState()
        self.clips = self.updates = 0
        # Updates since the trainer was made; `status` and `restart` leave it alone.
        self.steps = 0

    @abstractmethod
    def numbers(self, step: int) -> dict[str, float]:
        """The settings of the rule in update number `step`, counted from 1."""

    def update(self) -> None:
        """One update of all parameters that are not frozen; their gradients are zero afterwards.

        Raises `TrainerError`, a RuntimeError, for a collection without parameters, and while clipping for gradients
        whose norm is not finite; nothing has changed then.
        """
        store = self._store()
        if not store.dense and not store.tables:
            raise TrainerError(
                f"{self.whoami()}: the collection {self.model.name()} has no parameters to update; add some"
            )
        scale = self._clip_scale(store)
        settings.backend().update(
            self.rule, self.state, store, self.numbers(self.steps + 1), scale, self.sparse_updates
        )
        self.clips += scale != 1.0
        self.updates += 1
        self.steps += 1

    def _store(self) -> ParameterStore:
        """The parameters to update: those of the root, or the part that a subcollection holds."""
        return self.model.store if self.model.name() == "/" else part_of(self.model)

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
        """The norm above which gradients are scaled down; 0 or less turns clipping off."""
        self.clip_threshold = max(0.0, float(threshold))

    def get_clip_threshold(self) -> float:
        """The present threshold, 0.0 when clipping is off."""
        return self.clip_threshold

    def set_sparse_updates(self, sparse: bool) -> None:
        """Whether only the rows of look-up tables that were used since the last update are updated (the default)."""
        self.sparse_updates = bool(sparse)

    def set_learning_rate(self, learning_rate: float) -> None:
        """Change the learning rate."""
        self.learning_rate = float(learning_rate)

    def restart(self, learning_rate: float | None = None) -> None:
        """Moments back to zero, and perhaps another learning rate; the count of updates goes on."""
        self.state.clear()
        if learning_rate is not None:
            self.set_learning_rate(learning_rate)

    def status(self) -> None:
        """Write learning rate, clips and updates to stderr, and count both anew."""
        sys.stderr.write(f"[lr={self.learning_rate:g} clips={self.clips} updates={self.updates}] ")
        sys.stderr.flush()
        self.clips = self.updates = 0

    def save(self, path: PathLike) -> None:
        """Write moments, count of updates and learning rate to a safetensors file, whole or not at all."""
        memory.save(path, self)

    def load(self, path: PathLike) -> None:
        """Take up the state that a trainer of the same class and parameters has saved.

        Raises `ParameterFileError` for any other file; the trainer is then as before.
        """
        memory.load(path, self)

    def whoami(self) -> str:
        """Name of the class."""
        return type(self).__name__
