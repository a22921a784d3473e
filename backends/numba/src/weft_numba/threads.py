"""The backend's threads: a small pool that shares a range of rows out among cores.

Only native calls that let other threads run (compiled with `nogil=True`) gain from it.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

PARTS_PER_THREAD = 8

_threads = 1
_pool: ThreadPoolExecutor | None = None


def count() -> int:
    """How many threads `split` uses, the calling one among them."""
    return _threads


def use_threads(threads: int) -> None:
    """Use this many threads from now on; with 1 there is no pool."""
    global _threads
    _threads = threads
    _stop()


def split(rows: int, function: Callable[[int, int], None], grain: int = 1) -> None:
    """Call `function(first, last)` for parts that cover rows 0 to `rows`; return when all have ended.

    Parts begin at multiples of `grain`. The calling thread and those of the pool take one after the other, so that a
    thread that is late, or has its core taken away by other work, gets fewer. After an exception, its thread takes no
    more; it is raised in the end. `function` must not call `split`.
    """
    global _pool
    blocks = -(-rows // grain)
    count = min(blocks, PARTS_PER_THREAD * _threads if _threads > 1 else 1)
    parts = deque(pairwise(min(rows, grain * (blocks * k // count)) for k in range(count + 1)) if count else ())

    def work() -> None:
        while True:
            try:
                part = parts.popleft()
            except IndexError:
                return
            function(*part)

    if count > 1 and _pool is None:
        _pool = ThreadPoolExecutor(_threads - 1, thread_name_prefix="weft")
    others = [_pool.submit(work) for _ in range(min(count, _threads) - 1)] if _pool is not None else []
    try:
        work()
    finally:
        errors = [error for other in others if not other.cancel() and (error := other.exception()) is not None]
    if errors:
        raise errors[0]


def _stop() -> None:
    global _pool
    if _pool is not None:
        _pool.shutdown()
        _pool = None


def _forget() -> None:
    """In a forked process only the calling thread lives on; the pool is made anew when it is needed."""
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
