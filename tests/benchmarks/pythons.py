"""Finding, and on request making, an interpreter that can `import dynet`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

REQUIREMENTS = ("dynet==2.1.2", "numpy==1.24.4")
VARIABLE = "WEFT_DYNET_PYTHON"
ENVIRONMENT = Path(tempfile.gettempdir()) / "weft-benchmarks-dynet"


def dynet_python(asked: str | None, environment: Path, make: bool) -> str | None:
    """An interpreter with DyNet: the one asked for, the variable's, one found, or one made if `make`.

    Raises:
        ValueError: the named interpreter cannot import dynet, or there is no CPython 3.8 to make one.
    """
    named = asked or os.environ.get(VARIABLE)
    if named:
        if not _imports_dynet(named):
            raise ValueError(f"{named} cannot import dynet: name another one with --dynet or {VARIABLE}")
        return named
    for python in [str(_python_of(environment)), *_pythons_38()]:
        if _imports_dynet(python):
            return python
    return _make(environment) if make else None


def _pythons_38() -> Iterator[str]:
    on_path = shutil.which("python3.8")
    if on_path:
        yield on_path
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for folder in sorted(versions.glob("3.8*"), reverse=True):
        yield str(_python_of(folder))


def _python_of(environment: Path) -> Path:
    return environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def _imports_dynet(python: str) -> bool:
    return _runs(python, "import dynet")


def _runs(python: str, program: str) -> bool:
    """Whether the interpreter is there and runs the program (a version manager's placeholder does not)."""
    if shutil.which(python) is None:
        return False
    return subprocess.run([python, "-c", program], capture_output=True, check=False).returncode == 0


def _make(environment: Path) -> str:
    for python in _pythons_38():
        if _runs(python, "import ensurepip, venv"):
            subprocess.run([python, "-m", "venv", str(environment)], check=True)
            made = str(_python_of(environment))
            subprocess.run([made, "-m", "pip", "install", "--quiet", *REQUIREMENTS], check=True)
            return made
    raise ValueError("--make-dynet needs a CPython 3.8, on the path or as a pyenv version: none was found")
