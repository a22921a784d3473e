"""The CPU backend of Weft: planner, virtual machine and kernels, compiled by Numba."""

__version__ = "0.1.0"
