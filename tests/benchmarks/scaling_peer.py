"""One toolkit's time and memory a node for graphs of growing size; what is measured stands in `scaling.py`."""

from __future__ import annotations

import gc
import importlib
import statistics
import time
from collections.abc import Callable
from typing import Any

import peer
import resident

WIDTH = 8
NODES_A_STEP = 3  # h = tanh(W h + b): a product, a sum, a tanh
# So many nodes are timed at each size, over several graphs.
TIMED_NODES = 300_000
PHASES = ("build", "forward", "forward again", "backward")


class DynamicGraphs:
    """The graphs in Weft or DyNet."""

    def __init__(self, dy: Any) -> None:
        self.dy = dy
        collection = dy.ParameterCollection()
        self.weight = collection.add_parameters((WIDTH, WIDTH))
        self.bias = collection.add_parameters((WIDTH,))
        self.start = collection.add_parameters((WIDTH,))

    def chain(self, nodes: int) -> Any:
        tanh, weight, bias = self.dy.tanh, self.weight, self.bias
        self.dy.renew_cg()
        h = self.start
        for _ in range(steps(nodes)):
            h = tanh(weight * h + bias)
        return self.dy.sum_elems(h)

    def wide(self, nodes: int) -> Any:
        tanh, weight, bias, start = self.dy.tanh, self.weight, self.bias, self.start
        self.dy.renew_cg()
        return self.dy.sum_elems(self.dy.esum([tanh(weight * start + bias) for _ in range(steps(nodes))]))

    def forward(self, result: Any) -> None:
        result.forward()

    def forward_again(self, result: Any) -> bool:
        """Computed anew without planning, where the toolkit plans."""
        if not hasattr(result, "graph"):
            return False
        result.graph.invalidate()
        result.forward()
        return True

    def backward(self, result: Any) -> None:
        result.backward()


class TorchGraphs:
    """The graphs in PyTorch, which computes while it builds."""

    def __init__(self) -> None:
        self.torch = importlib.import_module("torch")
        self.torch.set_num_threads(1)
        self.weight, self.bias, self.start = (
            self.torch.randn(*shape, requires_grad=True) for shape in ((WIDTH, WIDTH), (WIDTH,), (WIDTH,))
        )

    def chain(self, nodes: int) -> Any:
        tanh, weight, bias, h = self.torch.tanh, self.weight, self.bias, self.start
        for _ in range(steps(nodes)):
            h = tanh(weight @ h + bias)
        return h.sum()

    def wide(self, nodes: int) -> Any:
        tanh, weight, bias, start = self.torch.tanh, self.weight, self.bias, self.start
        return self.torch.stack([tanh(weight @ start + bias) for _ in range(steps(nodes))]).sum()

    def forward(self, result: Any) -> None:
        result.item()

    def forward_again(self, result: Any) -> bool:
        return False

    def backward(self, result: Any) -> None:
        result.backward()


def steps(nodes: int) -> int:
    return max(1, nodes // NODES_A_STEP)


def seconds(graphs: Any, build: Callable[[int], Any], nodes: int) -> list[float]:
    """Seconds of each phase for one graph; PyTorch has no second forward, which then takes 0."""
    clock = time.perf_counter
    t0 = clock()
    result = build(nodes)
    t1 = clock()
    graphs.forward(result)
    t2 = clock()
    graphs.backward(result)
    t3 = clock()
    again = graphs.forward_again(result)
    t4 = clock()
    return [t1 - t0, t2 - t1, t4 - t3 if again else 0.0, t3 - t2]


def times(graphs: Any, size: int) -> dict[str, float]:
    """Nanoseconds a node of each phase and in all, after a warm-up of the same size; medians over graphs."""
    figures = {}
    for kind in ("chain", "wide"):
        build = getattr(graphs, kind)
        seconds(graphs, build, size)
        count = max(1, min(1000, TIMED_NODES // size))
        phases = [[1e9 * t / (NODES_A_STEP * steps(size)) for t in seconds(graphs, build, size)] for _ in range(count)]
        medians = [statistics.median(phase) for phase in zip(*phases)]
        for name, cost in zip(PHASES, medians):
            if cost:
                figures[f"{kind}, {size} nodes, {name}"] = cost
        figures[f"{kind}, {size} nodes, training"] = sum(medians) - medians[PHASES.index("forward again")]
    return figures


def memory(graphs: Any, size: int) -> dict[str, float]:
    """Bytes a node that the resident set grows by over build, forward and backward of one graph of each process."""
    seconds(graphs, graphs.chain, 30)
    gc.collect()
    before = resident.now()
    result = graphs.chain(size)
    graphs.forward(result)
    graphs.backward(result)
    return {f"chain, {size} nodes": (resident.now() - before) / (NODES_A_STEP * steps(size))}


def main() -> None:
    chosen = peer.chosen()
    graphs = TorchGraphs() if chosen.toolkit == "torch" else DynamicGraphs(peer.dynamic_toolkit(chosen))
    peer.give(memory(graphs, chosen.size) if chosen.task == "memory" else times(graphs, chosen.size))


if __name__ == "__main__":
    main()
