"""The table of cases is whole, and the reference that it is compared with is right."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import pytest

import weft_core
from weft_core import ComputationGraph
from weft_core.numpy_backend import NumpyBackend
from weft_core.signature import signatures
from weft_testing import CASES, Case, Variant, add_case, check_reference, check_signatures
from weft_testing.conformance import Program

# Lower-case names of weft_core that record no operation.
NO_OPERATIONS = set(
    [
        "backends",
        "cell",
        "cg",
        "cg_checkpoint",
        "cg_revert",
        "cg_version",
        "check_gradient",
        "dump_cg",
        "elementwise",
        "forward",
        "gated",
        "init",
        "inputMatrix",
        "load",
        "load_generator",
        "load_parameters",
        "matInput",
        "npvalues",
        "print_graphviz",
        "print_text_graphviz",
        "read_parameters",
        "renew_cg",
        "reset_random_seed",
        "save",
        "save_parameters",
        "values",
    ]
)

case_ids = [pytest.param(case, id=case.name) for case in CASES]


@cache
def catalogue() -> set[str]:
    """Names of the operations that importing the core registers: in a process where nobody has added any."""
    program = "import weft_core; from weft_core.operation import operations; print(' '.join(operations))"
    return set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )


def operations_of(case: Case) -> set[str]:
    """Names of the operations on the tape of a case."""
    program = Program(case, next(case.variants()))
    with ComputationGraph(backend=NumpyBackend()) as graph:
        program.results(program.operands())
        found, position = set(), 1
        while position < len(graph.code):
            signature = signatures[graph.code[position]]
            found.add(signature.operation.name)
            position += signature.length
    return found


def test_every_operation_of_the_catalogue_has_a_case() -> None:
    # The zero value at position 0 of every tape is an operation that is never executed.
    covered = {"zero"}.union(*map(operations_of, CASES))
    assert catalogue() - covered == set()
    assert len(catalogue()) > 90


def test_every_public_function_has_a_case() -> None:
    functions = {name for name in weft_core.__all__ if name[0].islower()} - NO_OPERATIONS
    assert functions - {case.function for case in CASES} == set()


def test_names_of_cases_and_variants_are_unique() -> None:
    names = [f"{case.name}-{variant.name}" for case in CASES for variant in case.variants()]
    assert len(set(names)) == len(names)


def test_a_case_of_ones_own_is_added_once() -> None:
    new = Case("case_of_ones_own", lambda instance, x: x + x, ((3,),))
    before = list(CASES)
    try:
        assert add_case(new) is new
        assert [*before, new] == CASES
        with pytest.raises(ValueError, match="case_of_ones_own"):
            add_case(new)
    finally:
        CASES[:] = before


@pytest.mark.parametrize("case", case_ids)
def test_the_reference_agrees_with_its_central_differences(case: Case) -> None:
    variants: list[Variant] = list(case.variants())
    for variant in variants[:1] + variants[-1:]:
        check_reference(case, variant)


@pytest.mark.parametrize("case", case_ids)
def test_instances_do_not_depend_on_their_neighbours(case: Case) -> None:
    check_signatures(case)
