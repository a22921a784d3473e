"""What compiled code says of itself."""

from __future__ import annotations

import re
import subprocess
import tempfile

import triton


def registers_and_spills(cubin: bytes) -> tuple[int, int]:
    """Registers of a thread, and words of its stack, where the assembler keeps what found no register."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        text = subprocess.run(
            [triton.knobs.nvidia.cuobjdump.path, "-res-usage", file.name], capture_output=True, text=True, check=True
        ).stdout
    found = re.search(r"REG:(\d+) STACK:(\d+)", text)
    if found is None:
        raise RuntimeError(f"cuobjdump does not say what the kernel uses: {text!r}")
    return int(found[1]), int(found[2]) // 4
