"""What autobatching costs where batching by hand is easy: an MLP, 784-128-10, in minibatches of 64.

    python mlp.py

Microseconds of a training step (build, forward, backward, Adam), as one batch made by hand and as 64 single examples
in one graph; both from the same parameters, steps in turns, losses equal. Ratio: single examples over batched by hand.
"""

from __future__ import annotations

import side_by_side
from bars import HAND_BATCHED
from side_by_side import Column

COLUMNS = (Column("weft", "cells"), Column("weft", "plain"), Column("dynet", "autobatch"))


def main() -> None:
    chosen = side_by_side.options(__doc__, repeats=5).parse_args()
    figures = side_by_side.measured("mlp_peer.py", COLUMNS, chosen)
    print(side_by_side.table(figures, "a minibatch of 64", digits=2))
    print(f"The ratio of Weft is to be at most {HAND_BATCHED}.")
    side_by_side.keep(chosen, figures)


if __name__ == "__main__":
    main()
