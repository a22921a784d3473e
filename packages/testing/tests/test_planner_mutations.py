"""A planner that goes wrong is found: levels, order, rows, and who needs a gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from weft_core import layout, ordering
from weft_core import plan as planner
from weft_core.extend import Backend
from weft_core.graph import ComputationGraph
from weft_core.numpy_backend import NumpyBackend, NumpyExecution
from weft_core.signature import COLUMNS, ENTRIES, ENTRY_FIELDS
from weft_testing import ConformanceError
from weft_testing.graphs import check_random_graph
from weft_testing.programs import PROGRAMS

# A plan of nonsense may also lead outside of the arenas.
FOUND = (ConformanceError, IndexError, ValueError)


def one_level(find_levels: Callable[..., None]) -> Callable[..., None]:
    """All instructions of a type run at once, whatever they wait for."""

    def mutant(*arguments: Any) -> None:
        find_levels(*arguments)
        depth, key = arguments[10], arguments[12]
        depth[:] = [1] * len(depth)
        key[:] = [k & ~planner.LEVEL for k in key]

    return mutant


def reversed_order(schedule: Callable[..., None]) -> Callable[..., None]:
    """Consumers run before producers."""

    def mutant(*arguments: Any) -> None:
        schedule(*arguments)
        state, steps = arguments[1], arguments[17]
        used = planner.STEP * state[planner.STEPS]
        parts = [steps[s : s + planner.STEP] for s in range(0, used, planner.STEP)]
        steps[:used] = [number for part in reversed(parts) for number in part]

    return mutant


def shifted_rows(place: Callable[..., None]) -> Callable[..., None]:
    """The rows of operands from inside a recurrence are one off."""

    def mutant(*arguments: Any) -> None:
        place(*arguments)
        state, record_of, records, lists = (arguments[k] for k in (2, 8, 9, 11))
        for record in record_of[: state[planner.TYPES]]:
            count = records[record + planner.T_COUNT]
            for k in range(records[record + planner.T_OPERANDS]):
                view = record + planner.HEADER + (records[record + planner.T_RESULTS] + k) * planner.VIEW
                if not records[view + planner.V_EXTERNAL]:
                    first = records[view + planner.V_LIST]
                    lists[first : first + count] = lists[first + 1 : first + count] + lists[first : first + 1]

    return mutant


def lost_gradients(classify: Callable[..., None]) -> Callable[..., None]:
    """Types that have instructions after position 20 get no gradient."""

    def mutant(*arguments: Any) -> None:
        classify(*arguments)
        code, rows, state, nodes, noted = (arguments[k] for k in (0, 1, 2, 3, 10))
        for position in nodes[: state[planner.NODES]]:
            if position > 20:
                noted[rows[code[position] * COLUMNS + ENTRIES] // ENTRY_FIELDS] &= ~planner.NEEDED

    return mutant


PLANNER_MUTATIONS = {
    "one level": (ordering, "find_levels", one_level),
    "reversed": (ordering, "schedule", reversed_order),
    "shifted rows": (layout, "place", shifted_rows),
    "lost gradients": (planner, "classify", lost_gradients),
}

PLANNER_CHECKS: dict[str, Callable[[Backend], None]] = {
    "recurrences": PROGRAMS["recurrences_of_different_lengths"],
    "circle": PROGRAMS["types_that_alternate_in_opposite_order"],
    "tree": PROGRAMS["a_tree"],
}


@pytest.mark.parametrize("mutation", PLANNER_MUTATIONS)
@pytest.mark.parametrize("program", PLANNER_CHECKS)
def test_a_wrong_plan_is_found(mutation: str, program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, function, mutate = PLANNER_MUTATIONS[mutation]
    backend = NumpyBackend(np.float32)
    PLANNER_CHECKS[program](backend)
    if mutation == "lost gradients":
        # This one would be in the reference, too: only what the backend plans is changed.
        backend = OwnPlanBackend(function, mutate, monkeypatch)
    else:
        monkeypatch.setattr(module, function, mutate(getattr(module, function)))
    with pytest.raises(FOUND):
        PLANNER_CHECKS[program](backend)


class OwnPlanExecution(NumpyExecution):
    patched: Callable[[], Any]

    def backward(self, index: int, full: bool) -> None:
        with self.patched():
            super().backward(index, full)


class OwnPlanBackend(NumpyBackend):
    """A backend whose planning of gradients has a function of its own."""

    def __init__(self, function: str, mutate: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(np.float32)

        @contextmanager
        def patched() -> Iterator[None]:
            with monkeypatch.context() as patch:
                patch.setattr(planner, function, mutate(getattr(planner, function)))
                yield

        self.patched = patched

    def execution(self, graph: ComputationGraph) -> OwnPlanExecution:
        execution = OwnPlanExecution(graph, self.dtype)
        execution.patched = self.patched
        return execution


@pytest.mark.parametrize("mutation", ["one level", "reversed", "shifted rows"])
def test_a_wrong_plan_is_found_by_random_graphs(mutation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, function, mutate = PLANNER_MUTATIONS[mutation]
    backend = NumpyBackend(np.float32)
    check_random_graph(backend, 4)
    monkeypatch.setattr(module, function, mutate(getattr(module, function)))
    with pytest.raises(FOUND):
        check_random_graph(backend, 4)
