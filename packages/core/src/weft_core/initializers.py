"""Initializers: the first values of parameters.

All draw from one stream of the process, `numpy.random.Philox(settings.seed)`. The seed is 0 unless
`init(seed=...)` or `reset_random_seed` sets another, so a program that never sets a seed gets the same
parameters in every run. Both calls restart the stream.
"""

from __future__ import annotations

import math
import os
import threading
from abc import ABC, abstractmethod
from numbers import Real
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import ShapeError, WeftError
from .settings import settings
from .store import Floats

_lock = threading.Lock()
_streams: dict[tuple[int, int], np.random.Generator] = {}


class InitializerError(ShapeError, RuntimeError):
    """An initializer that cannot fill a parameter of these dims."""


def generator() -> np.random.Generator:
    """The stream of all initializers, restarted by every reseeding."""
    key = settings.seed, settings.reseeds
    with _lock:
        if key not in _streams:
            _streams.clear()
            _streams[key] = np.random.Generator(np.random.Philox(key[0]))
        return _streams[key]


class Initializer(ABC):
    """Base of initializers; your own is a subclass with `fill`."""

    @abstractmethod
    def fill(self, values: Floats, dims: tuple[int, ...]) -> None:
        """Write first values: `values` is flat, in memory (column-major) order of a tensor of dims `dims`.

        The dims of a look-up table are `row dims + (rows,)`.
        """


PyInitializer = Initializer


class UniformInitializer(Initializer):
    """U(-scale, scale). Raises ValueError unless the scale is positive and finite."""

    def __init__(self, scale: float) -> None:
        if not 0 < scale < math.inf:
            raise ValueError(f"the scale of a uniform initializer must be positive and finite, got {scale}")
        self.scale = float(scale)

    def fill(self, values: Floats, dims: tuple[int, ...]) -> None:
        generator().random(out=values, dtype=np.float32)
        values *= 2 * self.scale
        values -= self.scale


class NormalInitializer(Initializer):
    """N(mean, var), `var` the variance. Raises ValueError for a negative variance."""

    def __init__(self, mean: float = 0.0, var: float = 1.0) -> None:
        if not (0 <= var < math.inf and math.isfinite(mean)):
            raise ValueError(
                f"a normal initializer needs a finite mean and a variance of at least 0, got mean {mean}, var {var}"
            )
        self.mean = float(mean)
        self.var = float(var)

    def fill(self, values: Floats, dims: tuple[int, ...]) -> None:
        generator().standard_normal(out=values, dtype=np.float32)
        values *= math.sqrt(self.var)
        values += self.mean


class GlorotInitializer(Initializer):
    """U(-a, a) with a = gain * sqrt(3 n / (d0 + ... + d(n-1))) (Glorot and Bengio, 2010); for a matrix gain *
    sqrt(6 / (d0 + d1)).

    Four dims are a convolution `{height, width, in, out}`: a = gain * sqrt(6 / ((in + out) * height *
    width)). `is_lookup=True` leaves the number of rows of a look-up table out; by default it counts, as in
    DyNet.
    """

    def __init__(self, is_lookup: bool = False, gain: float = 1.0) -> None:
        if not 0 < gain < math.inf:
            raise ValueError(f"the gain of a Glorot initializer must be positive and finite, got {gain}")
        self.is_lookup = bool(is_lookup)
        self.gain = float(gain)

    def bound(self, dims: tuple[int, ...]) -> float:
        """The a of U(-a, a)."""
        # A number has no dims; it counts as a vector of one.
        dims = (dims[:-1] if self.is_lookup else dims) or (1,)
        if len(dims) == 4:
            return self.gain * math.sqrt(6 / ((dims[2] + dims[3]) * dims[0] * dims[1]))
        return self.gain * math.sqrt(3 * len(dims) / sum(dims))

    def fill(self, values: Floats, dims: tuple[int, ...]) -> None:
        UniformInitializer(self.bound(dims)).fill(values, dims)


class ConstInitializer(Initializer):
    """The same number everywhere."""

    def __init__(self, c: float) -> None:
        self.c = float(c)

    def fill(self, values: Floats, dims: tuple[int, ...]) -> None:
        values.fill(self.c)


class IdentityInitializer(Initializer):
    """The identity matrix. Raises `InitializerError` for other dims than a square matrix."""

    def fill(self, values: Floats, dims: tuple[int, ...]) -> None:
        side = _square("identity", dims)
        values.fill(0)
        values[:: side + 1] = 1


class SaxeInitializer(Initializer):
    """`scale` times a random orthogonal matrix (Saxe et al., 2014): U of the singular value decomposition of
    a U(-1, 1) matrix.

    Raises `InitializerError` for other dims than a square matrix.
    """

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = float(scale)

    def fill(self, values: Floats, dims: tuple[int, ...]) -> None:
        side = _square("saxe", dims)
        orthogonal = np.linalg.svd(generator().uniform(-1, 1, (side, side)))[0]
        values[:] = self.scale * orthogonal.ravel(order="F")


class FromFileInitializer(Initializer):
    """Numbers from a text file, separated by white space, column-major.

    Raises ValueError when the file holds something else, or not as many numbers as the parameter; OSError
    when it cannot be read.
    """

    def __init__(self, fname: str | bytes | os.PathLike[str]) -> None:
        self.path = Path(os.fsdecode(fname))

    def fill(self, values: Floats, dims: tuple[int, ...]) -> None:
        try:
            numbers = [float(word) for word in self.path.read_text().split()]
        except ValueError as error:
            raise ValueError(f"{self.path} must hold numbers separated by white space: {error}") from None
        if len(numbers) != len(values):
            raise InitializerError(
                f"{self.path} holds {len(numbers)} numbers, a parameter of dims {dims} needs {len(values)}"
            )
        values[:] = numbers


class NumpyInitializer(Initializer):
    """The values of an array, flattened column-major. Raises `InitializerError` when it has another number of
    elements.
    """

    def __init__(self, array: ArrayLike) -> None:
        self.array = real_array(array, "NumpyInitializer")

    def fill(self, values: Floats, dims: tuple[int, ...]) -> None:
        if self.array.size != len(values):
            raise InitializerError(
                f"the array of the NumpyInitializer has shape {self.array.shape}, {self.array.size} "
                "elements; "
                f"a parameter of dims {dims} needs {len(values)}"
            )
        values[:] = self.array.ravel(order="F")


Init: TypeAlias = Initializer | NDArray[Any] | Real | float | str | None

_FORMS = (
    "None, 'glorot', 'he', 'uniform' (with scale=), 'normal' (with mean= and std=), 'identity', 'saxe', "
    "a number, "
    "an array, or an initializer object"
)


class UnknownInitializer(WeftError, ValueError):
    """A value of `init=` that is none of the accepted forms."""


def as_initializer(init: Init, last: int, scale: float = 1.0, mean: float = 0.0, std: float = 1.0) -> Initializer:
    """The initializer that an `init=` argument means; `last` is the last of the dims as given, which 'he'
    looks at.

    'he' is N(0, 1 / (2 last)). Raises `UnknownInitializer` for other forms.
    """
    if isinstance(init, Initializer):
        return init
    if isinstance(init, (Real, np.bool_)):
        return ConstInitializer(float(init))
    match init:
        case None | "glorot":
            return GlorotInitializer()
        case "he":
            return NormalInitializer(0.0, 1 / (2 * last))
        case "uniform":
            return UniformInitializer(scale)
        case "normal":
            return NormalInitializer(mean, std * std)
        case "identity":
            return IdentityInitializer()
        case "saxe":
            return SaxeInitializer()
    found = repr(init) if isinstance(init, str) else f"an object of type {type(init).__name__}"
    raise UnknownInitializer(f"init must be {_FORMS}; got {found}")


def real_array(value: ArrayLike, asked: str) -> NDArray[Any]:
    """An array of real numbers.

    Raises `ShapeError` for a ragged list, TypeError for what is not numbers.
    """
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ShapeError(f"{asked} needs an array or a nested list with rows of one length: {error}") from None
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{asked} takes real numbers, got an array of dtype {array.dtype}")
    return array


def _square(name: str, dims: tuple[int, ...]) -> int:
    if len(dims) != 2 or dims[0] != dims[1]:
        raise InitializerError(
            f"the {name} initializer fills square matrices, got dims {dims}; choose another initializer"
        )
    return dims[0]
