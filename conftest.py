"""Kernels of the Triton backend are interpreted in the tests; those that need a GPU are in tests/gpu."""

import os

# Read when Triton is imported, so it stands before all tests.
os.environ.setdefault("TRITON_INTERPRET", "1")
