"""What a launch costs the host: microseconds of `Program.launch`, by the number of arguments.

With `backends/triton/tests/stub_driver.py tests/gpu/run.py launches` the driver does nothing, and what is left is the
cost of Triton's launcher and of Python.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import triton
import triton.language as tl
from part import chosen, record

from weft_triton.device import open_device
from weft_triton.toolchain import Program


@triton.jit
def two(out, count, BLOCK: tl.constexpr):
    tl.store(out + tl.arange(0, BLOCK), count)


@triton.jit
def eight(out, a, b, c, d, e, f, count, BLOCK: tl.constexpr):
    tl.store(out + tl.arange(0, BLOCK), count + a + b + c + d + e + f)


TWO = {"out": "*i32", "count": "i32"}
EIGHT = {"out": "*i32", **dict.fromkeys("abcdef", "i32"), "count": "i32"}


def measured(device: Any, program: Program, numbers: tuple[int, ...], rounds: int, launches: int) -> list[float]:
    """Medians of the rounds in microseconds a launch: enqueued, and until the device has done the work."""
    program.launch(1, *numbers)
    enqueued, complete = [], []
    for _ in range(rounds):
        device.synchronize()
        start = time.perf_counter()
        for _ in range(launches):
            program.launch(1, *numbers)
        enqueued.append(time.perf_counter() - start)
        device.synchronize()
        complete.append(time.perf_counter() - start)
    return [1e6 * statistics.median(times) / launches for times in (enqueued, complete)]


def main() -> None:
    options = chosen(__doc__)
    rounds, launches = options.pick((15, 400), (15, 400), (2, 3))
    device = open_device()
    address = device.allocate(1024)
    for function, arguments in ((two, TWO), (eight, EIGHT)):
        for cooperative in (False, True):
            program = Program(function, arguments, {"BLOCK": 128}, cooperative=cooperative)
            enqueued, complete = measured(device, program, (address, *range(1, len(arguments))), rounds, launches)
            kind = "cooperative" if cooperative else "plain"
            id = f"{kind}, {len(arguments)} arguments"
            record("launches", id, kind=kind, arguments=len(arguments), enqueued_us=enqueued, complete_us=complete)
            print(f"  {id}: {enqueued:.2f} us enqueued, {complete:.2f} us with the device", flush=True)


if __name__ == "__main__":
    main()
