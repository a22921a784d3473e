"""What a node costs apart from its arithmetic, in Weft and in the DyNet wheel.

    python recording.py

Figures are medians, in nanoseconds a node (for the tagger sentence: a word):
* recording one node of each operation of a tagger, operands at hand, and the median over the operations;
* building whole tagger sentences through the builders;
* forward and backward of 8-wide nodes, where arithmetic is next to nothing: a chain of h = tanh(W h + b) and
  a chain of unary operations (dispatch), and many independent nodes. In Weft, forward is also split: computed
  again after the inputs were set, a graph keeps its plan; what the first forward took beyond that is planning.
"""

from __future__ import annotations

import side_by_side
from side_by_side import Column


def main() -> None:
    chosen = side_by_side.options(__doc__, repeats=5).parse_args()
    figures = side_by_side.measured("recording_peer.py", [Column("weft"), Column("dynet")], chosen)
    print(side_by_side.table(figures, "nanoseconds"))
    side_by_side.keep(chosen, figures)


if __name__ == "__main__":
    main()
