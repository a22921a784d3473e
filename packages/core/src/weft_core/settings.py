"""What a new graph takes over: backend, seed, autobatching. One object per process."""

from __future__ import annotations

import threading

from .backend import Backend, default_backend


class Settings:
    """What a new graph takes over: backend, seed, autobatching. One object per process."""

    def __init__(self) -> None:
        self.autobatch = True
        self.seed = 0
        self.reseeds = 0
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

    def reseed(self, seed: int) -> None:
        """Restart every random stream: initializers, dropout masks, random inputs."""
        if not isinstance(seed, int) or isinstance(seed, bool):
            raise TypeError(f"the seed must be an int, got {type(seed).__name__}")
        if not 0 <= seed < 2**64:
            raise OverflowError(f"the seed must be in [0, 2**64), got {seed}")
        self.seed = seed
        self.reseeds += 1
        self._graphs = 0


settings = Settings()
