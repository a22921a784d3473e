"""Work that is done again and again on request, and timed with the device waited for."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from worker import Answer

WARM_UP_SECONDS = 1.0


class Timed:
    """Requests name what to do: `prepare` with settings, then `measure` and `details`."""

    # Waits for the device.
    synchronize: Callable[[], Any]
    # Different pieces of work, in turns.
    pieces = 1

    def handle(self, request: Answer) -> Answer:
        """Do what is asked."""
        answer: Answer = getattr(self, request.pop("do"))(**request)
        return answer

    def ready(self, *_: Any, **settings: Any) -> None:
        """Make the work for these settings, which each kind of work names."""
        raise NotImplementedError

    def once(self, n: int) -> float:
        """Do piece `n % pieces`; returns how many units it is."""
        raise NotImplementedError

    def prepare(self, *_: Any, **settings: Any) -> Answer:
        """Make the work and warm up: the first time compiles, and later pieces may need what the first did not."""
        self.ready(**settings)
        seconds: list[float] = []
        while len(seconds) < 2 or (len(seconds) < self.pieces and sum(seconds[1:]) < WARM_UP_SECONDS):
            start = time.perf_counter()
            self.once(len(seconds))
            self.synchronize()
            seconds.append(time.perf_counter() - start)
        return {"first_seconds": seconds[0], "step_seconds": statistics.median(seconds[1:])}

    def measure(self, seconds: float, first: int) -> Answer:
        """Work for about so long, once at least, beginning with piece `first`."""
        done, n = 0.0, first
        self.synchronize()
        start = time.perf_counter()
        while True:
            done, n = done + self.once(n), n + 1
            if time.perf_counter() - start >= seconds:
                break
        self.synchronize()
        return {"units": done, "seconds": time.perf_counter() - start}

    def details(self) -> Answer:
        """What else is known of the work."""
        return {}
