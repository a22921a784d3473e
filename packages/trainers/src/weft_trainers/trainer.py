"""The trainer: clips gradients, applies an update rule to a collection, counts."""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from typing import ClassVar, Literal, TypeAlias

from weft_core.collection import ParameterCollection
from weft_core.errors import WeftError
from weft_core.files import PathLike
from weft_core.lazy import clear_arrears, update_at_once, update_lazily
from weft_core.rules import RuleState, UpdateRule
from weft_core.settings import settings
from weft_core.store import ParameterStore, addresses

from . import memory
from .part import part_of

DEFAULT_CLIP_THRESHOLD = 5.0

SparseUpdates: TypeAlias = bool | Literal["lazy"]


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
        self._is_root = m.name() == "/"
        self._part: ParameterStore | None = None
        self._part_version = -1
        self.learning_rate = float(learning_rate)
        self.clip_threshold = DEFAULT_CLIP_THRESHOLD
        self.sparse_updates: SparseUpdates = True
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
        numbers, backend = self.numbers(self.steps + 1), settings.backend()
        if self.sparse_updates == "lazy":
            update_lazily(backend, self.rule, self.state, store, numbers, scale)
        else:
            update_at_once(backend, self.rule, self.state, store, numbers, scale, self.sparse_updates)
        self.clips += scale != 1.0
        self.updates += 1
        self.steps += 1

    def _store(self) -> ParameterStore:
        """The parameters to update: those of the root, or the part that a subcollection holds."""
        if self._is_root:
            return self.model.store
        if self._part is None or self._part_version != addresses.version:
            self._part, self._part_version = part_of(self.model), addresses.version
        return self._part

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

    def set_sparse_updates(self, sparse: SparseUpdates) -> None:
        """How rows of look-up tables that were not used since the last update are treated.

        True, the default: left as they are, parameters and moments, as in DyNet. False: updated with gradient zero.
        "lazy": as with False, up to rounding, but a row makes up for the updates it has missed when it is next used or
        read: for tables with many more rows than a hundred updates use. For rules whose step without a gradient changes
        nothing, all three are the same.
        Raises ValueError for anything else.
        """
        if sparse not in (True, False, "lazy"):
            raise ValueError(f"set_sparse_updates takes True, False or 'lazy', got {sparse!r}")
        self.sparse_updates = sparse if sparse == "lazy" else bool(sparse)

    def set_learning_rate(self, learning_rate: float) -> None:
        """Change the learning rate."""
        self.learning_rate = float(learning_rate)

    def restart(self, learning_rate: float | None = None) -> None:
        """Moments back to zero, and perhaps another learning rate; the count of updates goes on."""
        clear_arrears(self._store())
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
