"""Filters along the columns of a matrix: an image of one row, whose channels are the rows of the matrix."""

from __future__ import annotations

from weft_core.signature import Signature

from .convolution import Geometry, lower_filters
from .lowering import Lowering, lowering


@lowering("filter1d_narrow")
def lower_narrow_filter(signature: Signature, plan: Lowering) -> None:
    """Channels are next to each other, columns a matrix row apart."""
    x, f = signature.operands
    filters, places = signature.results[0].dims
    geometry = Geometry(
        1, x.dims[1], 1, f.dims[1], x.rows, filters, 1, places, 1, 1, 0, 0,
        column_step=x.rows, channel_step=1, filter_column_step=x.rows, filter_channel_step=1,
        place_step=filters, filter_step=1,
    )  # fmt: skip
    lower_filters(signature, plan, geometry)
