"""The four tasks of the benchmarks on the Triton backend, in small: the CPU's losses, and a count of launches."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weft as dy
from weft_core import plan as p
from weft_core.backend import backends
from weft_core.settings import settings

sys.path.append(str(Path(__file__).parent / "benchmarks"))

import weft_programs
from examples import Data, Example

available = {entry.name for entry in backends() if entry.available}
pytestmark = pytest.mark.skipif("triton" not in available, reason="the Triton backend is not installed")

WORDS, EMBEDDING, HIDDEN, TAGS, LETTERS = 20, 6, 5, 4, 7
TASKS = {
    "lm": weft_programs.CellLanguageModel,
    "tagger": weft_programs.CellTagger,
    "chars": weft_programs.CellCharacterTagger,
    "tree": weft_programs.CellTree,
}
EXAMPLES, GROUP = 20, 4
tasks = pytest.mark.parametrize("task", TASKS)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    backend, autobatch = settings.backend(), settings.autobatch
    yield
    settings.use(backend)
    settings.autobatch = autobatch


def parameters(task: str) -> dict[str, Any]:
    """Initial parameters, small and fixed."""
    sizes: dict[str, tuple[int, ...]] = {"embedding": (WORDS, EMBEDDING)}

    def lstm(name: str, inputs: int, hidden: int) -> None:
        sizes.update({f"{name}_x": (4 * hidden, inputs), f"{name}_h": (4 * hidden, hidden), f"{name}_b": (4 * hidden,)})

    if task == "lm":
        lstm("lstm", EMBEDDING, HIDDEN)
        sizes |= {"output": (WORDS, HIDDEN), "output_bias": (WORDS,)}
    elif task == "tree":
        sizes |= {
            "leaf": (3 * HIDDEN, EMBEDDING), "inner": (3 * HIDDEN, 2 * HIDDEN), "bias": (3 * HIDDEN,),
            "forget_left": (HIDDEN, HIDDEN), "forget_right": (HIDDEN, HIDDEN), "forget_bias": (HIDDEN,),
            "output": (TAGS, HIDDEN),
        }  # fmt: skip
    else:
        for name in ("forward", "backward"):
            lstm(name, EMBEDDING, HIDDEN)
        sizes |= {"hidden": (6, 2 * HIDDEN), "output": (TAGS, 6)}
        if task == "chars":
            sizes["characters"] = (LETTERS, 4)
            for name in ("character_forward", "character_backward"):
                lstm(name, 4, EMBEDDING // 2)
    rng = np.random.default_rng(2)
    return {name: rng.uniform(-0.4, 0.4, dims).astype(np.float32) for name, dims in sizes.items()}


def data(task: str) -> Data:
    """Sentences or trees of three to five words."""
    rng = np.random.default_rng(3)
    examples = []
    for _ in range(EXAMPLES):
        words = rng.integers(1, WORDS, int(rng.integers(3, 6))).tolist()
        left, right = [], []
        if task == "tree":
            # Leaves, each but the first followed by the node that joins it to what is there.
            order: list[int] = []
            for n, word in enumerate(words):
                order.append(word)
                left.append(-1)
                right.append(-1)
                if n:
                    order.append(0)
                    left.append(len(order) - 3 if n > 1 else 0)
                    right.append(len(order) - 2)
            words = order
        examples.append(Example(words, rng.integers(0, TAGS, len(words)).tolist(), left, right))
    spelling = {word: rng.integers(0, LETTERS, 1 + word % 3).tolist() for word in range(1, WORDS, 3)}
    return Data(task, examples, parameters(task), spelling if task == "chars" else {})


def program(task: str, backend: str, autobatch: bool) -> Any:
    dy.init(backend=backend, autobatch=autobatch, seed=1)
    return TASKS[task](dy, data(task), "VanillaLSTMBuilder", True)


def losses(task: str, backend: str, autobatch: bool) -> list[float]:
    """The losses of training on all examples once."""
    made = program(task, backend, autobatch)
    found = []
    for group, _ in zip(made.data.groups(GROUP), range(EXAMPLES // GROUP), strict=False):
        loss = made.build(group)
        found.append(made.forward(loss))
        made.backward(loss)
        made.update()
    return found


@tasks
@pytest.mark.parametrize("autobatch", [True, False], ids=["autobatch", "one_by_one"])
def test_losses_are_those_of_the_cpu(task: str, autobatch: bool) -> None:
    wanted = losses(task, "numba", True)
    assert wanted[-1] != wanted[0]
    np.testing.assert_allclose(losses(task, "triton", autobatch), wanted, rtol=1e-4)


def depth(execution: Any) -> int:
    """Steps on the longest chain of a plan: who reads a row comes after who writes it."""
    memory = execution.memory
    records, lists = memory.records.tolist(), memory.lists.tolist()
    steps = memory.steps[: p.STEP * int(memory.state[p.STEPS])].reshape(-1, p.STEP).tolist()
    written = np.zeros(int(memory.state[p.ARENA_END]), np.int64)
    longest = 0
    for t, start, count, whole in steps:
        record = int(memory.record_of[t])
        results, operands = records[record + p.T_RESULTS], records[record + p.T_OPERANDS]
        views = [record + p.HEADER + p.VIEW * k for k in range(results + operands)]
        level = 0
        for k, at in enumerate(views):
            external = records[at + p.V_EXTERNAL]
            if records[at + p.V_PARAMETER] >= 0 or (k >= results and whole and not external):
                continue
            size = records[at + p.V_SIZE] * records[at + p.V_BATCH]
            for row in lists[records[at + p.V_LIST] + start : records[at + p.V_LIST] + start + count]:
                if row:
                    level = max(level, int(written[row : row + size].max()))
        for at in views[:results]:
            size = records[at + p.V_SIZE] * records[at + p.V_BATCH]
            for row in lists[records[at + p.V_LIST] + start : records[at + p.V_LIST] + start + count]:
                written[row : row + size] = level + 1
        longest = max(longest, level + 1)
    return longest


def count_launches(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of all functions that are launched from here on."""
    from weft_triton import rule_kernels, toolchain

    # Programs of update rules are made once in a process.
    rule_kernels.rule_kernels.cache_clear()
    launched: list[str] = []
    made = toolchain.Program.__init__

    def spied(self: Any, function: Any, *arguments: Any, **more: Any) -> None:
        made(self, function, *arguments, **more)
        first = self._first_launch

        def launch(grid: int, *numbers: int) -> None:
            first(grid, *numbers)
            run = self.launch

            def counted(grid: int, *numbers: int) -> None:
                launched.append(function.__name__)
                run(grid, *numbers)

            launched.append(function.__name__)
            self.launch = counted

        self.launch = launch

    monkeypatch.setattr(toolchain.Program, "__init__", spied)
    return launched


def triton_backend(mode: str) -> Any:
    from weft_triton.backend import TritonBackend
    from weft_triton.options import Options

    return TritonBackend(Options(mode=mode))


def step(task: str, mode: str, launched: list[str]) -> tuple[list[int], int]:
    """Launches of the last of three training steps (forward, backward, update), and the depth of its plan."""
    made = program(task, "numba", True)
    settings.use(triton_backend(mode))
    made = TASKS[task](dy, data(task), "VanillaLSTMBuilder", True)
    groups = made.data.groups(GROUP)
    counts: list[int] = []
    levels = 0
    for _ in range(3):
        loss = made.build(next(groups))
        counts = [len(launched)]
        made.forward(loss)
        counts.append(len(launched))
        levels = depth(loss.graph.execution)
        made.backward(loss)
        counts.append(len(launched))
        made.update()
        counts.append(len(launched))
    return [b - a for a, b in itertools.pairwise(counts)], levels


@tasks
def test_one_launch_for_each_level(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    launched = count_launches(monkeypatch)
    (forward, backward, update), levels = step(task, "levels", launched)
    assert 0 < forward <= levels + 4
    assert 0 < backward <= levels + 8
    assert 0 < update <= 3


@tasks
def test_four_launches_for_a_whole_step(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    launched = count_launches(monkeypatch)
    (forward, backward, update), _ = step(task, "tape", launched)
    assert forward == backward == 1
    assert 0 < forward + backward + update <= 4
