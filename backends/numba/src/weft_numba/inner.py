"""The table of a compound signature: what the compiled driver needs to write the records of its inner instructions.

First their number; then for each of them these fields, and for each of its views four more.
"""

from __future__ import annotations

from weft_core.compound import inners
from weft_core.plan import HEADER
from weft_core.plan import VIEW as VIEW_INTEGERS
from weft_core.signature import Signature

# Where its record begins, counted from the outer one; its payload in that of the whole.
OFFSET, SIGNATURE, RESULTS, OPERANDS, PARAMETERS, BATCH, FLAGS, PAYLOAD = range(8)
VIEWS = 8
# The outer view, a shift in floats, size of one example and batch.
VIEW, SHIFT, VIEW_SIZE, VIEW_BATCH = range(4)
VIEW_FIELDS = 4


def layout_table(signature: Signature) -> list[int]:
    """The table of a compound signature."""
    parts = inners(signature)
    outer = len(signature.results) + len(signature.saved) + len(signature.operands) + len(signature.parameters)
    offset = HEADER + VIEW_INTEGERS * outer
    numbers = [len(parts)]
    for part in parts:
        inner = part.signature
        numbers += [
            offset, inner.id, part.results, len(inner.operands), len(inner.parameters), inner.batch, inner.flags,
            part.payload,
        ]  # fmt: skip
        for (view, shift), shape in zip(part.views, part.shapes(), strict=True):
            numbers += [view, shift, shape.size, shape.batch]
        offset += part.integers()
    return numbers
