"""The example of the README runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_two_files_of_a_backend(tmp_path: Path) -> None:
    for block in BLOCKS[:2]:
        name = re.match(r"# (\S+)\n", block)
        assert name
        (tmp_path / name[1]).write_text(block, encoding="utf-8")
    chosen = "cmult-broadcast or tanh-wide or checkpoint or random_graph[3 or sparse-momentum"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", chosen, "test_my_backend.py"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    passed = re.search(r"(\d+) passed", run.stdout)
    assert passed and int(passed[1]) > 15


def test_the_case_of_an_operation(tmp_path: Path) -> None:
    (tmp_path / "gaussian.py").write_text(BLOCKS[2], encoding="utf-8")
    wrong = BLOCKS[2].replace("-2 * a * x", "-2 * x").replace('"gaussian"', '"wrong"')
    (tmp_path / "wrong.py").write_text(wrong, encoding="utf-8")
    runs = [
        subprocess.run([sys.executable, name], cwd=tmp_path, capture_output=True, text=True)
        for name in ("gaussian.py", "wrong.py")
    ]
    assert runs[0].returncode == 0, runs[0].stderr
    assert runs[1].returncode == 1 and "central differences" in runs[1].stderr
