"""All packages are released together: one version, siblings pinned, the same files in each."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECTS = {
    project["name"]: (file.parent, project)
    for folders in ("packages/*", "backends/*", "builders", "integrations/*")
    for file in sorted(ROOT.glob(f"{folders}/pyproject.toml"))
    for project in [tomllib.loads(file.read_text(encoding="utf-8"))["project"]]
}
VERSION = PROJECTS["weft-core"][1]["version"]
# Where the import name is not that of the distribution.
HOUSES = {"weft-dynet": "_dynet"}

every_package = pytest.mark.parametrize(("folder", "project"), PROJECTS.values(), ids=PROJECTS.keys())


def house(folder: Path, project: dict) -> Path:
    return folder / "src" / HOUSES.get(project["name"], project["name"].replace("-", "_"))


def dunder_version(source: Path) -> str | None:
    """The string assigned to `__version__`, read without importing the package."""
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__":
            return ast.literal_eval(node.value)
    return None


def test_all_packages_are_found():
    parts = {"core", "trainers", "testing", "builders", "numba", "triton", "dynet"}
    assert {"weft"} | {f"weft-{part}" for part in parts} <= PROJECTS.keys()


@every_package
def test_one_version(folder, project):
    assert project["version"] == VERSION
    assert dunder_version(house(folder, project) / "__init__.py") == VERSION


@every_package
def test_siblings_are_pinned(folder, project):
    extras = project.get("optional-dependencies", {}).values()
    requirements = project["dependencies"] + [requirement for extra in extras for requirement in extra]
    siblings = [re.sub(r"\[.*\]", "", requirement) for requirement in requirements if requirement.startswith("weft")]
    assert siblings or project["name"] == "weft-core"
    assert [s for s in siblings if s not in {f"{name}=={VERSION}" for name in PROJECTS}] == []


@every_package
def test_files_of_a_package(folder, project):
    assert (house(folder, project) / "py.typed").is_file()
    assert (folder / "README.md").read_text(encoding="utf-8").startswith(f"# {project['name']}\n")
    assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert project["license"] == "Apache-2.0"
    assert project["requires-python"] == ">=3.11"


@every_package
def test_entry_points_name_modules_that_exist(folder, project):
    doors = [*project.get("entry-points", {}).get("weft", {}).values(), *project.get("scripts", {}).values()]
    paths = {door: folder / "src" / door.split(":")[0].replace(".", "/") for door in doors}
    assert [door for door, path in paths.items() if not path.with_suffix(".py").is_file()] == []


def test_backends_enter_by_the_same_door():
    doors = {name: project.get("entry-points", {}).get("weft", {}) for name, (_, project) in PROJECTS.items()}
    assert doors["weft-core"] == {"numpy": "weft_core.numpy_backend"}
    assert doors["weft-numba"] == {"numba": "weft_numba.plugin"}


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_the_program_that_checks_the_wheels_runs(backend: str, tmp_path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "installed_program.py")],
        cwd=tmp_path,
        env={**os.environ, "WEFT_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith(f"{backend}: loss")
