"""Windows over the rows and columns of an image, as a table: which numbers each position of the window meets.

The numbers that one position meets lie in *runs*: along the rows of the image as a rule, number i of a run a step
further than number i - 1. Element i of run j belongs to place `i + j * run length` of the window, which is its place in
the result. So kernels go position by position, and run by run through image and result.
"""

from __future__ import annotations

from collections.abc import Iterable

from weft_core.ops.windows import Windows

from .cache import cached_njit
from .views import layout

# The table: floats of a channel of the image and of the result; length of a run; floats from an element of a run to the
# next, and from a run to the next, in the image; how many positions the window has; then these, one after another.
PLANE, PLACES, RUN, RUN_STEP, LINE_STEP, POSITIONS = range(6)
FIRST_POSITION = 6
# A position: what it meets at place 0, in floats from the first of the image; the first element of a run that is
# inside, and the first one behind; the first run that is inside, and the first one behind.
CORNER, FIRST, LAST, FIRST_RUN, LAST_RUN = range(5)
POSITION_FIELDS = 5


def window_table(windows: Windows, positions: Iterable[tuple[int, int]]) -> list[int]:
    """The table of windows whose positions, rows and columns, are visited in this order."""
    rows, columns = windows
    places = rows.places * columns.places
    listed = list(positions)
    if rows.width == rows.stride == columns.stride == 1:
        # Each column of the image goes on in the next one: all of it is one run.
        run = [places, 1, 0]
        bounds = [[rows.size * edge for edge in columns.inside(b)] + [0, 1] for _, b in listed]
    elif rows.places == 1:
        run = [places, columns.stride * rows.size, 0]
        bounds = [[*columns.inside(b), *rows.inside(a)] for a, b in listed]
    else:
        run = [rows.places, rows.stride, columns.stride * rows.size]
        bounds = [[*rows.inside(a), *columns.inside(b)] for a, b in listed]
    table = [rows.size * columns.size, places, *run, len(listed)]
    for (a, b), inside in zip(listed, bounds, strict=True):
        table += [a - rows.before + rows.size * (b - columns.before), *inside]
    return table


@cached_njit
def position_field(record: int, k: int, field: int) -> int:
    return layout(record, FIRST_POSITION + POSITION_FIELDS * k + field)
