"""The plug-in module: light, so that finding backends costs nothing; Triton is imported when the backend is chosen."""

from __future__ import annotations

import ctypes
import os
import sys
from importlib.util import find_spec

from weft_core.backend import Backend, BackendEntry, hookimpl


def make() -> Backend:
    """Import Triton, open the device and build the backend."""
    from .backend import TritonBackend

    return TritonBackend()


def why_absent() -> str:
    """Why no kernel can run in this process; empty when one can."""
    if find_spec("triton") is None:
        if sys.platform != "linux":
            return "Triton has no release for this system; GPUs are used on Linux only"
        return "not installed: triton (pip install triton)"
    if os.environ.get("TRITON_INTERPRET", "0").lower() in ("1", "true", "on", "yes", "y"):
        return ""
    return _why_no_gpu()


def _why_no_gpu() -> str:
    """Why the driver offers no GPU; asking it does not take one into use."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "no NVIDIA driver (libcuda.so.1); install it, or set TRITON_INTERPRET=1 to run kernels slowly on the CPU"
    status = driver.cuInit(0)
    count = ctypes.c_int(0)
    if status == 0:
        status = driver.cuDeviceGetCount(ctypes.byref(count))
    if status or not count.value:
        return f"the NVIDIA driver finds no GPU (status {status}); see what nvidia-smi and CUDA_VISIBLE_DEVICES say"
    return ""


@hookimpl
def weft_backends() -> list[BackendEntry]:
    """The Triton backend, or why it is absent."""
    return [BackendEntry("triton", make, why_absent())]
