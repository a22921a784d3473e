"""A case: one use of an operation, the operands that it takes, and the variants in which it is tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from weft_core import Expression, LookupParameters, ParameterCollection, Parameters

Dims: TypeAlias = tuple[int, ...]
Floats: TypeAlias = NDArray[np.float64]

BATCH = 3
INSTANCES = 5


class Instance:
    """One use of the case in a program: its number, and the parameters that all uses share."""

    def __init__(
        self, number: int, model: ParameterCollection, shared: dict[str, Parameters | LookupParameters]
    ) -> None:
        self.number = number
        self._model = model
        self._shared = shared

    def turn(self, *choices: int) -> int:
        """Another choice for each instance, over and over."""
        return choices[self.number % len(choices)]

    def parameter(self, name: str, *dims: int) -> Parameters:
        """The parameter of this name; all instances get the same one."""
        if name not in self._shared:
            self._shared[name] = self._model.parameters_from_numpy(spread(name, dims))
        found = self._shared[name]
        assert isinstance(found, Parameters)
        return found

    def table(self, name: str, rows: int, *dims: int) -> LookupParameters:
        """The look-up table of this name; all instances get the same one."""
        if name not in self._shared:
            self._shared[name] = self._model.lookup_parameters_from_numpy(spread(name, (rows, *dims)))
        found = self._shared[name]
        assert isinstance(found, LookupParameters)
        return found


def spread(name: str, dims: Sequence[int]) -> Floats:
    """Numbers between -1 and 1 that depend on the name only."""
    rng = np.random.default_rng([*name.encode()])
    return rng.integers(-63, 64, tuple(dims)) / 64.0


Build: TypeAlias = Callable[..., "Expression | Sequence[Expression]"]


@dataclass(frozen=True)
class Variant:
    """Dims and batch size of every operand."""

    name: str
    dims: tuple[Dims, ...]
    batches: tuple[int, ...]


@dataclass(frozen=True)
class Case:
    """`build(instance, *operands)` records the operation; values of operands lie between `low` and `high`.

    `modes`: "all", or only "unbatched" or "batched". `shapes` are further dims to try, by the name of their variant.
    `differentiable`: the gradient is that of the value; False for operations that define another.
    `tolerance` is relative to the largest number of an array, or to 1.
    """

    name: str
    build: Build
    dims: tuple[Dims, ...] = ()
    low: float = -2.0
    high: float = 2.0
    modes: str = "all"
    shapes: dict[str, tuple[Dims, ...]] = field(default_factory=dict)
    differentiable: bool = True
    tolerance: float = 1e-5

    @property
    def function(self) -> str:
        """The public function that this is a case of: the name up to the first `-`."""
        return self.name.partition("-")[0]

    def variants(self) -> Iterator[Variant]:
        """Unbatched, batched, one operand repeated over the batch of the others, and the further shapes."""
        n = len(self.dims)
        if self.modes != "batched":
            yield Variant("unbatched", self.dims, (1,) * n)
        if n and self.modes != "unbatched":
            yield Variant("batched", self.dims, (BATCH,) * n)
            if n > 1:
                yield Variant("broadcast", self.dims, (BATCH,) + (1,) * (n - 1))
                yield Variant("broadcast_first", self.dims, (1,) + (BATCH,) * (n - 1))
        for name, dims in self.shapes.items():
            batch = 1 if self.modes == "unbatched" or name == "one" else BATCH
            yield Variant(name, dims, (batch,) * n)

    def values(self, variant: Variant, number: int) -> list[Floats]:
        """Operand values of one instance, `dims + (batch,)`: distinct and half a grid step from every grid point.

        So there are no ties, and no kink of a formula is within reach of `grid_step / 16`.
        """
        rng = np.random.default_rng([number, *f"{self.name} {variant.name}".encode()])
        shapes = [(*d, b) for d, b in zip(variant.dims, variant.batches, strict=True)]
        sizes = [int(np.prod(s)) for s in shapes]
        grid = grid_step(self, variant)
        points = np.arange(np.ceil(self.low / grid), np.floor(self.high / grid))
        numbers = (rng.choice(points, sum(sizes), replace=False) + 0.5) * grid
        parts = np.split(numbers, np.cumsum(sizes)[:-1]) if sizes else []
        return [part.reshape(s) for part, s in zip(parts, shapes, strict=True)]


def grid_step(case: Case, variant: Variant) -> float:
    """A power of two that leaves room for as many distinct values as an instance needs."""
    count = sum(int(np.prod(d)) * b for d, b in zip(variant.dims, variant.batches, strict=True))
    grid = 1 / 16
    while (case.high - case.low) / grid < 2 * count + 4:
        grid /= 2
    return grid
