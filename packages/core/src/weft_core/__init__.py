"""The heart of Weft: tape, expressions, operations, parameters and the NumPy reference backend."""

__version__ = "0.1.0"
