"""A wrong kernel of the Numba backend is found: each phase of each kernel, left out or taken from another operation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import pytest

from weft_core import ComputationGraph
from weft_core.backend import backends, load_backend
from weft_core.numpy_backend import NumpyBackend
from weft_core.signature import ALIAS, signatures
from weft_testing import CASES, ConformanceError, check_case
from weft_testing.conformance import Program, program_of

if "numba" not in {entry.name for entry in backends() if entry.available}:
    pytest.skip("the Numba backend is not installed", allow_module_level=True)

from weft_numba import registers
from weft_numba.kernels import kernel_table, nothing
from weft_numba.pointers import compile_kernel

PHASES = ("KERNEL_PROLOGUE", "KERNEL_FORWARD", "KERNEL_BACKWARD", "KERNEL_EPILOGUE")

# Backward kernels that add zero, or that have no operand.
ADDS_NOTHING = {
    *(f"{name}_zero_gradient" for name in ("round", "ceil", "floor")),
    *(f"random_{name}" for name in ("normal", "uniform", "bernoulli", "gumbel")),
    "input",
    "nobackprop",
}


@cache
def cases_of() -> dict[str, list[int]]:
    """Numbers of the cases on whose tapes an operation is, those with few other operations first."""
    found: dict[str, list[tuple[int, int]]] = {}
    for number, case in enumerate(CASES):
        program = Program(case, next(case.variants()))
        with ComputationGraph(backend=NumpyBackend()) as graph:
            program.results(program.operands())
            names, position = set(), 1
            while position < len(graph.code):
                names.add(signatures[graph.code[position]].operation.name)
                position += signatures[graph.code[position]].length
        for name in names:
            found.setdefault(name, []).append((len(names), number))
    return {name: [number for _, number in sorted(cases)] for name, cases in found.items()}


@pytest.fixture(scope="module", autouse=True)
def prepared() -> None:
    """Every signature of every case, and its kernels."""
    load_backend("numba")
    for case in CASES:
        for variant in case.variants():
            program_of(case, variant)
    kernel_table.reserve(len(signatures))
    kernel_table.prepare(range(len(signatures)), backward=True)


@contextmanager
def other_kernel(name: str, phase: str, address: int) -> Iterator[bool]:
    """Another kernel for one phase of all signatures of an operation; gives whether any has this phase."""
    column = getattr(registers, phase)
    ids = [s.id for s in signatures.all if s.operation.name == name and not s.flags & ALIAS]
    ids = [i for i in ids if i < len(kernel_table.rows) and kernel_table.rows[i, column] not in (0, address)]
    kept = kernel_table.rows[ids, column].copy()
    kernel_table.rows[ids, column] = address
    try:
        yield bool(ids)
    finally:
        # The table may have grown meanwhile.
        kernel_table.rows[ids, column] = kept


def is_found(name: str) -> bool:
    """Whether any case of an operation fails."""
    for number in cases_of()[name]:
        for variant in CASES[number].variants():
            try:
                check_case(load_backend("numba"), CASES[number], variant)
            except ConformanceError:
                return True
    return False


def test_every_operation_has_a_kernel() -> None:
    assert not is_found("tanh")
    without = {name for name in cases_of() if not name.startswith("user_") and not _has_kernel(name)}
    assert without == set()


def _has_kernel(name: str) -> bool:
    return any(kernel_table.kernel_of(s.operation) for s in signatures.all if s.operation.name == name)


@pytest.mark.parametrize("phase", PHASES)
def test_a_kernel_that_does_nothing_is_found(phase: str) -> None:
    left_out = compile_kernel(nothing)
    unnoticed, tried = set(), 0
    for name in cases_of():
        with other_kernel(name, phase, left_out) as present:
            tried += present
            if present and not is_found(name):
                unnoticed.add(name)
    assert unnoticed <= (ADDS_NOTHING if phase == "KERNEL_BACKWARD" else set())
    assert tried > (90 if phase in ("KERNEL_FORWARD", "KERNEL_BACKWARD") else 3)


@pytest.mark.parametrize("phase", ["KERNEL_FORWARD", "KERNEL_BACKWARD"])
@pytest.mark.parametrize(("name", "other"), [("tanh", "logistic"), ("cmult", "add"), ("square", "cube")])
def test_a_kernel_of_another_operation_is_found(name: str, other: str, phase: str) -> None:
    assert not is_found(name) and not is_found(other)
    number = next(s.id for s in signatures.all if s.operation.name == other)
    address = int(kernel_table.rows[number, getattr(registers, phase)])
    assert address
    with other_kernel(name, phase, address) as present:
        assert present and is_found(name)
    assert not is_found(name)
