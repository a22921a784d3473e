"""Runs or compiles generated kernels: `python kernels_program.py interpreted|resources`, requests and answers as JSON.

A request is the text of a module with a function `kernel(x, y, N)`, the array x that it reads, with its type, how many
float32 it writes to y, and its constant N.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np

from weft_triton.generated import write_module
from weft_triton.toolchain import Program, ahead_of_time

ARGUMENTS = {"x": "i64", "y": "i64"}


def interpreted(text: str, x: list[float], type: str, size: int, N: int) -> list[float]:
    """What the kernel writes."""
    values, results = np.array(x, type), np.full(size, -77, np.float32)
    program = Program(write_module("tested", text).kernel, ARGUMENTS, {"N": N})
    program.launch(1, values.ctypes.data, results.ctypes.data)
    return [float(v) for v in results]


def resources(text: str, N: int, **request: Any) -> dict[str, Any]:
    """What the compiled kernel takes, for two devices."""
    found = {}
    for capability in ((8, 0), (9, 0)):
        made = ahead_of_time(write_module("tested", text).kernel, ARGUMENTS, {"N": N}, capability)
        found["".join(map(str, capability))] = {
            "registers": made.registers,
            "spills": made.spills,
            "doubles": ".f64" in made.ptx,
        }
    return found


if __name__ == "__main__":
    answer: Any = {"interpreted": interpreted, "resources": resources}[sys.argv[1]]
    print(json.dumps([answer(**request) for request in json.load(sys.stdin)]))
