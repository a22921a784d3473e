"""The DyNet programs of docs/examples/dynet, unchanged, under the DyNet wheel and under Weft's drop-in package.

    python old_programs.py

Microseconds an update, examples, graph and the program's own Python included; what the program does but once is not.
"""

from __future__ import annotations

import side_by_side
from old_programs_peer import PROGRAMS
from side_by_side import Column, Figures

COLUMNS = (Column("weft"), Column("dynet"))


def main() -> None:
    parser = side_by_side.options(__doc__, repeats=5)
    parser.set_defaults(peers=[column.toolkit for column in COLUMNS])
    parser.add_argument("--tasks", nargs="+", choices=PROGRAMS, default=list(PROGRAMS))
    chosen = parser.parse_args()
    figures: Figures = {}
    for program in chosen.tasks:
        figures |= side_by_side.measured("old_programs_peer.py", COLUMNS, chosen, "--task", program)
    print(side_by_side.table(figures, "microseconds an update", digits=1))
    side_by_side.keep(chosen, figures)


if __name__ == "__main__":
    main()
