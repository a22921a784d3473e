"""What a figure depends on besides the program: processor, Python, libraries, and the kernels that BLAS has chosen.

python machine.py        one line of JSON; the other commands run it in the environment of a peer
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
from pathlib import Path
from typing import Any

PACKAGES = ("weft", "numpy", "numba", "scipy", "torch")


def processor() -> str:
    """The model's name, as Linux or the platform module gives it."""
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        for line in facts.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """The installed version of every package that bears on speed; one that is not there is left out."""
    found = {}
    for package in PACKAGES:
        if importlib.util.find_spec(package):
            found[package] = importlib.metadata.version(package)
    return found


def blas() -> list[str]:
    """Each BLAS library in this process, with its version and the processor type whose kernels it runs."""
    if importlib.util.find_spec("threadpoolctl") is None:
        return ["unknown: threadpoolctl is not installed"]
    for user in ("numpy", "scipy.linalg.blas"):
        importlib.import_module(user)
    libraries = importlib.import_module("threadpoolctl").threadpool_info()
    return sorted(
        f"{library['internal_api']} {library['version']} {library.get('architecture', '')}".strip()
        for library in libraries
        if library["user_api"] == "blas"
    )


def description() -> dict[str, Any]:
    """All of it, in values that JSON knows."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions(),
        "blas": blas(),
    }


if __name__ == "__main__":
    print(json.dumps(description()))
