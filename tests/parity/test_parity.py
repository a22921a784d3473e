"""What DyNet 2.1.2 gave for every case is what Weft gives. DyNet itself is not needed: its results are recorded.

`nox -s parity` runs both side by side, and `nox -s parity -- --record` records anew.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from compare import Line, case_of, compared, report  # noqa: E402
from names import CLASSES, FUNCTIONS, NOT_COMPARED  # noqa: E402
from recording import RECORDED, load, save, unpack_files  # noqa: E402
from run_cases import TABLE  # noqa: E402
from run_files import NAMES, ROUNDED  # noqa: E402

Results = dict[str, NDArray[Any]]
# The reference is slow: it runs what is not a long training or a long sequence.
QUICK = [name for name, case in TABLE.items() if case.module not in ("trainers", "builders")]
WAYS: dict[str, tuple[str, ...]] = {
    "batched": (),
    "one by one": ("--one-by-one",),
    "parameters": ("--operands", "parameters"),
    "numpy": ("--backend", "numpy", "--only", *QUICK),
    "import weft": ("--module", "weft"),
}
# DyNet's program and Weft's in the language of the oldest interpreter that the release has wheels for.
SHARED = [HERE / "table.py", HERE / "run_cases.py", HERE / "run_files.py", *sorted((HERE / "cases").glob("*.py"))]


def run(program: str, *arguments: str | Path) -> None:
    """Run a program of this folder; every warning is an error."""
    command = [sys.executable, "-W", "error", HERE / program, *arguments]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def weft(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Results]:
    """Weft's results in one of the `WAYS`; each runs once, in a process of its own."""
    known: dict[str, Results] = {}

    def results(way: str) -> Results:
        if way not in known:
            out = tmp_path_factory.mktemp("parity") / "weft.npz"
            run("run_cases.py", out, *WAYS[way])
            with np.load(out) as file:
                known[way] = {key: file[key] for key in file.files}
        return known[way]

    return results


@pytest.fixture(scope="session")
def dynet() -> Results:
    """DyNet's results, as recorded."""
    modules = {case.module for case in TABLE.values()}
    return {key: array for module in modules for key, array in load(RECORDED / f"{module}.npz").items()}


def of_case(results: Results, name: str) -> Results:
    return {key: array for key, array in results.items() if "/" in key and case_of(key) == name}


def runs(way: str, name: str) -> bool:
    """Whether a case runs in this way."""
    return (way != "numpy" or name in QUICK) and not (way == "import weft" and TABLE[name].extra)


CHOSEN = [(way, name) for way in WAYS for name in TABLE if runs(way, name)]


@pytest.mark.parametrize(("way", "name"), CHOSEN, ids=lambda part: part)
def test_weft_gives_what_dynet_gave(way: str, name: str, weft: Callable[[str], Results], dynet: Results) -> None:
    case, found, expected = TABLE[name], of_case(weft(way), name), of_case(dynet, name)
    assert name not in weft(way)["failed"]
    assert bool(expected) is not bool(case.lacks or not (case.forms or not case.is_operation))
    lines = compared(found, expected)
    if case.differs:
        assert any(line.wrong for line in lines), f"{name} no longer differs: {case.differs}"
        return
    assert not any(line.wrong for line in lines), report(lines)
    # What only Weft gives is what DyNet cannot do.
    more = {key.partition("]")[0].partition("[")[2] for key in found.keys() - expected.keys()}
    assert more <= {form.text for form in case.beyond} or case.lacks
    if case.lacks:
        assert all(np.all(array) for array in found.values() if array.dtype == bool)
    assert all(np.isfinite(array).all() for array in found.values() if array.dtype.kind == "f")


@pytest.mark.parametrize("name", TABLE)
def test_it_makes_no_difference_what_runs_together(name: str, weft: Callable[[str], Results]) -> None:
    batched, alone = of_case(weft("batched"), name), of_case(weft("one by one"), name)
    assert batched.keys() == alone.keys()
    (line,) = compared(batched, alone, (1e-6, 1e-6))
    assert not line.wrong, line.wrong


def test_every_name_of_dynet_is_in_a_case_or_left_out_for_a_reason() -> None:
    assert (len(CLASSES), len(FUNCTIONS)) == (46, 161)
    declared = {*NAMES, *(name for case in TABLE.values() for name in case.names)}
    assert declared <= {*CLASSES, *FUNCTIONS}
    assert {*CLASSES, *FUNCTIONS} - declared == set(NOT_COMPARED)


# Of these there are objects without calling them by name.
MET_OTHERWISE = {"Expression", "Parameters", "LookupParameters", "RNNState", "Tensor", "ComputationGraph"}


def test_cases_use_the_names_that_they_are_about(weft: Callable[[str], Results]) -> None:
    used = set(weft("batched")["used"].tolist())
    unused = [
        f"{case.name}/{name}"
        for case in TABLE.values()
        for name in case.names
        if name not in MET_OTHERWISE and f"{case.name}/{name}" not in used
    ]
    assert unused == []
    assert "tanh/tanh" in used and "tanh/cosh" not in used


def test_training_in_another_way_gives_other_numbers(dynet: Results) -> None:
    """Clipping, weight decay and dense updates are at work in the cases that are about them."""

    def last(name: str) -> NDArray[Any]:
        return np.concatenate([dynet[f"{name}/trajectory /_{k} 50"].ravel() for k in range(5)])

    for trainer in ("SimpleSGDTrainer", "CyclicalSGDTrainer", "MomentumSGDTrainer", "AdagradTrainer", "AdamTrainer"):
        plain = last(trainer)
        for variant in (" clipped", " decaying", " frozen"):
            assert np.abs(last(trainer + variant) - plain).max() > 1e-3, trainer + variant
        assert np.abs(last(trainer + " clipped at five") - last(trainer + " unclipped")).max() > 1e-3, trainer
        if trainer in ("MomentumSGDTrainer", "AdamTrainer"):
            assert np.abs(last(trainer + " dense") - plain).max() > 1e-3


def test_files_are_written_as_dynet_writes_them(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "dynet", tmp_path / "weft"
    for folder in (theirs, ours):
        folder.mkdir()
    unpack_files(RECORDED / "files.npz", theirs)
    run("run_files.py", ours)
    assert {file.name for file in ours.iterdir()} == {file.name for file in theirs.iterdir()}
    for file in theirs.iterdir():
        if file.suffix in (".txt", ".data") and file.name not in ROUNDED:
            assert (ours / file.name).read_bytes() == file.read_bytes(), file.name
    expected = load(RECORDED / "files_read.npz")
    for folder in (theirs, ours):
        run("run_files.py", folder, "--read", tmp_path / "read.npz")
        with np.load(tmp_path / "read.npz") as found:
            lines = compared({key: found[key] for key in found.files}, expected)
        assert len(lines) == 11 and not any(line.wrong for line in lines), report(lines)


@pytest.mark.parametrize("path", SHARED, ids=lambda path: path.name)
def test_dynets_interpreters_can_read_the_cases(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 6))
    # A statement that the parser lets pass, and Python 3.6 does not have.
    imports = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert "__future__" not in imports
    # Annotations of these files would be evaluated there.
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert not any(function.returns for function in functions)


def line_for(found: float, expected: float, key: str) -> Line:
    (line,) = compared({key: np.array([found, 0.0])}, {key: np.array([expected, 0.0])})
    return line


def test_a_difference_is_found_and_said() -> None:
    # Relative to the largest magnitude, at least 1; gradients may be ten times as far apart.
    for key, limit in (("some/value", 1e-5), ("some/gradient0", 1e-4), ("some/trajectory w", 1e-4)):
        for size in (0.001, 1.0, 50.0):
            scale = max(1.0, size)
            assert not line_for(size + 0.9 * limit * scale, size, key).wrong
            assert line_for(size + 1.2 * limit * scale, size, key).wrong
    assert line_for(float("nan"), 1.0, "some/value").wrong == ["some/value differs by nan, more than 1e-05"]
    assert line_for(1.0, 2.0, "some/exact").wrong
    (missing,) = compared({}, {"some/value": np.zeros(2)})
    assert missing.wrong == ["some/value is missing"]
    (shape,) = compared({"some/value": np.zeros((2, 1))}, {"some/value": np.zeros(2)})
    assert "has shape (2, 1) instead of (2,)" in shape.wrong[0]
    text = report([missing, line_for(1.5, 1.0, "other/value")])
    assert "DIFFERS" in text and "2 cases, 2 results" in text and "2 results differ" in text


def test_recorded_results_come_back_as_they_were(tmp_path: Path) -> None:
    results = {
        "a/value": np.float32([[1.5, -0.1], [1e-30, 3e38]]).astype(np.float64),
        "a/gradient0": np.array(2.25),
        "b/exact": np.array(["x", "yz"]),
        "c/exact": np.array([True, False]),
        "c/exact dim": np.array((3, 2)),
    }
    save(tmp_path / "r.npz", results)
    found = load(tmp_path / "r.npz")
    assert found.keys() == results.keys()
    for key, array in results.items():
        np.testing.assert_array_equal(found[key], array)
        assert found[key].dtype.kind == array.dtype.kind and found[key].shape == array.shape


def test_what_is_recorded_is_small() -> None:
    assert sum(file.stat().st_size for file in RECORDED.iterdir()) < 2_000_000
