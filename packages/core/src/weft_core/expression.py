"""Expressions: handles to values on the tape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import GradientError
from .graph import current

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from .graph import ComputationGraph
    from .shape import Shape
    from .tensor import Tensor


class Expression:
    """A value on the tape: graph, position, shape. Nothing is computed before a value is asked for.

    Operators: `+ -` elementwise with broadcasting, `*` matrix product (or scaling by a number), `/` and `**`,
    `x[i]` picks along the first axis, `x[a:b]` slices it, `x[None]` puts a new axis of size 1 before it.
    """

    __slots__ = ("graph", "index", "shape")

    graph: ComputationGraph
    index: int
    shape: Shape

    def __init__(self, graph: ComputationGraph, index: int, shape: Shape) -> None:
        self.graph = graph
        self.index = index
        self.shape = shape

    if TYPE_CHECKING:
        # Operators are attached by ops/arithmetic.py and ops/indexing.py, where their operations are.
        def __add__(self, other: Any) -> Expression: ...
        def __radd__(self, other: Any) -> Expression: ...
        def __sub__(self, other: Any) -> Expression: ...
        def __rsub__(self, other: Any) -> Expression: ...
        def __mul__(self, other: Any) -> Expression: ...
        def __rmul__(self, other: Any) -> Expression: ...
        def __truediv__(self, other: Any) -> Expression: ...
        def __rtruediv__(self, other: Any) -> Expression: ...
        def __pow__(self, other: Any) -> Expression: ...
        def __neg__(self) -> Expression: ...
        def __getitem__(self, key: Any) -> Expression: ...

    def __repr__(self) -> str:
        graph = self.graph
        return f"expression {self.index}/{graph.number if graph is not None else '-'} {self.shape!r}"

    def __getstate__(self) -> Any:
        raise TypeError("an expression is a handle into a live graph and cannot be pickled or copied")

    def dim(self) -> tuple[tuple[int, ...], int]:
        """Dims of one example and the batch size: `((d0, d1, ...), B)`."""
        self._graph().check(self.index)
        return self.shape.dims, self.shape.batch

    def _graph(self) -> ComputationGraph:
        return self.graph or current()

    def _flat(self, recalculate: bool) -> NDArray[np.float32]:
        graph = self._graph()
        graph.forward((self.index,), recalculate)
        return graph.execution.value(self.index, self.shape)

    def forward(self, recalculate: bool = False) -> None:
        """Compute this value and all that it needs."""
        self._graph().forward((self.index,), recalculate)

    def npvalue(self, recalculate: bool = False) -> NDArray[np.float64]:
        """The value as a float64 array with logical indices; a batch above 1 is the last axis."""
        return shaped(self._flat(recalculate), self.shape)

    def vec_value(self, recalculate: bool = False) -> list[float]:
        """The value as a flat list, column-major, example after example."""
        return self._flat(recalculate).tolist()  # type: ignore[no-any-return]

    def scalar_value(self, recalculate: bool = False) -> float:
        """The value of an expression with one element.

        Raises ValueError when it has more.
        """
        if self.shape.total != 1:
            raise ValueError(
                f"scalar_value() needs exactly one element, this expression has shape {self.shape}; "
                "use npvalue() or vec_value(), or sum it first"
            )
        graph = self._graph()
        graph.forward((self.index,), recalculate)
        return graph.execution.scalar(self.index)

    def tensor_value(self, recalculate: bool = False) -> Tensor:
        """The value as a `Tensor`, for searches and draws along an axis."""
        from .tensor import Tensor

        return Tensor(self._flat(recalculate), self.shape)

    def value(self, recalculate: bool = False) -> Any:
        """A float for one element, a flat list for vectors (batches one after another), an array otherwise."""
        shape = self.shape
        if len(shape.dims) >= 2:
            return self.npvalue(recalculate)
        if shape.total == 1:
            return self.scalar_value(recalculate)
        return self.vec_value(recalculate)

    def backward(self, full: bool = False) -> None:
        """Gradients of this scalar: added into the parameters, kept per node until the next backward.

        `full=True` computes gradients for nodes that do not depend on parameters, too.
        Raises ValueError unless the expression has one element and batch 1, `GradientError` in a graph for inference.
        """
        if self.shape.total != 1:
            raise ValueError(
                f"backward() starts from one number, this expression has shape {self.shape}; "
                "sum it first (sum_elems, sum_batches, esum)"
            )
        self._graph().backward(self.index, full)

    def gradient(self) -> NDArray[np.float64]:
        """Gradient of the last `backward` with respect to this expression, shaped like `npvalue()`.

        Raises `GradientError` when no backward has reached this node.
        """
        graph = self._graph()
        graph.check(self.index)
        flat = graph.execution.gradient(self.index, self.shape)
        if flat is None:
            raise GradientError(
                f"{self!r} has no gradient: call backward() on an expression that comes after it in the same graph"
            )
        return shaped(flat, self.shape)

    def __iter__(self) -> Iterator[Expression]:
        return (self[i] for i in range(self.shape.rows))


def shaped(flat: NDArray[Any], shape: Shape) -> NDArray[np.float64]:
    """Flat column-major values as a float64 array with logical indices."""
    dims = shape.dims if shape.batch == 1 else (*shape.dims, shape.batch)
    return flat.astype(np.float64).reshape(dims, order="F")
