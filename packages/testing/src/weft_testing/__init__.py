"""The conformance kit that every Weft backend and operation runs against itself."""

__version__ = "0.1.0"
