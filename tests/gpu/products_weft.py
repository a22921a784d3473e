"""One matrix product of Weft's kernels, on request. See `products.py`."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

import numpy as np
import survey
from timed import Timed
from weft_device import device_backend, level_works, repeated
from worker import Answer, serve

import weft as dy
from weft_triton.backend import TritonBackend

SEARCH_SECONDS = 0.002
MANY = 1472


class Product(Timed):
    """The level of a graph that holds the product: y = W x for `columns` instructions, or the gradient of W."""

    def __init__(self) -> None:
        self.backends: dict[str, TritonBackend] = {}
        self.open = ExitStack()

    def prepare(self, weight: tuple[int, int], columns: int, precision: str, gradient: bool) -> Answer:
        """Plan and run a graph whose one product has these sizes; the level that takes the longest is the product."""
        self.open.close()
        if precision not in self.backends:
            self.backends[precision] = backend = device_backend(precision=precision)
            # Few columns and many: products of different kernels.
            survey.prepare(backend, [partial(self.make, weight, n, precision, True) for n in (columns, MANY)])
            self.open.close()
        graph = self.make(weight, columns, precision, gradient)
        self.device = self.backends[precision].device
        self.flops = 2.0 * weight[0] * weight[1] * columns
        works = level_works(graph)
        times = [repeated(work, self.device, SEARCH_SECONDS) for work in works]
        self.work = works[times.index(max(times))]
        return {"step_seconds": max(times), "levels": len(times)}

    def make(self, weight: tuple[int, int], columns: int, precision: str, gradient: bool) -> dy.ComputationGraph:
        """A graph that has computed the product."""
        rows, inner = weight
        rng = np.random.default_rng(0)
        self.model = dy.ParameterCollection()
        w = self.model.parameters_from_numpy(rng.uniform(-1, 1, (rows, inner)))
        table = self.model.lookup_parameters_from_numpy(rng.uniform(-1, 1, (columns, inner)))
        graph = self.open.enter_context(dy.ComputationGraph(backend=self.backends[precision]))
        # Constants: the operand's gradient would be one more product.
        ys = [w * x for x in dy.lookup_each(table, range(columns), update=False)]
        loss = dy.esum([dy.sum_elems(y) for y in ys])
        loss.value()
        if gradient:
            loss.backward()
        return graph

    def measure(self, seconds: float, first: int) -> Answer:
        """Units are floating-point operations."""
        return {"units": self.flops, "seconds": repeated(self.work, self.device, seconds)}


def main() -> None:
    serve(Product().handle)


if __name__ == "__main__":
    main()
