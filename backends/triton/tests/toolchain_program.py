"""A program of small kernels that uses the toolchain in one of its modes and prints what came out, as JSON.

`python toolchain_program.py interpreted|resources|launched`; the mode decides what the environment must be.
"""

from __future__ import annotations

import ctypes
import json
import sys
import threading
from typing import Any

import numpy as np
import triton
import triton.language as tl

from weft_triton.device import open_device
from weft_triton.errors import DeviceError
from weft_triton.toolchain import Program, ahead_of_time


@triton.jit
def doubled(x):
    return x + x


@triton.jit
def sums(out, values, first, last, BLOCK: tl.constexpr):
    """out[e] = 2 * the sum of values[first:last] * e, for the elements e of this program."""
    e = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK,), tl.float32)
    for i in range(first, last):
        total += tl.load(values + i) * e
    tl.store(out + e, doubled(total))


@triton.jit
def widths(out, narrow, wide, BLOCK: tl.constexpr):
    """What only an integer of 64 bits can hold, from both kinds of arguments."""
    target = out.to(tl.pointer_type(tl.int64))
    tl.store(target, (narrow << 31).to(tl.int64))
    tl.store(target + 1, wide << 31)


@triton.jit
def overflowing(out, BLOCK: tl.constexpr):
    """What NumPy has warnings for: an overflow, and a maximum of what are all not numbers."""
    e = tl.arange(0, BLOCK)
    x = tl.exp(e * 1000.0)
    tl.store(out + e, x)
    tl.store(out + BLOCK, tl.max((x + 1) * float("inf") * 0.0, axis=0))


@triton.jit
def shapes(out, values, BLOCK: tl.constexpr):
    """Two axes, broadcast, reduced, turned: out is [4 + 8 + 32]."""
    i, j = tl.arange(0, 4), tl.arange(0, BLOCK)
    x = tl.load(values + i[:, None] * BLOCK + j[None, :])
    y = x * (i[:, None] + 1) - j[None, :]
    ones = tl.full(y.shape, 1.0, tl.float32)
    tl.store(out + i, tl.sum(y, axis=1) + tl.sum(ones, axis=1))
    tl.store(out + 4 + j, tl.max(tl.where(y > 0, y, 0.0), axis=0))
    tl.store(out + 4 + BLOCK + j[:, None] * 4 + i[None, :], tl.trans(y))


@triton.jit
def product(out, values, BLOCK: tl.constexpr):
    """x x^T of a square, in fp32, and of x rounded to bf16 and widened again."""
    place = tl.arange(0, BLOCK)[:, None] * BLOCK + tl.arange(0, BLOCK)[None, :]
    x = tl.load(values + place)
    tl.store(out + place, tl.dot(x, tl.trans(x), input_precision="ieee"))
    rounded = x.to(tl.bfloat16).to(tl.float32)
    tl.store(out + BLOCK * BLOCK + place, tl.dot(rounded, tl.trans(rounded), input_precision="ieee"))


@triton.jit
def crowded(out, values, count, BLOCK: tl.constexpr):
    """More values of a thread than there are registers, when BLOCK is large."""
    e = tl.arange(0, BLOCK)
    x, y, z = tl.load(values + e), tl.load(values + e + count), tl.load(values + e + 2 * count)
    for i in range(count):
        x = x * y + tl.load(values + e + i)
        y = y * z + x
        z = z * x + y
    tl.store(out + e, x + y * z)


@triton.jit
def copied(out, values, BLOCK: tl.constexpr):
    e = tl.arange(0, BLOCK)
    tl.store(out + e, tl.load(values + e))


@triton.jit
def promising(out, place, BLOCK: tl.constexpr):
    target = tl.multiple_of(out, 16) + tl.multiple_of(place, 4)
    tl.store(target + tl.arange(0, BLOCK), 1.0)


@triton.jit
def broken(out, BLOCK: tl.constexpr):
    tl.store(out + tl.arange(0, BLOCK), no_such_name)  # noqa: F821


WIDTHS = {"out": "i64", "narrow": "i32", "wide": "i64"}
ADDRESSES = {"out": "*fp32", "values": "*fp32"}


def raised(function: Any, *arguments: Any) -> str:
    """The exception that a call raises, as text."""
    try:
        function(*arguments)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def calls(function: Any, *arguments: Any) -> int:
    """How many Python functions a call calls."""
    count = 0

    def seen(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(seen)
    try:
        function(*arguments)
    finally:
        sys.setprofile(None)
    return count


def interpreted() -> dict[str, Any]:
    """Results of the kernels, on memory of the host."""
    device = open_device()

    def result(program: Program, size: int, kind: type, grid: int, *arguments: int) -> list[Any]:
        array = np.zeros(size, kind)
        address = device.allocate(array.nbytes)
        device.clear(address, array.nbytes)
        program.launch(grid, address, *arguments)
        device.download(array, address)
        return array.tolist()

    values = (np.arange(256, dtype=np.float32) - 100) / 7
    source = device.allocate(values.nbytes)
    device.upload(source, values)
    summing = Program(sums, {**ADDRESSES, "first": "i32", "last": "i32"}, {"BLOCK": 4})
    spare = device.allocate(64)
    promise = Program(promising, {"out": "*fp32", "place": "i32"}, {"BLOCK": 4})
    summing.launch(1, spare, source, 0, 0)
    with np.errstate(all="raise"):
        overflow = result(Program(overflowing, {"out": "*fp32"}, {"BLOCK": 2}), 3, np.float32, 1)
    return {
        "device": device.name,
        "sums": result(summing, 8, np.float32, 2, source, 1, 4),
        "widths": result(Program(widths, WIDTHS, {"BLOCK": 1}), 2, np.int64, 1, 1, 1),
        "overflow": str(overflow),
        "shapes": result(Program(shapes, ADDRESSES, {"BLOCK": 8}), 44, np.float32, 1, source),
        "product": result(Program(product, ADDRESSES, {"BLOCK": 16}), 512, np.float32, 1, source),
        "broken": raised(Program(broken, {"out": "*fp32"}, {"BLOCK": 2}).launch, 1, spare),
        "promises": [raised(promise.launch, 1, address, 8) for address in (spare, spare + 4)]
        + [raised(promise.launch, 1, spare, 6)],
        "misaligned": raised(Program(copied, ADDRESSES, {"BLOCK": 4}, aligned=("out",)).launch, 1, spare + 4, source),
        "order": raised(Program, sums, {"values": "*fp32", "out": "*fp32"}, {"BLOCK": 4}),
        "ahead": raised(ahead_of_time, copied, ADDRESSES, {"BLOCK": 4}, (9, 0)),
        "calls": calls(summing.launch, 1, spare, source, 0, 0),
        "threads": in_thread(lambda: result(summing, 4, np.float32, 1, source, 1, 4)),
    }  # fmt: skip


def in_thread(function: Any) -> Any:
    """What a function returns in another thread."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0] if results else None


def resources() -> dict[str, Any]:
    """What compiled kernels take, for two devices."""
    found: dict[str, Any] = {}
    for capability in ((8, 0), (9, 0)):
        key = "".join(map(str, capability))
        kernels = {
            "copied": ahead_of_time(copied, ADDRESSES, {"BLOCK": 1024}, capability),
            "aligned": ahead_of_time(copied, ADDRESSES, {"BLOCK": 1024}, capability, aligned=("out", "values")),
            "product": ahead_of_time(product, ADDRESSES, {"BLOCK": 32}, capability, warps=8),
            "crowded": ahead_of_time(crowded, {**ADDRESSES, "count": "i32"}, {"BLOCK": 4096}, capability, warps=1),
        }
        for name, made in kernels.items():
            found[f"{name}{key}"] = {
                "registers": made.registers,
                "spills": made.spills,
                "shared": made.shared,
                "elf": made.cubin[:4] == b"\x7fELF",
                "target": f".target sm_{key}" in made.ptx,
                "vectors": "ld.global.v4" in made.ptx,
                "warps": ".reqntid 256" in made.ptx,
            }
    return found


def launched() -> dict[str, Any]:
    """What the driver of tests/stub_cuda.c sees of launches."""
    from triton.runtime.driver import driver

    counters = ctypes.CDLL("libcuda.so.1").stub_seen
    counters.restype = ctypes.POINTER(ctypes.c_int64)
    seen = counters()
    arguments, numbers = {**ADDRESSES, "first": "i32", "last": "i32"}, (1 << 40, 1 << 41, 1, 2)
    program = Program(sums, arguments, {"BLOCK": 128}, aligned=("out",))
    unbound = raised(program.launch, 3, *numbers)
    before = driver._active
    device = open_device()
    program.launch(3, *numbers)
    first = list(seen[0:4])
    together = Program(sums, arguments, {"BLOCK": 128}, warps=8, cooperative=True)
    together.launch(5, *numbers)
    second = list(seen[0:4])
    seen[8] = 1
    refused = raised(together.launch, 7, *numbers)
    in_thread(lambda: program.launch(2, *numbers))
    return {
        "device": device.name,
        "unbound": unbound,
        "first": first,
        "second": second,
        "refused": refused,
        "is DeviceError": refused.startswith(DeviceError.__name__),
        "after": list(seen[0:2]),
        "driver unchanged": driver._active is before,
        "torch": sys.modules.get("torch") is not None,
        "calls": calls(program.launch, 3, *numbers),
    }


if __name__ == "__main__":
    if "--without-torch" in sys.argv:
        sys.modules["torch"] = None  # type: ignore[assignment]  # an import of it fails
    if "--with-torch" in sys.argv:
        import torch  # noqa: F401
    modes = {"interpreted": interpreted, "resources": resources, "launched": launched}
    print(json.dumps(modes[sys.argv[1]]()))
