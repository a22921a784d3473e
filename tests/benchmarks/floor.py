"""The least time that this machine needs for one word or tree node of a task: arithmetic, and bytes of parameters.

    python floor.py --data FOLDER --task tagger --batch 64      one line of JSON (FOLDER as data.py prints it)

Products: the multiply-adds of every matrix product of a training step, each at the rate that sgemm reaches here on that
very shape, measured now. A product that does not depend on the recurrence has all words of the group as its columns;
one that does has those of one step (the mean width of a level of a tree). Forward W x and backward W' dy have that
shape; the weights' gradient dy x' has all columns of the group. With a single column it is sgemv, if that is faster.

Update: w, g, m and v read and written once for each parameter that it touches, at the bandwidth that changing as many
bytes in place reaches here (a copy would also read what it overwrites). Sparse: the rows of tables that the group uses.

Elementwise work, gathering, the loss and the graph are not counted: no program can be at 1.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from examples import TASKS, Data, Example, load
from peer import pin
from scipy.linalg import blas

GROUPS = 50
TABLES = ("embedding", "characters")
RECURRENT = ("inner", "forget_left", "forget_right")
STATE_ARRAYS = 4  # w, g, m, v
SECONDS = 0.05


@dataclass(frozen=True)
class Group:
    """How much of a task stands side by side, on average over groups: per group, and per step of the recurrence."""

    units: float
    letters: float
    leaves: float
    width: float
    letters_width: float


def group_of(data: Data, groups: list[list[Example]]) -> Group:
    """The averages over these groups."""
    count = len(groups)
    examples = [example for group in groups for example in group]
    units = sum(len(example.words) for example in examples)
    spelled = [[len(data.spelling[w]) for e in group for w in e.words if w in data.spelling] for group in groups]
    letters = sum(map(sum, spelled))
    letters_steps = sum(max(lengths, default=0) for lengths in spelled)
    leaves = sum(left < 0 for example in examples for left in example.left)
    steps = sum(max(height(example) for example in group) for group in groups)
    return Group(
        units / count,
        letters / count,
        leaves / count,
        (units - leaves) / steps,
        letters / letters_steps if letters_steps else 0.0,
    )


def height(example: Example) -> int:
    """Steps of the recurrence: words of a sentence, levels above the leaves of a tree."""
    if not example.left:
        return len(example.words)
    heights: list[int] = []
    for left, right in zip(example.left, example.right, strict=True):
        heights.append(0 if left < 0 else 1 + max(heights[left], heights[right]))
    return heights[-1]


def columns(name: str, group: Group) -> tuple[float, float]:
    """How many columns a product with this matrix has, and how many the group has in all."""
    if name.startswith("character_"):
        return group.letters_width if name.endswith("_h") else group.letters, group.letters
    if name == "leaf":
        return group.leaves, group.leaves
    if name in RECURRENT:
        return group.width, group.units - group.leaves
    return group.width if name.endswith("_h") else group.units, group.units


def products_seconds(data: Data, group: Group) -> float:
    """Seconds a unit for the products of a training step."""
    total = 0.0
    for name, uses in data.uses().items():
        rows, inputs = data.parameters[name].shape
        at_once, in_all = (max(1, round(number)) for number in columns(name, group))
        a_column = seconds_of(rows, inputs, at_once, "forward") + seconds_of(inputs, rows, at_once, "transposed")
        total += uses * (a_column / at_once + seconds_of(rows, in_all, inputs, "gradient") / in_all)
    return total


@functools.cache
def seconds_of(m: int, k: int, n: int, kind: str) -> float:
    """Seconds of a product {m, k} {k, n}; the first operand lies transposed, or the second, as it does in training."""
    rng = np.random.default_rng(0)

    def matrix(rows: int, inner: int) -> Any:
        return np.asfortranarray(rng.standard_normal((rows, inner), np.float32))

    transposed, gradient = kind == "transposed", kind == "gradient"
    a = matrix(k, m) if transposed else matrix(m, k)
    b = matrix(n, k) if gradient else matrix(k, n)
    c = matrix(m, n)
    best = best_seconds(
        lambda: blas.sgemm(1.0, a, b, 0.0, c, trans_a=int(transposed), trans_b=int(gradient), overwrite_c=1)
    )
    if n == 1:
        x, y = b.ravel().copy(), c.ravel().copy()
        best = min(best, best_seconds(lambda: blas.sgemv(1.0, a, x, 0.0, y, trans=int(transposed), overwrite_y=1)))
    # What the call costs from Python is not the product's.
    return float(max(best - call_seconds(), 0.1 * best))


@functools.cache
def call_seconds() -> float:
    """Seconds of a product of two numbers."""
    one = np.ones((1, 1), np.float32, order="F")
    return best_seconds(lambda: blas.sgemm(1.0, one, one, 0.0, one, overwrite_c=1))


def best_seconds(call: Callable[[], Any]) -> float:
    """The least seconds of a call, over as many as fit into SECONDS; at least three."""
    call()
    best, spent, calls = float("inf"), 0.0, 0
    while spent < SECONDS or calls < 3:
        begin = time.perf_counter()
        call()
        seconds = time.perf_counter() - begin
        best, spent, calls = min(best, seconds), spent + seconds, calls + 1
    return best


def touched(data: Data, groups: list[list[Example]], sparse: bool) -> float:
    """Parameters that the update of a group touches, on average."""
    dense = [array.size for name, array in data.parameters.items() if not (sparse and name in TABLES)]
    if not sparse:
        return float(sum(dense))
    rows = 0
    for group in groups:
        words = {word for example in group for word in example.words if word >= 0}
        letters = {letter for word in words for letter in data.spelling.get(word, ())}
        rows += len(words - data.spelling.keys()) * data.parameters["embedding"].shape[1]
        rows += len(letters) * data.parameters["characters"].shape[1] if letters else 0
    return float(sum(dense) + rows / len(groups))


def bandwidth(footprint: int) -> float:
    """Bytes a second, read and written, of negating this many bytes of numbers in place."""
    numbers = np.ones(max(footprint // 4, 1024), np.float32)
    return 2 * numbers.nbytes / best_seconds(lambda: np.negative(numbers, out=numbers))


def floor(data: Data, batch: int, update: str) -> dict[str, float]:
    """Seconds a word or tree node, in all and by part."""
    groups = list(itertools.islice(data.groups(batch), max(1, min(GROUPS, len(data.examples) // batch))))
    group = group_of(data, groups)
    products = products_seconds(data, group)
    footprint = round(4 * STATE_ARRAYS * touched(data, groups, update == "sparse"))
    moved = 2 * footprint / bandwidth(footprint) / group.units
    rate = 6.0 * data.multiply_adds() / products
    return {"seconds": products + moved, "products": products, "update": moved, "gflops": 1e-9 * rate}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder written by data.py")
    parser.add_argument("--task", choices=TASKS, required=True)
    parser.add_argument("--batch", type=int, default=1, help="examples a graph")
    parser.add_argument("--update", choices=("sparse", "dense"), default="sparse", help="of look-up tables")
    chosen = parser.parse_args()
    pin()
    print(json.dumps(floor(load(chosen.data, chosen.task), chosen.batch, chosen.update)))


if __name__ == "__main__":
    main()
