"""The GPU backend of Weft: plans lowered to device instructions, executed by generated Triton kernels."""

__version__ = "0.1.0"
