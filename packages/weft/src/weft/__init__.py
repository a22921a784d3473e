"""Dynamic neural networks in plain Python: a new computation graph per example, batched by itself."""

__version__ = "0.1.0"
