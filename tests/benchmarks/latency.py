"""Inference: how long one waits for one example, and how fast many go through; forward passes alone.

    python latency.py

Microseconds, in Weft (plain programs, and with cells), the DyNet wheel (with and without autobatching) and PyTorch:
* tagging a sentence of the tagger's, from its words to the best tags: median (p50) and p99 over sentences;
* a step of an arc-hybrid parser: a scorer of one hidden layer over four vectors of a BiLSTM (stack and buffer), the
  best allowed transition, the next configuration; the vectors are there already;
* tagging, and scoring sentences by the language model, with 64 sentences a graph, a word.
"""

from __future__ import annotations

import side_by_side
from side_by_side import Column

COLUMNS = (
    Column("weft", "cells"),
    Column("weft", "plain"),
    Column("dynet"),
    Column("dynet", "autobatch"),
    Column("torch"),
)


def main() -> None:
    chosen = side_by_side.options(__doc__, repeats=5).parse_args()
    figures = side_by_side.measured("latency_peer.py", COLUMNS, chosen)
    print(side_by_side.table(figures, "microseconds", digits=1))
    side_by_side.keep(chosen, figures)


if __name__ == "__main__":
    main()
