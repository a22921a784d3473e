"""Compile every kernel for a GPU that is not there: `compile_program.py 90` prints a line of JSON for each program.

Opcodes come from lowering every signature that the conformance cases and the four tasks make, with operands from inside
and from outside of a recurrence. The opcodes of a task make one program, as they do in use; the others are put together
by the dozen, which compiles faster than one by one.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from weft_core import ComputationGraph
from weft_core.settings import settings
from weft_core.signature import ALIAS, Signature, signatures
from weft_testing.cases import CASES
from weft_testing.conformance import REFERENCE, Program
from weft_triton import catalogue, stream
from weft_triton.generated import write_module
from weft_triton.lowering import LARGE, lower
from weft_triton.opcodes import name_of
from weft_triton.options import Options
from weft_triton.toolchain.resources import ahead_of_time

ROOT = Path(__file__).resolve().parents[3]
TOGETHER = 12
WARPS = {0: 4, LARGE: 8}


def record_cases() -> None:
    """Make the signatures of all conformance cases."""
    for case in CASES:
        for variant in case.variants():
            program = Program(case, variant)
            with ComputationGraph(backend=REFERENCE):
                program.results(program.operands())


def record_task(name: str) -> list[Signature]:
    """The signatures that one task uses first."""
    sys.path += [str(ROOT / "tests"), str(ROOT / "tests" / "benchmarks")]
    import test_triton_tasks as tasks

    settings.use(REFERENCE)
    known = len(signatures)
    made = tasks.program(name, "numpy", True)
    made.build(next(made.data.groups(2)))
    return signatures.all[known:]


def opcodes(made: Iterable[Signature]) -> dict[int, dict[int, None]]:
    """Opcodes of these signatures, by the kernel that runs them, in order."""
    found: dict[int, dict[int, None]] = {kernel: {} for kernel in WARPS}
    for signature in made:
        if signature.flags & ALIAS:
            continue
        views = len(signature.results) + len(signature.saved) + len(signature.operands) + len(signature.parameters)
        for scatter in ("sorted", "atomic"):
            for external, aligned in itertools.product((True, False), repeat=2):
                works = lower(signature, [external] * views, [True] * views, [aligned] * views, Options(scatter=scatter))
                for work in works or ():
                    found[work.kernel][work.body.opcode] = None
    return found


def programs() -> Iterator[tuple[str, int, list[int]]]:
    """Names, kernels and opcodes of what is compiled."""
    for task in ("lm", "tagger", "chars", "tree"):
        for kernel, numbers in opcodes(record_task(task)).items():
            if numbers:
                yield task, kernel, list(numbers)
    record_cases()
    for kernel, numbers in opcodes(signatures.all).items():
        every = sorted(numbers, key=name_of)
        for start in range(0, len(every), TOGETHER):
            yield "cases", kernel, every[start : start + TOGETHER]


def main() -> None:
    assert catalogue.__all__
    capability = divmod(int(sys.argv[1]), 10)
    for name, kernel, numbers in programs():
        module = write_module("stream", stream.generate(numbers))
        constants = {"PRECISION": 0}
        resources = ahead_of_time(
            module.level, stream.LEVEL_ARGUMENTS, constants, capability, aligned=stream.ALIGNED, warps=WARPS[kernel],
            stages=stream.STAGES,
        )  # fmt: skip
        line = {"name": name, "kernel": kernel, "opcodes": [name_of(n) for n in numbers]}
        print(json.dumps(line | {"registers": resources.registers, "spills": resources.spills}), flush=True)


if __name__ == "__main__":
    main()
