"""`dynet` for tests in this process, and programs in processes of their own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import dynet_config
import pytest

import weft

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def imported() -> ModuleType:
    """The module, started without a look at the command line of the test runner."""
    dynet_config.set(random_seed=1)
    import dynet

    # The import has seeded Weft; tests of other packages expect what Weft begins with.
    weft.reset_random_seed(0)
    return dynet


@pytest.fixture
def dy(imported: ModuleType) -> Iterator[ModuleType]:
    """The module, with a new graph."""
    imported.renew_cg()
    yield imported
    # No graph with other settings is left behind.
    imported.renew_cg()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a program, text or a file, with these arguments; it must succeed unless `fails`."""

    def run(
        program: str | Path, *arguments: str, fails: bool = False, backend: str = "numpy"
    ) -> subprocess.CompletedProcess[str]:
        if isinstance(program, str):
            (tmp_path / "program.py").write_text(program, encoding="utf-8")
            program = tmp_path / "program.py"
        finished = subprocess.run(
            [sys.executable, str(program), *arguments],
            cwd=tmp_path,
            env={**os.environ, "WEFT_BACKEND": backend},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (finished.returncode != 0) == fails, finished.stderr
        return finished

    return run
