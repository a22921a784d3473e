"""The table of whole-program checks, and how a program is run and compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

import weft_core as w
from weft_core import ComputationGraph, Expression, ParameterCollection
from weft_core.extend import Backend

from ..running import REFERENCE, Outcome, clear_gradients, compare, parameter_gradients, require, same_random_numbers

Check: TypeAlias = Callable[[Backend], None]
PROGRAMS: dict[str, Check] = {}

# Records a program in the current graph: what its model is, and what is to be compared.
Recipe: TypeAlias = Callable[[ParameterCollection], Outcome]


def program(check: Check) -> Check:
    """Enter a check into the table under the name of the function."""
    PROGRAMS[check.__name__] = check
    return check


def compared(backend: Backend, name: str, recipe: Recipe, tolerance: float = 1e-5) -> None:
    """Run a recipe on the backend, autobatching and not, and on the reference; compare results and gradients."""
    model = ParameterCollection()
    wanted = outcome_of(REFERENCE, False, model, recipe)
    for autobatch in (True, False):
        compare(
            outcome_of(backend, autobatch, model, recipe),
            wanted,
            f"{backend.name}: {name}, autobatch={autobatch}",
            tolerance,
        )


def outcome_of(backend: Backend, autobatch: bool, model: ParameterCollection, recipe: Recipe) -> Outcome:
    clear_gradients(model)
    with same_random_numbers(), ComputationGraph(autobatch=autobatch, backend=backend):
        outcome = recipe(model)
    return outcome | parameter_gradients(model)


def parameters(model: ParameterCollection, **dims: tuple[int, ...]) -> list[Any]:
    """Parameters of these names: the same ones, with the same values, at every call."""
    known = {p.name(): p for p in model.parameters_list()}
    rng = np.random.default_rng(11)
    found = []
    for name, size in dims.items():
        values = rng.integers(-63, 64, size) / 64
        found.append(known.get(f"/{name}") or model.parameters_from_numpy(values, name))
    return found


def vector(seed: int, size: int = 3, batch: int = 1) -> Any:
    rng = np.random.default_rng([5, seed])
    return w.inputTensor(rng.integers(-127, 128, (size, batch)) / 64, batched=True)


def number(y: Expression) -> Any:
    return np.array(y.scalar_value())


def raises(kind: type[Exception], action: Callable[[], Any], what: str) -> None:
    """Raise `ConformanceError` unless the action raises this kind of exception."""
    try:
        action()
    except kind:
        return
    require(False, f"{what} must raise {kind.__name__}")
