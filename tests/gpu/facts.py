"""What the measurements depend on: whether there is a GPU and why not, its name, versions. Prints one line of JSON."""

from __future__ import annotations

import ctypes
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
from importlib.util import find_spec
from typing import Any

from machine import processor

from weft_core.backend import backends

PACKAGES = ("triton", "torch", "numpy", "numba", "scipy")


def absent() -> str:
    """Why one of the compiled backends is not available; empty when both are."""
    found = {entry.name: entry.reason for entry in backends()}
    return found.get("triton", "weft-triton is not installed") or found.get("numba", "weft-numba is not installed")


def versions() -> dict[str, str]:
    """Of every package that bears on speed; one that is not there is left out."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        if find_spec(package):
            found[package] = importlib.metadata.version(package)
    return found


def driver() -> dict[str, str]:
    """Names and versions of GPU and driver."""
    found: dict[str, str] = {}
    tool = shutil.which("nvidia-smi")
    if tool:
        query = [tool, "--query-gpu=name,driver_version", "--format=csv,noheader"]
        said = subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip().splitlines()
        if said and "," in said[0]:
            found["gpu"], found["driver"] = (word.strip() for word in said[0].rsplit(",", 1))
    try:
        number = ctypes.c_int(0)
        if ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(number)) == 0:
            found["cuda"] = f"{number.value // 1000}.{number.value % 1000 // 10}"
    except (OSError, AttributeError):
        pass
    if "gpu" not in found:
        from weft_triton.device import open_device

        found["gpu"] = open_device().name
    return found


def main() -> None:
    reason = absent()
    found: dict[str, Any] = {"absent": reason, "versions": versions()}
    if not reason:
        found |= driver() | {"processor": processor(), "cores": os.cpu_count()}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
