"""README and docs: every Python block runs on every backend, with the output that the page shows; so do the examples.

Run as a program, this file runs one page: `python tests/test_docs.py docs/guide.md`.
"""

from __future__ import annotations

import contextlib
import io
import linecache
import os
import random
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "docs" / "examples"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BACKENDS = ("numpy", "numba")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A Python block of a page: its first line, its source, and the output that the page shows after it, if any."""

    line: int
    source: str
    output: str | None


def python_blocks(page: str) -> Iterator[Block]:
    """The Python blocks of a page; a `text` block right after one is its output."""
    fences = list(FENCE.finditer(page))
    for fence, after in zip(fences, [*fences[1:], None], strict=True):
        if fence[1] == "python":
            shown = after is not None and after[1] == "text" and not page[fence.end() : after.start()].strip()
            yield Block(page.count("\n", 0, fence.start(2)) + 1, fence[2], after[2] if after and shown else None)


def run_page(path: Path) -> int:
    """Run the blocks of a page in order, in one namespace; returns how many. Tracebacks name the lines of the page."""
    page = path.read_text(encoding="utf-8")
    linecache.cache[str(path)] = (len(page), None, page.splitlines(keepends=True), str(path))
    space: dict[str, Any] = {"__name__": "__main__"}
    count = 0
    for count, block in enumerate(python_blocks(page), start=1):  # noqa: B007
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("\n" * (block.line - 1) + block.source, path, "exec"), space)
        if block.output is not None and printed.getvalue() != block.output:
            where = f"{path.name}, block at line {block.line}"
            raise AssertionError(f"{where}: the page shows\n{block.output}\nthe block prints\n{printed.getvalue()}")
    return count


if __name__ == "__main__":
    print(run_page(Path(sys.argv[1]).resolve()))
    sys.exit()


import pytest  # noqa: E402  a page runs without it

on_each_backend = pytest.mark.parametrize("backend", BACKENDS)


def run(
    folder: Path, backend: str, *command: str | Path, path: tuple[Path, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Python with this backend in a process of its own: names of operations are global, blocks define some."""
    environment = {**os.environ, "WEFT_BACKEND": backend, "PYTHONDONTWRITEBYTECODE": "1"}
    if path:
        environment["PYTHONPATH"] = os.pathsep.join(map(str, path))
    return subprocess.run(
        [sys.executable, "-W", "error", *map(str, command)], cwd=folder, env=environment, capture_output=True, text=True
    )


@on_each_backend
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_blocks_of_a_page_run(page: Path, backend: str, tmp_path: Path) -> None:
    done = run(tmp_path, backend, Path(__file__), page)
    assert done.returncode == 0, done.stderr
    # Fences that the pattern does not see would not run.
    assert int(done.stdout) == page.read_text(encoding="utf-8").count("```python")


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        ("```python\nx = 1\n```\n\n```python\nprint(x + y)\n```\n", "line 6.*NameError"),
        (
            "```python\nprint(1)\n```\n\n```text\n2\n```\n",
            "AssertionError.*line 2.*the page shows\n2\n\nthe block prints\n1",
        ),
    ],
)
def test_a_page_that_rots_is_found(page: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(page, encoding="utf-8")
    done = run(tmp_path, "numpy", Path(__file__), "page.md")
    assert done.returncode == 1
    assert re.search(complaint, done.stderr, re.DOTALL), done.stderr


def anchor(heading: str) -> str:
    """The name that a heading has in links, as code hosts make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", [*PAGES, *EXAMPLES.rglob("*.md")], ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(FENCE, "", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if "://" in target:
            continue
        file, _, heading = target.partition("#")
        linked = page.parent / file if file else page
        assert linked.exists(), f"{page.name} links to {target}"
        headings = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), re.MULTILINE) if heading else []
        assert not heading or heading in map(anchor, headings), f"{page.name} links to {target}"


SMALL = {
    "xor.py": ("--epochs", "60"),
    "sentiment_tree.py": ("--trees", "1000", "--epochs", "5"),
    "language_model.py": ("--characters", "3000", "--epochs", "2"),
    "parser.py": ("--quick",),
}


@on_each_backend
@pytest.mark.parametrize("example", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_an_example_learns(example: str, backend: str, tmp_path: Path) -> None:
    done = run(tmp_path, backend, EXAMPLES / example, *SMALL[example])
    assert done.returncode == 0, done.stderr
    losses = [float(loss) for loss in re.findall(r"loss (\d+\.\d+)", done.stdout)]
    assert losses[-1] < 0.9 * losses[0], done.stdout


@on_each_backend
def test_the_parser_attaches_words_better_after_training(backend: str, tmp_path: Path) -> None:
    done = run(tmp_path, backend, EXAMPLES / "parser.py", *SMALL["parser.py"])
    before, after = (float(score) for score in re.findall(r"attachment score (\d\.\d+)", done.stdout))
    assert before < 0.5 < 0.9 < after, done.stdout


def test_the_oracle_of_the_parser_builds_the_tree_that_it_is_asked_for() -> None:
    example = runpy.run_path(str(EXAMPLES / "parser.py"))
    rng = random.Random(5)
    for _ in range(200):
        words, heads = example["sentence"](rng)
        configuration = example["Configuration"](len(heads))
        taken = []
        while legal := configuration.legal():
            taken.append(configuration.oracle(heads))
            assert taken[-1] in legal, words
            configuration.take(taken[-1])
        assert (configuration.heads, len(taken)) == (heads, 2 * len(heads)), words


def installed(tmp_path: Path) -> tuple[Path, ...]:
    """The example backend as an installer leaves it: source on the path, and metadata that name its entry point."""
    plugin = tmp_path / "plugin"
    shutil.copytree(EXAMPLES / "backend_plugin", plugin)
    project = tomllib.loads((plugin / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    metadata = tmp_path / "site" / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir(parents=True)
    head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (metadata / "METADATA").write_text(head, encoding="utf-8")
    lines = [f"{name} = {module}\n" for name, module in project["entry-points"]["weft"].items()]
    (metadata / "entry_points.txt").write_text("[weft]\n" + "".join(lines), encoding="utf-8")
    return metadata.parent, plugin / "src"


def test_a_program_runs_on_the_example_backend(tmp_path: Path) -> None:
    path = installed(tmp_path)
    program = "import weft as dy; dy.tanh(dy.scalarInput(1)).value(); print(dy.cg().execution.total['steps'])"
    done = run(tmp_path, "counting", "-c", program, path=path)
    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr


def test_the_example_backend_conforms(tmp_path: Path) -> None:
    path = installed(tmp_path)
    chosen = "found_by or counts or version or tanh or cmult or lookup or revert or random_graph[1] or momentum"
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", "."]
    done = run(tmp_path, "numpy", *command, "-k", chosen, "plugin/tests", path=path)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed and int(passed[1]) > 40, done.stdout
