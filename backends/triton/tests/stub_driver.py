"""Run a Python program with a driver that only pretends: `python stub_driver.py program.py ...` or `... -c code`.

The program compiles, loads and launches kernels as on a GPU, and they do nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("stub_cuda.c")


def build(folder: str) -> None:
    """Compile the driver into a folder."""
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise SystemExit("no C compiler: install gcc, or name one in CC")
    library = Path(folder, "libcuda.so.1")
    flags = ["-O1", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1"]
    subprocess.run([compiler, *flags, str(SOURCE), "-o", str(library)], check=True)


def main() -> int:
    """Build the driver and run the program, whose status is returned."""
    with tempfile.TemporaryDirectory(prefix="weft-stub-") as folder:
        build(folder)
        environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
        # Triton asks the first for what to link with, the loader the second.
        environment |= {"TRITON_LIBCUDA_PATH": folder, "LD_LIBRARY_PATH": folder}
        return subprocess.run([sys.executable, *sys.argv[1:]], env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
