"""Compile kernels for a GPU that is not there: `compile_program.py 90 tasks|cases` prints a line of JSON for each.

`cases`: every opcode that lowering the signatures of all conformance cases gives, with operands from inside and from
outside of a recurrence, aligned or not. `tasks`: the kernels that the four tasks launch, each with all of its opcodes.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from weft_core import ComputationGraph
from weft_core.settings import settings
from weft_core.signature import ALIAS, Signature, signatures
from weft_testing.cases import CASES
from weft_testing.conformance import REFERENCE, Program
from weft_triton import catalogue, launcher, stream
from weft_triton.backend import TritonBackend
from weft_triton.encode import OF_LARGE
from weft_triton.generated import write_module
from weft_triton.host import HostMemory
from weft_triton.lowering import LARGE, lower
from weft_triton.opcodes import name_of
from weft_triton.options import Options
from weft_triton.toolchain.resources import ahead_of_time

ROOT = Path(__file__).resolve().parents[3]
WARPS = {0: 4, LARGE: 8}
# Opcodes of one kernel: a few small ones compile faster together; those with products are large.
TOGETHER = 4
LARGE_NAMES = ("affine", "convolution", "gated", "lstm", "output", "product")


def record_cases() -> None:
    """Make the signatures of all conformance cases."""
    for case in CASES:
        for variant in case.variants():
            program = Program(case, variant)
            with ComputationGraph(backend=REFERENCE):
                program.results(program.operands())


def opcodes(made: Iterable[Signature]) -> dict[int, dict[int, None]]:
    """Opcodes of these signatures, by the kernel that runs them, in order."""
    found: dict[int, dict[int, None]] = {kernel: {} for kernel in WARPS}
    for signature in made:
        if signature.flags & ALIAS:
            continue
        views = len(signature.results) + len(signature.saved) + len(signature.operands) + len(signature.parameters)
        for scatter, external, aligned in itertools.product(("sorted", "atomic"), (True, False), (True, False)):
            options = Options(scatter=scatter)
            works = lower(signature, [external] * views, [True] * views, [aligned] * views, options)
            for work in works or ():
                found[work.kernel][work.body.opcode] = None
    return found


def case_programs() -> Iterator[tuple[str, int, list[int]]]:
    """Names, kernels and opcodes of what is compiled."""
    record_cases()
    for kernel, numbers in opcodes(signatures.all).items():
        large = [n for n in numbers if any(part in name_of(n) for part in LARGE_NAMES)]
        yield from (("cases", kernel, [n]) for n in large)
        small = sorted(set(numbers) - set(large), key=name_of)
        for start in range(0, len(small), TOGETHER):
            yield "cases", kernel, small[start : start + TOGETHER]


def task_programs() -> Iterator[tuple[str, int, list[int]]]:
    """The same of the tasks, whose sizes are multiples of 8 as they are in use; nothing is launched."""
    sys.path += [str(ROOT / "tests"), str(ROOT / "tests" / "benchmarks")]
    import test_triton_tasks as tasks

    tasks.EMBEDDING = tasks.HIDDEN = 8
    used: dict[bytes, None] = {}

    def note(self: Any, backward: bool, run_on_host: object) -> None:
        used[self.coder.opcode_key] = None

    launcher.Launcher.run = note  # type: ignore[method-assign]
    seen: dict[tuple[int, frozenset[int]], None] = {}
    for task in tasks.TASKS:
        used.clear()
        settings.use(TritonBackend(Options(), HostMemory()))
        made = tasks.TASKS[task](tasks.dy, tasks.data(task), "VanillaLSTMBuilder", True)
        # With the many rows of a large group, and with the few of a small one.
        for group in (tasks.GROUP, tasks.EXAMPLES):
            loss = made.build(next(made.data.groups(group)))
            loss.forward()
            loss.backward()
        for key in used:
            numbers = np.frombuffer(key, np.int64).tolist()
            for kernel, base in ((0, 0), (LARGE, OF_LARGE)):
                chosen = [n - base for n in numbers if base <= n < base + OF_LARGE]
                if chosen and (kernel, frozenset(chosen)) not in seen:
                    seen[kernel, frozenset(chosen)] = None
                    yield task, kernel, chosen


def main() -> None:
    assert catalogue.__all__
    capability = divmod(int(sys.argv[1]), 10)
    programs = {"tasks": task_programs, "cases": case_programs}[sys.argv[2]]
    for name, kernel, numbers in programs():
        module = write_module("stream", stream.generate(numbers))
        kernels = [(module.level, stream.LEVEL_ARGUMENTS, {"PRECISION": 0}, False)]
        if name == "lm" and not kernel:
            constants = {"PRECISION": 0, "PATIENCE": stream.PATIENCE}
            kernels.append((module.tape, stream.TAPE_ARGUMENTS, constants, True))
        for function, arguments, constants, cooperative in kernels:
            resources = ahead_of_time(
                function, arguments, constants, capability, aligned=stream.ALIGNED, warps=WARPS[kernel],
                stages=stream.STAGES, cooperative=cooperative,
            )  # fmt: skip
            line = {"name": name, "tape": cooperative, "opcodes": [name_of(n) for n in numbers]}
            print(json.dumps(line | {"registers": resources.registers, "spills": resources.spills}), flush=True)


if __name__ == "__main__":
    main()
