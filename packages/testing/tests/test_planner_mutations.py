"""A planner that goes wrong is found: levels, order, rows, and who needs a gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from weft_core import plan as planner
from weft_core.extend import Backend
from weft_core.graph import ComputationGraph
from weft_core.numpy_backend import NumpyBackend, NumpyExecution
from weft_testing import ConformanceError
from weft_testing.graphs import check_random_graph
from weft_testing.programs import PROGRAMS

# A plan of nonsense may also lead outside of the arenas.
FOUND = (ConformanceError, IndexError, ValueError)


def one_level(arrange: Callable[..., None]) -> Callable[..., None]:
    """All instructions of a type run at once, whatever they wait for."""

    def mutant(*arguments: Any) -> None:
        arrange(*arguments)
        state, node_type, key, order, autobatch = (arguments[k] for k in (2, 6, 10, 11, 13))
        if autobatch:
            count = state[planner.NODES]
            order[:count] = sorted(range(count), key=lambda i: (node_type[i], i))
            for i in range(count):
                key[i] = node_type[i]

    return mutant


def reversed_order(arrange: Callable[..., None]) -> Callable[..., None]:
    """Consumers run before producers."""

    def mutant(*arguments: Any) -> None:
        arrange(*arguments)
        if arguments[13]:
            arguments[11].reverse()

    return mutant


def shifted_rows(place: Callable[..., None]) -> Callable[..., None]:
    """The rows of a type's first operand are one off, where a type has several instructions."""

    def mutant(*arguments: Any) -> None:
        place(*arguments)
        state, record_of, records, lists, autobatch = (arguments[k] for k in (2, 10, 11, 14, 19))
        for record in record_of[: state[planner.TYPES]]:
            count = records[record + planner.T_COUNT]
            if autobatch and count > 1 and records[record + planner.T_OPERANDS]:
                view = record + planner.HEADER + records[record + planner.T_RESULTS] * planner.VIEW
                first = records[view + planner.V_LIST]
                lists[first : first + count] = lists[first + 1 : first + count] + lists[first : first + 1]

    return mutant


def lost_gradients(classify: Callable[..., None]) -> Callable[..., None]:
    """Instructions after position 20 get no gradient."""

    def mutant(*arguments: Any) -> None:
        classify(*arguments)
        need = arguments[12]
        need[20:] = [0] * len(need[20:])

    return mutant


PLANNER_MUTATIONS = {
    "one level": ("arrange", one_level),
    "reversed": ("arrange", reversed_order),
    "shifted rows": ("place", shifted_rows),
    "lost gradients": ("classify", lost_gradients),
}

PLANNER_CHECKS: dict[str, Callable[[Backend], None]] = {
    "recurrences": PROGRAMS["recurrences_of_different_lengths"],
    "circle": PROGRAMS["types_that_alternate_in_opposite_order"],
    "tree": PROGRAMS["a_tree"],
}


@pytest.mark.parametrize("mutation", PLANNER_MUTATIONS)
@pytest.mark.parametrize("program", PLANNER_CHECKS)
def test_a_wrong_plan_is_found(mutation: str, program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    function, mutate = PLANNER_MUTATIONS[mutation]
    backend = NumpyBackend(np.float32)
    PLANNER_CHECKS[program](backend)
    if mutation == "lost gradients":
        # This one would be in the reference, too: only what the backend plans is changed.
        backend = OwnPlanBackend(function, mutate, monkeypatch)
    else:
        monkeypatch.setattr(planner, function, mutate(getattr(planner, function)))
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
    function, mutate = PLANNER_MUTATIONS[mutation]
    backend = NumpyBackend(np.float32)
    check_random_graph(backend, 4)
    monkeypatch.setattr(planner, function, mutate(getattr(planner, function)))
    with pytest.raises(FOUND):
        check_random_graph(backend, 4)
