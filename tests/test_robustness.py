"""No call of any public name ends the process or fails without a sentence, whatever its arguments are."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def test_no_call_of_a_public_name_ends_the_process(tmp_path: Path) -> None:
    """Ten thousand random calls, in a process and a folder of their own."""
    run = subprocess.run(
        [sys.executable, "-X", "faulthandler", str(HERE / "random_calls.py"), "10000"],
        cwd=tmp_path,
        env={**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, f"exit status {run.returncode}\n{run.stdout[-2000:]}\n{run.stderr[-8000:]}"
    lines = dict(line.split(": ") for line in run.stdout.splitlines() if ": " in line)
    assert int(lines["calls"]) >= 10000
    # Enough of the calls are good ones, and no name is left out.
    assert int(lines["values computed"]) > 1000
    assert int(lines["names"]) == int(lines["names called"]) > 250
