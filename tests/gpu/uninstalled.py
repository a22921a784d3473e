"""Running from a source tree: where to import from, and entry points of packages that nobody has installed."""

from __future__ import annotations

import os
import tomllib
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BENCHMARKS = ROOT / "tests" / "benchmarks"
HOUSES = ("packages/*", "backends/*", "builders", "integrations/*")


def packages() -> list[Path]:
    """The folders of the tree that hold a package."""
    return [file.parent for house in HOUSES for file in sorted(ROOT.glob(f"{house}/pyproject.toml"))]


def is_installed() -> bool:
    """Whether Weft with all of its backends is installed for this interpreter."""
    found = {entry.name for entry in entry_points(group="weft")}
    return {"numpy", "numba", "triton"} <= found and all(find_spec(name) for name in ("weft", "weft_testing"))


def variables(folder: Path) -> dict[str, str]:
    """The environment in which a program finds the packages and the benchmarks.

    `folder` gets what an installation would have written, where there is none.
    """
    path = [HERE, BENCHMARKS]
    if not is_installed():
        for package in packages():
            describe(package, folder)
        path += [folder, *(package / "src" for package in packages())]
        lend(folder)
    kept = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return {"PYTHONPATH": os.pathsep.join([*map(str, path), *filter(None, kept)])}


def describe(package: Path, folder: Path) -> None:
    """Write the name, the version and the entry points of a package where `importlib.metadata` reads them."""
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name, version = project["name"], project["version"]
    target = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    target.mkdir(parents=True, exist_ok=True)
    (target / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    lines = []
    for group, entries in project.get("entry-points", {}).items():
        lines += [f"[{group}]", *(f"{key} = {value}" for key, value in entries.items())]
    (target / "entry_points.txt").write_text("\n".join([*lines, ""]), encoding="utf-8")


def lend(folder: Path) -> None:
    """The CPU backend asks platformdirs for its cache folder; where it is missing, pip's own copy does as well."""
    if find_spec("platformdirs") is None and find_spec("pip") is not None:
        (folder / "platformdirs.py").write_text("from pip._vendor.platformdirs import *\n", encoding="utf-8")
