"""A program that uses a `CudaMemory` on the driver of tests/stub_cuda.c and prints what came out, as JSON."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
import threading
from typing import Any

import numpy as np

from weft_core.errors import WeftError
from weft_triton.cuda import CudaMemory
from weft_triton.device import open_device

USED, LIMIT, FAILURE, UNFREED = 4, 5, 6, 7


def raised(function: Any, *arguments: Any) -> list[Any]:
    """What a call raises: its text, and whether it is an error of Weft, and one of memory."""
    try:
        function(*arguments)
    except Exception as error:
        return [str(error), isinstance(error, WeftError), isinstance(error, MemoryError)]
    return []


def moved(device: CudaMemory) -> dict[str, Any]:
    """What arrives of arrays that go there and back."""
    matrix = np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4))
    first, second = device.allocate(48), device.allocate(48)
    device.upload(first, matrix)
    device.copy(second, first, 48)
    device.clear(second + 4, 8)
    device.clear(second + 13, 3)
    back = np.empty_like(matrix)
    device.download(back, second)
    pinned = device.pinned(16).view(np.int32)
    pinned[:] = range(4)
    device.upload(second, pinned)
    numbers = np.empty(4, np.int32)
    device.download(numbers, second)
    device.upload(second, np.empty(0, np.float32))
    device.free(first)
    device.free(second)
    device.free(0)
    return {"back": back.ravel("K").tolist(), "numbers": numbers.tolist(), "empty pinned": device.pinned(0).size}


def in_thread(function: Any) -> Any:
    """What a function returns in another thread, where no context is current yet."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0] if results else None


def report() -> dict[str, Any]:
    """All that is seen of the device."""
    counters = ctypes.CDLL("libcuda.so.1").stub_seen
    counters.restype = ctypes.POINTER(ctypes.c_int64)
    seen = counters()
    device = CudaMemory()
    found: dict[str, Any] = {"device": [device.name, device.multiprocessors, list(device.capability)]}
    found["moved"] = moved(device)
    found["in thread"] = in_thread(lambda: moved(device))
    view = device.pinned(100)[10:20]
    gc.collect()
    found["pinned, held by a view"] = seen[UNFREED]
    del view
    gc.collect()
    found["left"] = [seen[UNFREED], seen[USED]]
    found["strided"] = raised(device.upload, 0, np.zeros((4, 4), np.float32)[:, 1])
    constant = np.zeros(4, np.float32)
    constant.flags.writeable = False
    found["read only"] = raised(device.download, constant, 0)
    device.allocate(100)
    seen[LIMIT] = 1000
    found["no room"] = raised(device.allocate, 12345678)
    seen[FAILURE] = 700
    found["kernel failed"] = raised(device.synchronize)
    found["afterwards"] = raised(device.synchronize)
    seen[FAILURE] = 3
    found["forked"] = raised(device.download, np.zeros(1), device.allocate(8))
    return found


def refusals() -> dict[str, Any]:
    """Why there is no device, where the driver has none or an old one."""
    os.environ["WEFT_STUB_NO_GPU"] = "1"
    none = raised(open_device)
    del os.environ["WEFT_STUB_NO_GPU"]
    os.environ["WEFT_STUB_MAJOR"] = "7"
    old = raised(CudaMemory)
    del os.environ["WEFT_STUB_MAJOR"]
    return {"none": none, "old": old, "tried again": open_device().name, "the same": open_device() is open_device()}


if __name__ == "__main__":
    print(json.dumps({"report": report, "refusals": refusals}[sys.argv[1]]()))
