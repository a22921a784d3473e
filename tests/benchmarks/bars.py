"""What the throughput of Weft is held to: at least so many times a peer's, by task and examples a graph.

`wheel`: against the best mode of the DyNet wheel; `torch`: against the best way in PyTorch; `plain`: the same plain
program (`PLAIN`) in both, the wheel's with autobatching on or off, whichever is faster.
"""

from __future__ import annotations

from typing import NamedTuple


class Bars(NamedTuple):
    """Ratios of throughputs, Weft over the peer."""

    wheel: float
    torch: float
    plain: float


BARS = {
    ("lm", 1): Bars(6.5, 2.0, 3.3),
    ("lm", 16): Bars(2.9, 1.2, 2.8),
    ("lm", 64): Bars(3.0, 1.4, 3.0),
    ("tagger", 1): Bars(4.7, 5.5, 2.8),
    ("tagger", 64): Bars(3.3, 3.2, 2.9),
    ("chars", 1): Bars(4.2, 7.4, 2.7),
    ("chars", 64): Bars(3.5, 2.3, 3.4),
    ("tree", 1): Bars(3.8, 7.8, 2.4),
    ("tree", 64): Bars(3.0, 1.5, 2.2),
}

# Plain modes: of Weft, and of the wheel.
PLAIN = {
    "lm": ("vanilla", ("vanilla", "vanilla-autobatch", "vanilla-single", "vanilla-single-autobatch")),
    "tagger": ("vanilla", ("vanilla", "vanilla-autobatch")),
    "chars": ("vanilla", ("vanilla", "vanilla-autobatch")),
    "tree": ("gates", ("gates", "gates-autobatch")),
    "nary": ("gates", ("gates", "gates-autobatch")),
}

# Of the other measurements.
HAND_BATCHED = 1.3  # time of autobatched single examples over that of the same batched by hand
FLAT = 1.2  # time or bytes a unit, largest over smallest
FIRST_START, WARM_START = 60.0, 2.0  # seconds that compiling may take
