"""Imports point one way: weft -> trainers, builders -> core <- backends, testing; weft_triton -> weft_numba."""

import ast
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Whom of the project each package may import besides itself. The umbrella: nobody may.
SIBLINGS = {
    "weft_core": set(),
    "weft_trainers": {"weft_core"},
    "weft_builders": {"weft_core"},
    "weft_testing": {"weft_core"},
    "weft_numba": {"weft_core"},
    # Its planner is the compiled one of the CPU backend.
    "weft_triton": {"weft_core", "weft_numba"},
    "weft": {"weft_core", "weft_builders", "weft_trainers"},
    # The drop-in package of old programs stands on the umbrella.
    "dynet": {"weft"},
    "_dynet": {"weft", "weft_core"},
    "dynet_config": set(),
}

# What a package may import without declaring it: the core brings NumPy, so does the umbrella, Numba brings llvmlite.
BROUGHT_ALONG = {"weft_core": {"numpy"}, "weft": {"numpy"}, "numba": {"llvmlite"}}


def packages(root: Path) -> Iterator[Path]:
    """The folders of the project that hold a package."""
    folders = ("packages/*", "backends/*", "builders", "integrations/*")
    for pattern in (f"{folder}/pyproject.toml" for folder in folders):
        yield from (project.parent for project in sorted(root.glob(pattern)))


def houses(package: Path) -> list[Path]:
    """What a package installs: a folder, or several folders and modules."""
    return sorted(path for path in (package / "src").iterdir() if path.name != "__pycache__")


def declared(package: Path) -> set[str]:
    """Import names of the dependencies in a package's pyproject.toml, with those they bring along."""
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split(r"[\[<>=!~ ]", wanted)[0].replace("-", "_") for wanted in project["dependencies"]}
    return names.union(*(BROUGHT_ALONG.get(name, set()) for name in names))


def imported(source: Path) -> Iterator[tuple[int, str]]:
    """Line and top-level name of every absolute import, also of those by `import_module("...")`."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"), filename=str(source))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            names = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
        yield from ((node.lineno, name.split(".")[0]) for name in names if isinstance(name, str) and name)


def violations(root: Path) -> list[str]:
    """One sentence for each import that points the wrong way or is not declared."""
    found = []
    for package in packages(root):
        own = {house.stem for house in houses(package)}
        others = declared(package) - SIBLINGS.keys()
        for house in houses(package):
            allowed = own | SIBLINGS[house.stem] | others | sys.stdlib_module_names
            for source in [house] if house.is_file() else sorted(house.rglob("*.py")):
                for line, name in imported(source):
                    if name not in allowed:
                        place = f"{source.relative_to(root).as_posix()}:{line}"
                        found.append(f"{place}: {house.stem} must not import {name}")
    return found


def test_imports_point_one_way():
    assert violations(ROOT) == []


def test_every_package_has_a_row():
    assert {house.stem for package in packages(ROOT) for house in houses(package)} == SIBLINGS.keys()


def test_core_depends_on_numpy_and_pluggy_only():
    assert declared(ROOT / "packages/core") == {"numpy", "pluggy"}


@pytest.mark.parametrize(
    ("package", "statement", "culprit"),
    [
        ("packages/core/src/weft_core", "import weft_trainers", "weft_trainers"),
        ("packages/core/src/weft_core", "from numba import njit", "numba"),
        ("packages/core/src/weft_core", "def late():\n    import weft_numba.plugin", "weft_numba"),
        ("packages/core/src/weft_core", "import importlib as i\ni.import_module('weft_numba')", "weft_numba"),
        ("packages/trainers/src/weft_trainers", "from weft_builders import lstm", "weft_builders"),
        ("packages/testing/src/weft_testing", "import weft as dy", "weft"),
        ("packages/weft/src/weft", "import weft_numba", "weft_numba"),
        ("backends/numba/src/weft_numba", "import torch", "torch"),
        ("builders/src/weft_builders", "import scipy", "scipy"),
        ("integrations/dynet/src/dynet", "import weft_builders", "weft_builders"),
        ("integrations/dynet/src/_dynet", "from weft_trainers import Trainer", "weft_trainers"),
    ],
)
def test_a_seeded_violation_is_found(tmp_path, package, statement, culprit):
    for folder in packages(ROOT):
        (project := tmp_path / folder.relative_to(ROOT)).mkdir(parents=True)
        shutil.copy(folder / "pyproject.toml", project)
        for house in houses(folder):
            (project / "src" / house.name).mkdir(parents=True)
    (tmp_path / package / "seeded.py").write_text(statement, encoding="utf-8")

    place = f"{package}/seeded.py:{len(statement.splitlines())}"
    assert violations(tmp_path) == [f"{place}: {Path(package).name} must not import {culprit}"]
