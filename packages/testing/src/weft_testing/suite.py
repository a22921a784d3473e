"""The pytest face of the kit: a class to inherit from, with a `backend` fixture to override."""

from __future__ import annotations

import pytest

from weft_core.extend import API_VERSION, Backend

from .case import Case, Variant
from .cases import CASES
from .conformance import check_case
from .graphs import SEEDS, check_random_graph
from .programs import PROGRAMS
from .random_cells import SEEDS as CELL_SEEDS
from .random_cells import check_random_cell
from .updates import RULES, SITUATIONS, check_update


def case_parameters() -> list[object]:
    """One parameter set per case and variant, with an id such as `cmult-broadcast`."""
    return [
        pytest.param(case, variant, id=f"{case.name}-{variant.name}") for case in CASES for variant in case.variants()
    ]


class BackendConformance:
    """What every backend must pass. Inherit, and override the fixture `backend`:

    class TestMyBackend(BackendConformance):
        @pytest.fixture
        def backend(self):
            return MyBackend()
    """

    @pytest.fixture
    def backend(self) -> Backend:
        """The backend under test."""
        raise NotImplementedError("override the fixture `backend` to return the backend under test")

    def test_it_speaks_this_version_of_the_contract(self, backend: Backend) -> None:
        assert backend.api_version[0] == API_VERSION[0]
        assert backend.name

    @pytest.mark.parametrize(("case", "variant"), case_parameters())
    def test_operation(self, backend: Backend, case: Case, variant: Variant) -> None:
        check_case(backend, case, variant)

    @pytest.mark.parametrize("name", PROGRAMS)
    def test_program(self, backend: Backend, name: str) -> None:
        PROGRAMS[name](backend)

    @pytest.mark.parametrize("seed", SEEDS)
    def test_random_graph(self, backend: Backend, seed: int) -> None:
        check_random_graph(backend, seed)

    @pytest.mark.parametrize("seed", CELL_SEEDS)
    def test_random_cell(self, backend: Backend, seed: int) -> None:
        check_random_cell(backend, seed)

    @pytest.mark.parametrize("rule", RULES)
    @pytest.mark.parametrize("situation", SITUATIONS)
    def test_update(self, backend: Backend, rule: str, situation: str) -> None:
        check_update(backend, rule, situation)
