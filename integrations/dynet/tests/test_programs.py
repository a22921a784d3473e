"""Whole programs print what they print on release 2.1.2: text alike, numbers up to rounding."""

import re
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).resolve().parent / "programs"
NUMBER = re.compile(r"-?\d+\.\d+(?:e[-+]\d+)?")


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("name", ["xor", "minibatch", "attention", "corners"])
def test_program(run, name, backend):
    printed = run(PROGRAMS / f"{name}.py", "--dynet-seed", "1", backend=backend).stdout
    # What `parameter` says once is not the release's text.
    lines = [line for line in printed.splitlines() if "parameter" not in line or "dy." not in line]
    expected = (PROGRAMS / f"{name}.expected").read_text(encoding="utf-8").splitlines()
    assert [NUMBER.sub("#", line) for line in lines] == [NUMBER.sub("#", line) for line in expected]
    for line, wanted in zip(lines, expected, strict=True):
        numbers = [float(number) for number in NUMBER.findall(line)]
        assert numbers == pytest.approx([float(number) for number in NUMBER.findall(wanted)], rel=0, abs=2e-4), line
