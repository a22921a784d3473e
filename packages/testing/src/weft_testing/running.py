"""Running one program on a backend, and comparing what two backends made of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from weft_core import Expression, ParameterCollection, cmult, inputTensor, reset_random_seed, sum_batches, sum_elems
from weft_core.numpy_backend import NumpyBackend
from weft_core.settings import settings

# What a run leaves: arrays by what they are.
Outcome: TypeAlias = dict[str, NDArray[np.float64]]

SEED = 20260707
REFERENCE = NumpyBackend(np.float64)


class ConformanceError(AssertionError):
    """A backend that computes something else than the reference."""


def require(condition: bool, sentence: str) -> None:
    """Raise `ConformanceError` with this sentence unless the condition holds."""
    if not condition:
        raise ConformanceError(sentence)


@contextmanager
def same_random_numbers() -> Iterator[None]:
    """Seed and graph numbers start anew, so that two runs of a program draw the same; then the seed is put back."""
    before = settings.seed
    reset_random_seed(SEED)
    try:
        yield
    finally:
        reset_random_seed(before)


def compare(found: Outcome, wanted: Outcome, where: str, tolerance: float) -> None:
    """Raise `ConformanceError` naming the first array that differs by more than `tolerance` of its magnitude, or of 1.

    NaN equals NaN, infinities must be the same.
    """
    require(found.keys() == wanted.keys(), f"{where}: has {sorted(found)}, the reference {sorted(wanted)}")
    for what, right in wanted.items():
        got = found[what]
        require(got.shape == right.shape, f"{where}: {what} has shape {got.shape}, the reference {right.shape}")
        finite = np.isfinite(right)
        require(
            bool(np.array_equal(got[~finite], right[~finite], equal_nan=True)),
            f"{where}: {what} is {got}, the reference has {right}",
        )
        magnitude = max(1.0, float(np.abs(right[finite]).max(initial=0.0)))
        difference = np.abs(np.where(finite, got - np.where(finite, right, 0), 0))
        # Written so that a NaN in `got` is a difference.
        if not bool((difference <= tolerance * magnitude).all()):
            worst = tuple(
                int(i) for i in np.unravel_index(int(np.nanargmax(np.nan_to_num(difference, nan=np.inf))), right.shape)
            )
            raise ConformanceError(
                f"{where}: {what} at {worst} is {got[worst]:.9g}, the reference has {right[worst]:.9g} "
                f"(tolerance {tolerance:.2g} of {magnitude:.3g})"
            )


def projection(y: Expression, seed: int) -> Expression:
    """A number: the elements of y with random weights, so that each of them has a gradient of its own."""
    rng = np.random.default_rng(seed)
    weights = rng.choice([-1.5, -1.0, -0.5, 0.5, 1.0, 2.0], (*y.shape.dims, y.shape.batch))
    return sum_batches(sum_elems(cmult(y, inputTensor(weights, batched=True))))


def clear_gradients(model: ParameterCollection) -> None:
    """All gradients of a collection to zero."""
    model.store.gradients[:] = 0
    for table in model.store.tables:
        table.clear_gradients()


def parameter_gradients(model: ParameterCollection, which: str = "gradient") -> Outcome:
    """The accumulated gradient of every parameter and look-up table."""
    return {
        f"{which} of {p.name()}": p.grad_as_array() for p in (*model.parameters_list(), *model.lookup_parameters_list())
    }
