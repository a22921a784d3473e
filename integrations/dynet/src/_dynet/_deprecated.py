"""Names of earlier releases that programs still call."""

from __future__ import annotations

from typing import Any

import weft

_said = False


def parameter(*parameters: Any) -> Any:
    """The arguments themselves: parameters are expressions. The first call says so on stdout."""
    global _said
    if not _said:
        print(
            "The call dy.parameter(...) is DEPRECATED: parameters are expressions, use them as they are.\n"
            "For a parameter that gets no gradient, dy.const_parameter(...) or .expr(update=False)."
        )
        _said = True
    return weft.parameter(*parameters)
