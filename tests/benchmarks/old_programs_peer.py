"""One of the DyNet programs of docs/examples/dynet under one toolkit; what is measured stands in `old_programs.py`."""

from __future__ import annotations

import contextlib
import io
import os
import runpy
import sys
import time
from pathlib import Path

import peer

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "examples" / "dynet"
# Updates of a run: most take a millisecond each.
PROGRAMS = {
    "xor": 20000,
    "rnnlm": 400,
    "bilstm_crf": 1000,
    "attention": 200,
    "arc_hybrid": 1000,
    "tree_lstm": 1000,
    "vae": 8000,
    "reinforce": 800,
    "cnn_text": 1000,
}


def seconds(program: str, updates: int) -> float:
    """A whole run of the program in this process."""
    sys.argv = [program, "--updates", str(updates)]
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        runpy.run_path(str(FOLDER / (program + ".py")), run_name="__main__")
    return time.perf_counter() - start


def main() -> None:
    chosen = peer.chosen()
    sys.path.insert(0, str(FOLDER))
    # Options of DyNet are read from the command line at import: the programs' stand there only later.
    sys.argv = sys.argv[:1]
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        few, many = (share * PROGRAMS[chosen.task] // (100 if chosen.quick else 10) for share in (1, 10))
        seconds(chosen.task, few)
        whole = seconds(chosen.task, many) - seconds(chosen.task, few)
    peer.give({chosen.task: 1e6 * whole / (many - few)})


if __name__ == "__main__":
    main()
