"""The programs of docs/examples/dynet run unchanged under DyNet and under Weft, and reach the same losses.

The tests do without DyNet: `python tests/test_dynet_programs.py --record PYTHON` runs the programs with an interpreter
that has DyNet 2.1.2, and writes down the losses that they reach there.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "examples" / "dynet"
PROGRAMS = sorted(path.name for path in FOLDER.glob("*.py") if path.name != "start_values.py")
RECORDED = ROOT / "tests" / "data" / "dynet_program_losses.json"
# Enough to tell whether the gradients are right; with more, differences of rounding grow.
UPDATES = 100
# Programs that are started with options of DyNet ignore them.
OPTIONS = ("--dynet-autobatch", "1", "--dynet-seed", "1", "--dynet-mem", "512")
# A program as it is, and once more with every instruction of its graphs computed by itself.
BOTH_WAYS = """
import os, runpy, sys
import dynet, weft
program = sys.argv[1]
sys.argv = sys.argv[1:]
sys.path[0] = os.path.dirname(program)
for autobatch in (True, False):
    weft.init(autobatch=autobatch)
    runpy.run_path(program, run_name="__main__")
    assert weft.cg().autobatch is autobatch
"""


def losses(python: tuple[str, ...], program: str, updates: int) -> list[float]:
    """The losses that a program tells at its end, run by this Python in a process of its own."""
    command = [*python, str(FOLDER / program), "--updates", str(updates), *OPTIONS]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    told = re.findall(rf"^loss after {updates} updates: (\S+)$", done.stdout, re.MULTILINE)
    assert told and done.stdout.endswith(f" {told[-1]}\n"), done.stdout
    return [float(loss) for loss in told]


def record(python: str) -> None:
    """Write down the losses before and after training under the DyNet of this interpreter."""
    told = {name: {str(n): losses((python,), name, n)[0] for n in (0, UPDATES)} for name in PROGRAMS}
    RECORDED.parent.mkdir(exist_ok=True)
    RECORDED.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] != "--record":
        sys.exit("python tests/test_dynet_programs.py --record PYTHON, an interpreter that has DyNet 2.1.2")
    record(sys.argv[2])
    sys.exit()


import pytest  # noqa: E402  recording does without it

WEFT = (sys.executable, "-W", "error")
each_program = pytest.mark.parametrize("program", PROGRAMS)


@each_program
def test_a_program_reaches_the_loss_that_it_reaches_under_dynet(program: str) -> None:
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))[program]
    before, after = recorded["0"], recorded[str(UPDATES)]
    assert after < 0.9 * before, "it does not learn"
    assert losses(WEFT, program, UPDATES) == [pytest.approx(after, rel=1e-3)]


@each_program
def test_batching_makes_no_difference(program: str) -> None:
    together, alone = losses((*WEFT, "-c", BOTH_WAYS), program, 10)
    assert alone == pytest.approx(together, rel=1e-5)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_a_program_is_short_and_python_3_6_reads_it(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 6))
    assert source.count("\n") < 150
    assert "weft" not in source


def test_the_page_tells_of_every_program() -> None:
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| \[(\w+\.py)\]\(\1\) ", page, re.MULTILINE)) == PROGRAMS
