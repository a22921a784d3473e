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
from .store import owner, parameter_arrays


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
    arrays = [parameter_arrays(-1 - p.index) for p in parameters]
    before = [gradients.copy() for _, gradients in arrays]
    for p, (_, gradients) in zip(parameters, arrays, strict=True):
        _clear(p, gradients)
    with ComputationGraph():
        function().backward()
    analytic = [gradients.copy() for _, gradients in arrays]
    for p, (_, gradients), old in zip(parameters, arrays, before, strict=True):
        _clear(p, gradients)
        gradients += old
    reference = NumpyBackend(np.float64)

    def evaluate() -> float:
        with ComputationGraph(backend=reference):
            return function().scalar_value()

    worst = GradientCheck(0.0, "", 0, 0.0, 0.0)
    choose = np.random.default_rng(0)
    for p, (values, _), gradient in zip(parameters, arrays, analytic, strict=True):
        elements = (
            np.arange(values.size) if values.size <= samples else choose.choice(values.size, samples, replace=False)
        )
        for element in elements.tolist():
            numeric = _difference(evaluate, values, element, step)
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


def _clear(parameter: Parameters | LookupParameters, gradients: np.ndarray) -> None:
    slot = owner(-1 - parameter.index)
    gradients[:] = 0
    if hasattr(slot, "clear_gradients"):
        slot.clear_gradients()


def _difference(evaluate: Callable[[], float], values: np.ndarray, element: int, step: float) -> float:
    """Central difference; the step is what float32 makes of it."""
    kept = values[element]
    try:
        values[element] = kept + np.float32(step)
        upper, above = float(values[element]), evaluate()
        values[element] = kept - np.float32(step)
        lower, below = float(values[element]), evaluate()
    finally:
        values[element] = kept
    return (above - below) / (upper - lower)
