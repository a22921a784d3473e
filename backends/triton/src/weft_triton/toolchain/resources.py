"""What a kernel takes of a GPU, found by compiling it where there may be none."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import triton

from .interpreter import INTERPRETED
from .program import Program


@dataclass(frozen=True)
class Resources:
    """Registers of a thread, words of a thread that found none, bytes of shared memory of a program; and the code."""

    registers: int
    spills: int
    shared: int
    cubin: bytes
    ptx: str


def ahead_of_time(
    function: Any,
    arguments: Mapping[str, str],
    constants: Mapping[str, object],
    capability: tuple[int, int],
    *,
    aligned: Collection[str] = (),
    warps: int = 4,
    stages: int = 3,
    cooperative: bool = False,
) -> Resources:
    """Compile as `Program` would for a device of this compute capability, and read what the code takes."""
    if INTERPRETED:
        raise RuntimeError("this process interprets kernels; compile them in one without TRITON_INTERPRET")
    program = Program(
        function, arguments, constants, aligned=aligned, warps=warps, stages=stages, cooperative=cooperative
    )
    kernel = program.compile(capability)
    cubin = kernel.asm["cubin"]
    registers, stack = _registers_and_stack(cubin)
    return Resources(registers, stack // 4, int(kernel.metadata.shared), cubin, kernel.asm["ptx"])


def _registers_and_stack(cubin: bytes) -> tuple[int, int]:
    """Registers of a thread, and bytes of its stack, where the assembler keeps what it spills."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        text = subprocess.run(
            [triton.knobs.nvidia.cuobjdump.path, "-res-usage", file.name], capture_output=True, text=True, check=True
        ).stdout
    found = re.search(r"REG:(\d+) STACK:(\d+)", text)
    if found is None:
        raise RuntimeError(f"cuobjdump does not say what the kernel uses: {text!r}")
    return int(found[1]), int(found[2])
