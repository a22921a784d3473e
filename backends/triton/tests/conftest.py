"""Kernels run in processes of their own: Triton decides whether it interprets or compiles when it is imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("kernels_program.py")


def _answers(mode: str, requests: Sequence[dict[str, Any]]) -> list[Any]:
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    if mode == "interpreted":
        environment["TRITON_INTERPRET"] = "1"
    done = subprocess.run(
        [sys.executable, "-W", "error", PROGRAM, mode],
        env=environment, input=json.dumps(requests), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers: list[Any] = json.loads(done.stdout)
    return answers


@pytest.fixture(scope="session")
def kernel_answers() -> Callable[[str, Sequence[dict[str, Any]]], list[Any]]:
    """`kernel_answers(mode, requests)`: what `kernels_program.py` makes of generated kernels; skips without Triton."""
    pytest.importorskip("triton")
    return _answers
