"""The barrier between levels of a tape: every program of a cooperative launch arrives, and waits for all others."""

from __future__ import annotations

import triton
import triton.language as tl

# Polls after which a program gives up: the launch then ends with an error instead of hanging.
PATIENCE = 1 << 26
# The bit of the counter that says so; levels times programs stay below.
GIVEN_UP = 1 << 30


@triton.jit
def meet(counter, target, PATIENCE: tl.constexpr):
    """Arrive at the barrier and wait until `target` arrivals are counted.

    The release makes what this program wrote visible to whoever has acquired the counter after it; the threads of a
    program wait for each other on both sides. A program that waits for too long stops the whole launch.
    """
    tl.debug_barrier()
    arrived = tl.atomic_add(counter, 1, sem="release", scope="gpu") + 1
    polls = 0
    while arrived < target:
        arrived = tl.atomic_add(counter, 0, sem="acquire", scope="gpu")
        polls += 1
        if polls == PATIENCE:
            # From here on nobody waits any more, and the host finds a count that no launch reaches.
            tl.atomic_or(counter, 1 << 30, sem="relaxed", scope="gpu")
            arrived = target
    tl.debug_barrier()
