"""One toolkit's cost of a node apart from its arithmetic; what is measured stands in `recording.py`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peer
import programs
from examples import load

REPEATS = 15
SENTENCES = 200
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
        for example in data.examples[:SENTENCES]:
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


def main() -> None:
    chosen = peer.chosen()
    dy = peer.dynamic_toolkit(chosen)
    peer.give({**recording(dy), **sentences(dy, chosen.data), **overhead(dy)})


if __name__ == "__main__":
    main()
