"""The conformance kit that every Weft backend and operation runs against itself."""

__version__ = "0.1.0"

from .case import Case, Instance, Variant
from .cases import CASES, add_case
from .conformance import check_case, check_reference, check_signatures
from .running import ConformanceError
from .suite import BackendConformance

__all__ = [
    "CASES",
    "BackendConformance",
    "Case",
    "ConformanceError",
    "Instance",
    "Variant",
    "add_case",
    "check_case",
    "check_reference",
    "check_signatures",
]
