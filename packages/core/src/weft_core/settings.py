"""What a new graph takes over: backend, seed, autobatching. One object per process."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from .backend import Backend, default_backend
from .errors import SeedError

if TYPE_CHECKING:
    from .profile import Profile


class Settings:
    """What a new graph takes over: backend, seed, autobatching. One object per process."""

    def __init__(self) -> None:
        self.autobatch = True
        self._weight_decay = 0.0
        self.seed = 0
        self.reseeds = 0
        # What times every step while it is on.
        self.profile: Profile | None = None
        self._backend: Backend | None = None
        self._graphs = 0
        self._lock = threading.Lock()

    def backend(self) -> Backend:
        if self._backend is None:
            self._backend = default_backend()
        return self._backend

    def use(self, backend: Backend) -> None:
        self._backend = backend

    def next_graph_number(self) -> int:
        with self._lock:
            self._graphs += 1
            return self._graphs

    @property
    def weight_decay(self) -> float:
        """Weight decay of root collections made from here on; set to a bad one, raises as `checked_decay` does."""
        return self._weight_decay

    @weight_decay.setter
    def weight_decay(self, weight_decay: float) -> None:
        self._weight_decay = checked_decay(weight_decay)

    def reseed(self, seed: int) -> None:
        """Restart every random stream: initializers, dropout masks, random inputs."""
        if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool):
            raise TypeError(f"the seed must be an int, got {type(seed).__name__}")
        seed = int(seed)
        if not 0 <= seed < 2**64:
            raise SeedError(f"the seed must be in [0, 2**64), got {seed}")
        self.seed = seed
        self.reseeds += 1
        self._graphs = 0


def checked_decay(weight_decay: float) -> float:
    """The number as the nearest float32.

    Raises TypeError for what is no number, ValueError outside of 0 <= lambda < 1.
    """
    if isinstance(weight_decay, (bool, np.bool_)) or not isinstance(weight_decay, (int, float, np.number)):
        raise TypeError(f"weight decay is a number from 0 to below 1, got {type(weight_decay).__name__}")
    nearest = float(np.float32(weight_decay)) if 0 <= weight_decay < 1 else 1.0
    if not 0 <= nearest < 1:
        raise ValueError(
            f"weight decay is the share that every update takes off the weights: 0 <= lambda < 1, got {weight_decay}"
        )
    return nearest


settings = Settings()
