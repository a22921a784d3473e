"""Gradients against central finite differences, computed in float64 by the reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .collection import ParameterCollection
from .errors import WeftError
from .expression import Expression
from .graph import ComputationGraph
from .numpy_backend import NumpyBackend
from .parameters import LookupParameters, Parameters
from .store import LookupTable, owner, parameter_gradients, parameter_values, seen_gradients


class WrongGradient(WeftError, AssertionError):
    """A gradient that finite differences contradict."""


@dataclass(frozen=True)
class GradientCheck:
    """The largest relative difference, and where it is."""

    error: float
    parameter: str
    element: int
    analytic: float
    numeric: float


def check_gradient(
    function: Callable[[], Expression],
    parameters: ParameterCollection | Sequence[Parameters | LookupParameters],
    *,
    tolerance: float = 1e-4,
    step: float = 1e-4,
    samples: int = 20,
) -> GradientCheck:
    """Check the gradient of a scalar with respect to parameters; `function` builds it in the current graph.

    The active backend computes the gradient g, the float64 reference the difference n, for up to `samples` elements of
    each parameter; gradients stored before the call are kept.

        n = (f(w + step) - f(w - step)) / (2 step),  error = |g - n| / max(1, |g|, |n|)

    Raises `WrongGradient` naming parameter and element when the largest error exceeds `tolerance`.
    """
    if isinstance(parameters, ParameterCollection):
        parameters = [*parameters.parameters_list(), *parameters.lookup_parameters_list()]
    ids = [-1 - p.index for p in parameters]
    before = [seen_gradients(id).copy() for id in ids]
    for id in ids:
        _clear(id)
    with ComputationGraph():
        function().backward()
    analytic = [seen_gradients(id).copy() for id in ids]
    for id, old in zip(ids, before, strict=True):
        _clear(id)
        gradients = parameter_gradients(id)
        gradients += old
    reference = NumpyBackend(np.float64)

    def evaluate() -> float:
        with ComputationGraph(backend=reference):
            return function().scalar_value()

    worst = GradientCheck(0.0, "", 0, 0.0, 0.0)
    choose = np.random.default_rng(0)
    for p, gradient in zip(parameters, analytic, strict=True):
        size = gradient.size
        elements = np.arange(size) if size <= samples else choose.choice(size, samples, replace=False)
        for element in elements.tolist():
            numeric = _difference(evaluate, -1 - p.index, element, step)
            g = float(gradient[element])
            error = abs(g - numeric) / max(1.0, abs(g), abs(numeric))
            if not error <= worst.error:
                worst = GradientCheck(error, p.name(), element, g, numeric)
    if not worst.error <= tolerance:
        raise WrongGradient(
            f"the gradient of {worst.parameter} at element {worst.element} is {worst.analytic:.6g}, "
            f"finite differences give {worst.numeric:.6g} (relative error {worst.error:.2g}, tolerance {tolerance:.2g})"
        )
    return worst


def _clear(id: int) -> None:
    slot = owner(id)
    parameter_gradients(id)[:] = 0
    if isinstance(slot, LookupTable):
        slot.forget_touched()


def _difference(evaluate: Callable[[], float], id: int, element: int, step: float) -> float:
    """Central difference; the step is what float32 makes of it."""

    def put(number: np.float32) -> float:
        # Taken anew each time: a backend may have computed with the values in between.
        values = parameter_values(id)
        values[element] = number
        return float(values[element])

    kept = parameter_values(id)[element]
    try:
        upper, above = put(kept + np.float32(step)), evaluate()
        lower, below = put(kept - np.float32(step)), evaluate()
    finally:
        put(kept)
    return (above - below) / (upper - lower)
