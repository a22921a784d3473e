"""What a kernel takes of a GPU, found by compiling it where there may be none."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from .code import registers_and_spills
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
    registers, spills = registers_and_spills(cubin)
    return Resources(registers, spills, int(kernel.metadata.shared), cubin, kernel.asm["ptx"])
