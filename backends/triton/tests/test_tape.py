"""A tape in one launch: its barrier holds, and is needed as it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "tape_program.py"


@pytest.mark.parametrize(
    ("mutation", "answer"), [("none", "right"), ("missing", "wrong"), ("early", "wrong"), ("late", "given up:")]
)
def test_programs_meet_after_every_level(mutation: str, answer: str) -> None:
    done = subprocess.run([sys.executable, str(PROGRAM), mutation], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(answer), done.stdout
