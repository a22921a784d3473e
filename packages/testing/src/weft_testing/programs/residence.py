"""Parameters whose newest numbers another backend keeps in memory of its own."""

from __future__ import annotations

from weft_core import ComputationGraph, ParameterCollection, affine_transform, tanh
from weft_core.extend import Backend

from ..elsewhere import Elsewhere, take_away
from ..running import REFERENCE, Outcome, clear_gradients, compare, parameter_gradients, projection
from .table import number, parameters, program, vector


@program
def parameters_that_another_backend_keeps(backend: Backend) -> None:
    """They are read and changed where the newest numbers are, whenever they were taken away."""
    model = ParameterCollection()
    table = model.lookup_parameters_from_numpy([[1.0, 0.5], [0.25, -1.0], [2.0, -0.5]])

    def outcome(backend: Backend, autobatch: bool, when: str, seed: int) -> Outcome:
        clear_gradients(model)
        with ComputationGraph(autobatch=autobatch, backend=backend):
            b, W = parameters(model, b=(3,), W=(3, 2))
            if when == "before forward":
                take_away(model.store)
            loss = projection(tanh(affine_transform([b, W, table[1]]) + vector(seed)), seed)
            found = {"loss": number(loss)}
            if when == "before backward":
                take_away(model.store)
            elif when == "gradients":
                Elsewhere(model.store.gradient_arena)
                Elsewhere(model.store.tables[0].gradient_arena)
            loss.backward()
            if when == "after backward":
                take_away(model.store)
        return found | parameter_gradients(model)

    for seed, when in enumerate(("before forward", "before backward", "gradients", "after backward")):
        for autobatch in (True, False):
            # Numbers that an earlier run has left behind are others.
            wanted = outcome(REFERENCE, False, "never", 2 * seed + autobatch)
            found = outcome(backend, autobatch, when, 2 * seed + autobatch)
            compare(found, wanted, f"{backend.name}: parameters taken away, {when}, autobatch={autobatch}", 1e-5)
