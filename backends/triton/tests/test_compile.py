"""Every kernel compiles for GPUs that are not there, within its budget of registers, and spills nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "compile_program.py"
# Two programs of the stream, 128 threads each, fit the registers of a multiprocessor; so does one for large products.
MOST_REGISTERS = 255


# What takes minutes and has found nothing that the others had not: only with WEFT_ALL_GPU_TESTS.
RUNS = [("cases", "90"), ("tasks", "80")]
if os.environ.get("WEFT_ALL_GPU_TESTS"):
    RUNS += [("cases", "80"), ("tasks", "90")]


@pytest.mark.parametrize(("what", "capability"), RUNS)
def test_kernels_compile_and_spill_nothing(what: str, capability: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, str(PROGRAM), capability, what], env=environment, capture_output=True, text=True, timeout=1000
    )
    assert done.returncode == 0, done.stderr
    programs = [json.loads(line) for line in done.stdout.splitlines()]
    assert [p for p in programs if p["spills"]] == []
    assert all(0 < p["registers"] <= MOST_REGISTERS for p in programs)
    assert any(p["tape"] for p in programs) == (what == "tasks")
    names = {name for p in programs for name in p["opcodes"]}
    assert len(names) > (280 if what == "cases" else 20)
    assert {"affine_bias", "lookup_backward_sorted"} <= names
