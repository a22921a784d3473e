"""Recurrent, tree and softmax builders of Weft."""

__version__ = "0.1.0"
