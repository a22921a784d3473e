"""A run is a process of its own: its environment, and its result as one line of JSON (Python 3.8 and later).

A peer runs as it would on its user's machine, with one thread: variables that steer a BLAS library's choice of kernels
(anything that begins with OPENBLAS_ or MKL_, but the number of threads) are taken out of its environment.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
STEERING = ("OPENBLAS_", "MKL_")
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMBA")}


def environment(**more: str) -> dict[str, str]:
    """This process's variables as a run gets them, and some more."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(STEERING)}
    return {**kept, **ONE_THREAD, **more}


def outcome(python: str, program: str, *arguments: object, **variables: str) -> dict[str, Any]:
    """What the program prints as its last line; a failed run has the key `error` and nothing else."""
    command = [python, str(HERE / program), *map(str, arguments)]
    finished = subprocess.run(command, env=environment(**variables), capture_output=True, text=True, check=False)
    if finished.returncode == 0:
        return dict(json.loads(finished.stdout.splitlines()[-1]))
    reason = (finished.stderr.strip().splitlines() or [f"ended with code {finished.returncode}"])[-1]
    return {"error": reason}
