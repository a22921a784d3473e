"""DyNet's one computation graph: an object that stands for whichever graph is current in Weft."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

import weft
from weft_core.parameters import ParameterExpression
from weft_core.printing import nodes


class ComputationGraph:
    """The computation graph: `cg()` and `renew_cg()` give it, and it is always the same object.

    Nodes have the numbers that `print_text_graphviz` shows: parameters and instructions, by first use.
    """

    _version = 0

    def __init__(self) -> None:
        raise RuntimeError("there is one ComputationGraph; take it from cg() or renew_cg()")

    def renew(
        self, immediate_compute: bool = False, check_validity: bool = False, autobatching: bool | None = None
    ) -> ComputationGraph:
        """Drop all nodes and begin again, as `renew_cg` does."""
        weft.renew_cg(immediate_compute, check_validity, autobatching)
        self._version += 1
        return self

    def version(self) -> int:
        """How often the graph was renewed."""
        return self._version

    def _node(self, index: int) -> weft.Expression:
        graph = weft.cg()
        found = nodes(graph)
        if not 0 <= index < len(found):
            raise ValueError(f"there is no node {index} in this graph, which has {len(found)}")
        node = found[index]
        if node.is_parameter:
            return ParameterExpression(node.shapes[0])
        return weft.Expression(graph, node.places[0], node.shapes[0])

    def forward(self, index: int) -> None:
        """Compute node `index` anew, and all that it needs."""
        self._node(index).forward(True)

    def inc_forward(self, index: int) -> None:
        """Compute node `index`, where it has no value yet."""
        self._node(index).forward()

    def forward_scalar(self, index: int) -> float:
        """The number that node `index` is, computed anew."""
        return self._node(index).scalar_value(True)

    def inc_forward_scalar(self, index: int) -> float:
        """The number that node `index` is."""
        return self._node(index).scalar_value()

    def forward_vec(self, index: int) -> list[float]:
        """The value of node `index` as a flat list, computed anew."""
        return self._node(index).vec_value(True)

    def inc_forward_vec(self, index: int) -> list[float]:
        """The value of node `index` as a flat list."""
        return self._node(index).vec_value()

    def backward(self, index: int, full: bool = False) -> None:
        """Gradients of node `index`, as `Expression.backward` computes them."""
        self._node(index).backward(full)

    def checkpoint(self) -> None:
        """Mark the present end of the graph."""
        weft.cg_checkpoint()

    def revert(self) -> None:
        """Drop what came after the newest mark."""
        weft.cg_revert()

    def print_graphviz(self) -> None:
        """Write the graph to stderr."""
        weft.print_text_graphviz()

    def dump(
        self,
        filename: str | bytes = "",
        show_values: bool = True,
        show_gradients: bool = True,
        nan_check_only: bool = False,
    ) -> None:
        """Write all values and gradients to a file, or to stdout."""
        weft.dump_cg(os.fsdecode(filename), show_values, show_gradients, nan_check_only)

    def inputMatrixLiteral(
        self, v: Sequence[float], d: int | Sequence[int], batch_size: int = 1, device: str = ""
    ) -> weft.Expression:
        """An input of dims `d` from flat column-major numbers."""
        return weft.inputTensorTranspose(v, d, batch_size, device)

    def inputSparseTensor(
        self,
        idxs: Sequence[int],
        v: Sequence[float],
        dim: int | Sequence[int],
        batch_size: int = 1,
        defval: float = 0,
        device: str = "",
    ) -> weft.Expression:
        """An input of dims `dim`, `defval` everywhere but at the flat column-major places `idxs`.

        Raises ValueError where their number differs from that of `v`, and IndexError for a place outside.
        """
        if len(idxs) != len(v):
            raise ValueError(f"inputSparseTensor: {len(v)} values for {len(idxs)} places; give one for each")
        size = batch_size * int(np.prod(dim))
        if len(idxs) and not 0 <= min(idxs) <= max(idxs) < size:
            raise IndexError(f"inputSparseTensor: a place is outside of 0 to {size - 1}: {list(idxs)}")
        numbers = np.full(size, defval, np.float32)
        numbers[np.asarray(idxs, np.int64)] = v
        return weft.inputTensorTranspose(numbers, dim, batch_size, device)


_graph: ComputationGraph = object.__new__(ComputationGraph)


def cg() -> ComputationGraph:
    """The computation graph."""
    return _graph


def renew_cg(
    immediate_compute: bool = False, check_validity: bool = False, autobatching: bool | None = None
) -> ComputationGraph:
    """Drop all nodes of the graph and begin a new one; gradients of parameters stay."""
    return _graph.renew(immediate_compute, check_validity, autobatching)


def cg_version() -> int:
    """How often the graph was renewed."""
    return _graph.version()
