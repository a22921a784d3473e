"""The command for a GPU, where there is none: it rehearses, it says that it is skipped, and parts may crash or hang."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
COMMAND = HERE / "run.py"
DOCS = HERE.parents[1] / "docs" / "benchmarks" / "gpu.md"

pytestmark = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("triton", "numba")), reason="Triton and Numba are not installed"
)


def run(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"} | variables
    command = [sys.executable, str(COMMAND), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def in_process(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A program that imports modules of the session, as its parts do."""
    path = os.pathsep.join([str(HERE), str(HERE.parent / "benchmarks"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, **variables}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


def records(document: dict[str, Any], part: str) -> list[dict[str, Any]]:
    return [record for record in document["records"] if record["part"] == part]


def test_a_whole_rehearsal(tmp_path: Path) -> None:
    # One test: several would each rehearse where tests run in several processes.
    folder = tmp_path / "out"
    before = DOCS.read_bytes() if DOCS.exists() else None
    done = run("--rehearse", "--out", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (DOCS.read_bytes() if DOCS.exists() else None) == before
    assert sorted(path.name for path in folder.iterdir()) == ["rehearsal.json", "rehearsal.md"]
    page, document = (folder / "rehearsal.md").read_text(), json.loads((folder / "rehearsal.json").read_text())
    check_page(done.stdout, page)
    check_right(document)
    check_training(document)
    if find_spec("torch"):
        check_pytorch(document)
    check_merged(page, document, tmp_path)


def check_page(printed: str, page: str) -> None:
    """It says that it is a rehearsal, and every part is there."""
    assert "THIS IS A REHEARSAL" in printed
    assert "THIS IS A REHEARSAL" in page
    headings = ("Aims", "Conformance", "Barriers", "Losses", "Training", "Launches", "LSTM tapes", "Matrix products")
    assert [heading for heading in headings if f"\n## {heading}\n" not in page] == []


def check_right(document: dict[str, Any]) -> None:
    """All parts ended well; rows pass in both modes, barriers hold, losses agree."""
    ends = {record["id"]: record["how"] for record in records(document, "end")}
    parts = ("warm", "conformance", "soak", "tasks", "launches", "training", "lstm", "products")
    assert ends == dict.fromkeys(parts, "complete")
    tallies = {r["mode"]: (r["passed"], r["failed"]) for r in records(document, "conformance")}
    assert tallies == {"levels": (3, 0), "tape": (1, 0)}
    assert [record["ok"] for record in records(document, "soak")] == [True] * 4
    losses = records(document, "tasks")
    assert [record["way"] for record in losses] == ["levels", "tape"]
    assert all(0 <= record["difference"] <= 1e-4 for record in losses)


def check_training(document: dict[str, Any]) -> None:
    """Everyone trains, and the same model; a tape takes fewer launches than levels do."""
    found = {record["name"]: record for record in records(document, "training") if record["task"] == "tagger"}
    assert {"weft levels", "weft tape", "weft cpu"} <= found.keys()
    assert all(record["rate"] > 0 for record in found.values())
    losses = [record["first_loss"] for record in found.values()]
    assert max(losses) - min(losses) < 1e-4 * min(losses)
    levels, tape = found["weft levels"]["counts"], found["weft tape"]["counts"]
    assert tape["launches"] < levels["launches"] <= levels["levels"]


def check_pytorch(document: dict[str, Any]) -> None:
    """PyTorch trains every task."""
    found = [record for record in records(document, "training") if record["name"].startswith("torch")]
    assert {record["task"] for record in found} == {"tagger", "tree", "chars", "lm"}
    assert all(record["rate"] > 0 for record in found)


def check_merged(page: str, document: dict[str, Any], folder: Path) -> None:
    """Results of several runs become one table, but not those of two GPUs."""
    half = len(document["records"]) // 2
    paths = [folder / "first.json", folder / "second.json"]
    for path, part in zip(paths, (document["records"][:half], document["records"][half:]), strict=True):
        path.write_text(json.dumps({"runs": document["runs"], "records": part}))
    done = run("--rehearse", "--out", folder / "both", "--merge", *paths)
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "both" / "rehearsal.json").read_text())["records"] == document["records"]
    assert (folder / "both" / "rehearsal.md").read_text() == page
    other = [{**run, "facts": {**run["facts"], "gpu": "another"}} for run in document["runs"]]
    paths[1].write_text(json.dumps({"runs": other, "records": []}))
    refused = run("--rehearse", "--out", folder / "both", "--merge", *paths)
    assert refused.returncode == 1
    assert "is of another" in refused.stderr


def test_without_a_gpu_nothing_is_measured(tmp_path: Path) -> None:
    done = run("--out", tmp_path, CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 77
    assert done.stdout.startswith("skipped, nothing was measured: ")
    assert list(tmp_path.iterdir()) == []


def test_packages_that_are_not_installed_are_found(tmp_path: Path) -> None:
    # -S: no site-packages, thus no editable installations of Weft; third parties' packages are named again.
    code = f"""
import sys
sys.path.append({os.path.dirname(os.path.dirname(pytest.__file__))!r})
from importlib.metadata import entry_points
import weft
from weft_core.backend import backends
print(sorted(entry.name for entry in backends()), weft.__file__)
"""
    wanted = in_process(
        f"import pathlib, uninstalled; uninstalled.is_installed = lambda: False; "
        f"print(uninstalled.variables(pathlib.Path({str(tmp_path)!r}))['PYTHONPATH'])"
    )
    assert wanted.returncode == 0, wanted.stderr
    environment = {**os.environ, "PYTHONPATH": wanted.stdout.strip()}
    done = subprocess.run([sys.executable, "-S", "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("['numba', 'numpy', 'triton']")


def test_a_worker_that_crashes_or_hangs_is_lost_and_begins_anew(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import os, sys, time\nfrom worker import serve\n"
        "def handle(request):\n"
        "    print('noise')\n"
        "    if request['do'] == 'crash':\n        print('the last word', file=sys.stderr); os._exit(3)\n"
        "    if request['do'] == 'hang':\n        time.sleep(60)\n"
        "    if request['do'] == 'fail':\n        raise ValueError('no')\n"
        "    return {'pid': os.getpid()}\n"
        "serve(handle)\n"
    )
    done = in_process(f"""
from worker import Lost, Worker
worker = Worker({str(program)!r})
def said(do, timeout=20):
    try:
        return worker.ask(timeout, do=do)['pid']
    except Lost as lost:
        return str(lost)
first = said('work')
print(said('fail'), said('work') == first)
print(said('crash'))
print(said('work') not in (first, 'given up'))
print(said('hang', 0.2))
print(said('work'))
worker.stop()
""")
    assert done.stdout.splitlines() == [
        "ValueError: no True", "ended with status 3: the last word", "True", "no answer within 0 s", "given up",
    ], done.stderr  # fmt: skip


def test_an_unknown_part_is_refused() -> None:
    done = run("conformanse")
    assert done.returncode == 2
    assert "there is no part conformanse" in done.stderr
