"""Random operations: dropout masks, noise, random inputs.

Random numbers are a function of seed, graph, position on the tape and element: so a mask is made anew
for the gradient instead of being kept, and does not depend on what runs together. The payload holds the
position.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..expression import Expression
from ..graph import current
from ..operation import Array, Attribute, Call, Operation, check_expressions
from ..philox import normal, uniform
from ..shape import Shape, as_dims, shape_of
from ..signature import Signature
from .arithmetic import scale
from .attributes import number
from .axes import check_axis

Stream = Callable[[int, int, int, int], NDArray[np.float32]]


def drawn(call: Call, stream: Stream, shape: Shape) -> Array:
    """Numbers of every instruction, `dims + (instructions * batch,)`; elements count in memory order."""
    rows = [stream(call.seed, call.graph, int(position), shape.total) for position in call.payload[:, 0]]
    return np.concatenate([row.reshape((*shape.dims, shape.batch), order="F") for row in rows], axis=-1)


class Dropout(Operation):
    """`x m / (1 - p)`, every m 0 with probability p, else 1 (Srivastava et al. 2014). First attribute: p."""

    name = "dropout"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        (x,) = operands
        return Signature(self, operands, attributes, (shape_of(x.dims, x.batch),), payload=1)

    def mask_shape(self, call: Call) -> Shape:
        """Dims and batch of m."""
        return call.signature.results[0]

    def factor(self, call: Call) -> Array:
        """`m / (1 - p)`, one value per decision, repeated over the batch."""
        p, shape = number(call.attributes[0]), self.mask_shape(call)
        kept = np.where(drawn(call, uniform, shape) >= p, 1 / (1 - p), 0.0)
        return np.repeat(kept, call.batch // shape.batch, axis=-1)

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        return (operands[0] * self.factor(call),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        return (gradients[0] * self.factor(call),)


class SharedDropout(Dropout):
    """Dropout with one decision for many elements; more attributes: dims and batch of m."""

    name = "shared_dropout"

    def mask_shape(self, call: Call) -> Shape:
        _, dims, batch = call.attributes
        assert isinstance(dims, tuple) and isinstance(batch, int)
        return shape_of(dims, batch)


class Noise(Operation):
    """`x + e`, e normal with standard deviation the attribute."""

    name = "noise"

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        (x,) = operands
        return Signature(self, operands, attributes, (shape_of(x.dims, x.batch),), payload=1)

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        z: Array = drawn(call, normal, call.signature.results[0])
        return (np.add(operands[0], number(call.attributes[0]) * z),)

    def backward(
        self, call: Call, gradients: tuple[Array, ...], results: tuple[Array, ...], *operands: Array
    ) -> tuple[Array | None, ...]:
        return (gradients[0],)


class RandomInput(Operation):
    """Random numbers of a distribution; attributes: dims, batch, and two parameters of the distribution."""

    def __init__(self, name: str, stream: Stream, transform: Callable[[Array, float, float], Array]) -> None:
        super().__init__(name)
        self.stream = stream
        self.transform = transform

    def infer(self, operands: tuple[Shape, ...], attributes: tuple[Attribute, ...]) -> Signature:
        dims, batch, *_ = attributes
        assert isinstance(dims, tuple) and isinstance(batch, int)
        return Signature(self, (), attributes, (shape_of(dims, batch),), payload=1)

    def forward(self, call: Call, *operands: Array) -> tuple[Array, ...]:
        first, second = (number(a) for a in call.attributes[2:])
        numbers = drawn(call, self.stream, call.signature.results[0]).astype(np.float64)
        return (self.transform(numbers, first, second),)

    def make(self, dim: int | Sequence[int], batch_size: int, first: float, second: float) -> Expression:
        """Record the instruction in the current graph."""
        return self.record((), (as_dims(dim), int(batch_size), float(first), float(second)), (len(current().code),))


def _gumbel(u: Array, mean: float, scale: float) -> Array:
    """`mean - scale ln(-ln u)`; both logarithms of at least 1e-20."""
    return mean - scale * np.log(np.maximum(-np.log(np.maximum(u, 1e-20)), 1e-20))


_dropout, _shared_dropout, _noise = Dropout(), SharedDropout(), Noise()
_random_normal = RandomInput("random_normal", normal, lambda z, mean, stddev: mean + stddev * z)
_random_uniform = RandomInput("random_uniform", uniform, lambda u, left, right: left + (right - left) * u)
_random_bernoulli = RandomInput("random_bernoulli", uniform, lambda u, p, scale: np.where(u < p, scale, 0.0))
_random_gumbel = RandomInput("random_gumbel", uniform, _gumbel)

_dropouts: dict[tuple[Shape, float], tuple[int, Shape]] = {}


def _is_identity(name: str, p: float) -> bool:
    """Whether nothing is dropped; raises ValueError for a p that is no rate."""
    if not 0 <= p < 1:
        raise ValueError(f"{name}: p is the probability to drop and must be in [0, 1), got {p}")
    return p == 0


def dropout(x: Expression, p: float) -> Expression:
    """`x m / (1 - p)`: every element is 0 with probability p, the others are scaled (Srivastava et al. 2014).

    Raises ValueError for p outside of [0, 1).
    """
    try:
        sid, shape = _dropouts[x.shape, p]
    except (KeyError, AttributeError):
        if _is_identity("dropout", p):
            return x
        sid, shape, _ = _dropout.signature((x,), (float(p),))
        _dropouts[x.shape, p] = sid, shape
    graph = x.graph or current()
    code = graph.code
    index = len(code)
    code.append(sid)
    code.append(x.index)
    code.append(index)
    return Expression(graph, index, shape)


def _share(name: str, x: Expression, p: float, dims: tuple[int, ...], batch: int) -> Expression:
    if _is_identity(name, p):
        return x
    graph = x.graph or current()
    return _shared_dropout.record((x,), (float(p), dims, batch), (len(graph.code),))


def dropout_dim(x: Expression, d: int, p: float) -> Expression:
    """Dropout with one decision along axis `d`; with d=0 whole columns of a matrix are dropped.

    Raises `ShapeError` for an axis that x does not have, ValueError for p outside of [0, 1).
    """
    check_expressions("dropout_dim", (x,))
    check_axis("dropout_dim", x.shape, d)
    dims = x.shape.dims
    return _share("dropout_dim", x, p, (*dims[:d], 1, *dims[d + 1 :]), x.shape.batch)


def dropout_batch(x: Expression, p: float) -> Expression:
    """Dropout with one decision per example of a batch. Raises ValueError for p outside of [0, 1)."""
    check_expressions("dropout_batch", (x,))
    return _share("dropout_batch", x, p, (1,) * len(x.shape.dims), x.shape.batch)


def block_dropout(x: Expression, p: float) -> Expression:
    """Dropout with one decision for the whole value and batch; p=1 gives zeros.

    Raises ValueError for p outside of [0, 1].
    """
    check_expressions("block_dropout", (x,))
    if p == 1:
        return scale(x, 0.0)
    return _share("block_dropout", x, p, (1,) * len(x.shape.dims), 1)


def noise(x: Expression, stddev: float) -> Expression:
    """`x + e`, e normal with mean 0 and this standard deviation. Raises ValueError for a negative one."""
    check_expressions("noise", (x,))
    if stddev < 0:
        raise ValueError(f"noise: the standard deviation must not be negative, got {stddev}")
    graph = x.graph or current()
    return _noise.record((x,), (float(stddev),), (len(graph.code),))


def random_normal(dim: int | Sequence[int], mean: float = 0.0, stddev: float = 1.0, batch_size: int = 1) -> Expression:
    """Normal numbers with this mean and standard deviation; drawn when first computed."""
    return _random_normal.make(dim, batch_size, mean, stddev)


def random_uniform(dim: int | Sequence[int], left: float, right: float, batch_size: int = 1) -> Expression:
    """Numbers uniform in [left, right)."""
    return _random_uniform.make(dim, batch_size, left, right)


def random_bernoulli(dim: int | Sequence[int], p: float, scale: float = 1.0, batch_size: int = 1) -> Expression:
    """`scale` with probability p, else 0. Raises ValueError for p outside of [0, 1]."""
    if not 0 <= p <= 1:
        raise ValueError(f"random_bernoulli: p is a probability, got {p}")
    return _random_bernoulli.make(dim, batch_size, p, scale)


def random_gumbel(dim: int | Sequence[int], mu: float = 0.0, beta: float = 1.0, batch_size: int = 1) -> Expression:
    """Gumbel numbers `mu - beta ln(-ln u)`, u uniform in [0, 1); both logarithms of at least 1e-20."""
    return _random_gumbel.make(dim, batch_size, mu, beta)
