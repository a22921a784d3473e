"""What a node costs apart from its arithmetic, in Weft and in the DyNet wheel.

    python recording.py                    both toolkits, side by side
    python recording.py --toolkit weft     one toolkit in this interpreter, as one line of JSON

Figures are medians, in nanoseconds a node (for the tagger sentence: a word):
* recording one node of each operation of a tagger, operands at hand, and the median over the operations;
* building whole tagger sentences through the builders;
* forward and backward of 8-wide nodes, where arithmetic is next to nothing: a chain of h = tanh(W h + b) and
  a chain of unary operations (dispatch), and many independent nodes. In Weft, forward is also split: computed
  again after the inputs were set, a graph keeps its plan; what the first forward took beyond that is planning.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import programs
from examples import load

REPEATS = 15
NODES = 1500
WIDTH = 8
UNARY = ("tanh", "logistic", "square")


def operations(dy: Any, collection: Any) -> dict[str, Callable[[], Callable[[], Any]]]:
    """For each operation of a tagger, what makes its operands in a new graph and returns the timed call."""
    table = collection.add_lookup_parameters((100, WIDTH))
    weight = collection.add_parameters((WIDTH, WIDTH))
    bias = collection.add_parameters((WIDTH,))

    def on(call: Callable[[Any, Any], Any]) -> Callable[[], Callable[[], Any]]:
        def prepare() -> Callable[[], Any]:
            x, y = table[1], table[2]
            return lambda: call(x, y)

        return prepare

    return {
        "lookup": on(lambda x, y: table[3]),
        "product": on(lambda x, y: weight * x),
        "affine_transform": on(lambda x, y: dy.affine_transform([bias, weight, x])),
        "tanh": on(lambda x, y: dy.tanh(x)),
        "logistic": on(lambda x, y: dy.logistic(x)),
        "sum": on(lambda x, y: x + y),
        "cmult": on(lambda x, y: dy.cmult(x, y)),
        "concatenate": on(lambda x, y: dy.concatenate([x, y])),
        "pick_range": on(lambda x, y: dy.pick_range(x, 2, 6)),
        "pickneglogsoftmax": on(lambda x, y: dy.pickneglogsoftmax(x, 5)),
    }


def recording(dy: Any) -> dict[str, float]:
    """Nanoseconds to record one node, per operation and their median."""
    collection = dy.ParameterCollection()
    costs = {}
    for name, prepare in operations(dy, collection).items():
        seconds = []
        for _ in range(REPEATS):
            dy.renew_cg()
            call = prepare()
            call()
            begin = time.perf_counter()
            for _ in range(NODES):
                call()
            seconds.append(time.perf_counter() - begin)
        costs[name] = 1e9 * statistics.median(seconds) / NODES
    named = {f"record {name}": cost for name, cost in costs.items()}
    return {**named, "record, median": statistics.median(costs.values())}


def sentences(dy: Any, folder: Path) -> dict[str, float]:
    """Nanoseconds a word to build sentences of the tagger, with both LSTM builders."""
    data = load(folder, "tagger")
    costs = {}
    for builder in ("VanillaLSTMBuilder", "CompactVanillaLSTMBuilder"):
        tagger = programs.Tagger(dy, data, builder, sparse=True)
        per_word = []
        for example in data.examples[:200]:
            begin = time.perf_counter()
            tagger.build([example])
            per_word.append((time.perf_counter() - begin) / len(example.words))
        costs[f"tagger sentence, {builder}, a word"] = 1e9 * statistics.median(per_word)
    return costs


def graphs(dy: Any) -> dict[str, Callable[[], tuple[Any, int]]]:
    """Graphs of small nodes: each call records one, and returns its scalar result and number of nodes."""
    collection = dy.ParameterCollection()
    weight = collection.add_parameters((WIDTH, WIDTH))
    bias = collection.add_parameters((WIDTH,))
    start = collection.add_parameters((WIDTH,))

    def recurrence() -> tuple[Any, int]:
        h = start
        for _ in range(NODES // 3):
            h = dy.tanh(weight * h + bias)
        return dy.sum_elems(h), NODES

    def unary() -> tuple[Any, int]:
        h = start
        calls = [getattr(dy, name) for name in UNARY]
        for _ in range(NODES // len(calls)):
            for call in calls:
                h = call(h)
        return dy.sum_elems(h), NODES

    def independent() -> tuple[Any, int]:
        return dy.sum_elems(dy.esum([dy.tanh(bias) for _ in range(NODES)])), NODES

    return {"chain of tanh(W h + b)": recurrence, "chain of unary": unary, "independent tanh": independent}


def overhead(dy: Any) -> dict[str, float]:
    """Nanoseconds a node to build, run forward and run backward each graph."""
    costs: dict[str, float] = {}
    for name, graph in graphs(dy).items():
        phases: list[list[float]] = [[], [], [], []]
        for _ in range(REPEATS):
            dy.renew_cg()
            t0 = time.perf_counter()
            result, nodes = graph()
            t1 = time.perf_counter()
            result.forward()
            t2 = time.perf_counter()
            result.backward()
            t3 = time.perf_counter()
            executed = executed_again(result) if hasattr(result, "graph") else 0.0
            for phase, seconds in zip(phases, (t1 - t0, t2 - t1, t3 - t2, executed)):
                phase.append(seconds / nodes)
        build, forward, backward, execution = (1e9 * statistics.median(phase) for phase in phases)
        costs.update({f"{name}, build": build, f"{name}, forward": forward, f"{name}, backward": backward})
        if execution:
            costs[f"{name}, forward: execution alone"] = execution
            costs[f"{name}, forward: planning alone"] = forward - execution
    return costs


def executed_again(result: Any) -> float:
    """Seconds of a forward that needs no planning."""
    result.graph.invalidate()
    begin = time.perf_counter()
    result.forward()
    return time.perf_counter() - begin


def measured(toolkit: str, folder: Path) -> dict[str, float]:
    """All figures of one toolkit in this interpreter."""
    dy = importlib.import_module(toolkit)
    return {**recording(dy), **sentences(dy, folder), **overhead(dy)}


def elsewhere(python: str, toolkit: str, folder: Path) -> dict[str, float]:
    """All figures of one toolkit in another process, single-threaded."""
    command = [python, __file__, "--toolkit", toolkit, "--data", str(folder)]
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    finished = subprocess.run(command, env={**os.environ, **one_thread}, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(finished.stdout.splitlines()[-1]))


def compare(asked: str | None, make: bool) -> None:
    """Prints the figures of Weft beside those of the DyNet wheel, if there is one."""
    import data  # these two need the Python of Weft; DyNet's own process does not come here
    import pythons

    folder = data.cache_folder()
    data.prepare(folder)
    python = pythons.dynet_python(asked, pythons.ENVIRONMENT, make)
    weft = elsewhere(sys.executable, "weft", folder)
    dynet = elsewhere(python, "dynet", folder) if python else {}
    print(f"{'nanoseconds':56}{'weft':>10}{'DyNet wheel':>14}{'weft / DyNet':>14}")
    for name, cost in weft.items():
        peer = dynet.get(name)
        print(f"{name:56}{cost:10.0f}" + (f"{peer:14.0f}{cost / peer:14.2f}" if peer else ""))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toolkit", choices=("weft", "dynet"))
    parser.add_argument("--data", type=Path, help="folder written by data.py (with --toolkit)")
    parser.add_argument("--dynet", metavar="PYTHON", help="an interpreter with DyNet")
    parser.add_argument("--make-dynet", action="store_true", help="make one with pip if none is found")
    chosen = parser.parse_args()
    if chosen.toolkit is None:
        compare(chosen.dynet, chosen.make_dynet)
    elif chosen.data is None:
        parser.error("--toolkit needs --data, the folder printed by data.py")
    else:
        print(json.dumps(measured(chosen.toolkit, chosen.data)))


if __name__ == "__main__":
    main()
