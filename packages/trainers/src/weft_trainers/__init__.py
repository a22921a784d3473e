"""Update rules, gradient clipping and the training loop of Weft."""

__version__ = "0.1.0"
