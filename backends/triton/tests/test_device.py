"""Memory of the host in the place of a device, and of a GPU through a driver that only pretends."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from weft_core.errors import WeftError
from weft_triton.errors import DeviceError, OutOfDeviceMemory
from weft_triton.host import ALIGNMENT, HostMemory

HERE = Path(__file__).parent


def floats(device: HostMemory, address: int, count: int) -> list[float]:
    array = np.zeros(count, np.float32)
    device.download(array, address)
    return array.tolist()


def test_addresses_are_aligned_and_new_memory_is_not_a_number() -> None:
    device = HostMemory()
    for count in (1, 7, 100):
        address = device.allocate(4 * count)
        assert address % ALIGNMENT == 0
        assert np.isnan(floats(device, address, count)).all()
    assert device.allocate(0) != device.allocate(0)


def test_arrays_go_there_and_back_in_the_order_of_memory() -> None:
    device = HostMemory()
    address = device.allocate(48)
    matrix = np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4))
    device.upload(address, matrix)
    assert floats(device, address, 12) == matrix.ravel("F").tolist()
    assert floats(device, address + 8, 3) == matrix.ravel("F")[2:5].tolist()
    back = np.zeros((4, 3), np.float32)[::-1].T[:, ::-1]
    device.download(back, address)
    np.testing.assert_array_equal(back, matrix)


def test_copy_and_clear_move_only_their_bytes() -> None:
    device = HostMemory()
    first, second = device.allocate(16), device.allocate(16)
    device.upload(first, np.arange(1, 5, dtype=np.float32))
    device.upload(second, np.zeros(4, np.float32))
    device.copy(second + 4, first + 8, 8)
    device.clear(first, 4)
    assert floats(device, second, 4) == [0, 3, 4, 0]
    assert floats(device, first, 4) == [0, 2, 3, 4]


def test_only_memory_that_was_allocated_can_be_used() -> None:
    device = HostMemory()
    address = device.allocate(16)
    for wrong in (address - 4, address + 4, 0):
        with pytest.raises(DeviceError, match="not inside of one allocation"):
            device.upload(wrong, np.zeros(4, np.float32))
    device.free(0)
    device.free(address)
    with pytest.raises(DeviceError, match="freed before"):
        device.free(address)
    with pytest.raises(DeviceError, match="not inside of one allocation"):
        device.clear(address, 16)


def test_only_contiguous_arrays_are_moved() -> None:
    device = HostMemory()
    column = np.zeros((4, 4), np.float32)[:, 1]
    with pytest.raises(DeviceError, match="contiguous"):
        device.upload(device.allocate(16), column)
    with pytest.raises(DeviceError, match="contiguous"):
        device.download(column, device.allocate(16))


def test_a_device_of_limited_size_runs_out_of_memory_and_gets_it_back() -> None:
    device = HostMemory(limit=1000)
    address = device.allocate(600)
    with pytest.raises(
        OutOfDeviceMemory, match="host has no room for 500 bytes more: 600 of 1,000 are in use"
    ) as caught:
        device.allocate(500)
    assert isinstance(caught.value, MemoryError)
    assert isinstance(caught.value, WeftError)
    device.free(address)
    assert device.allocate(1000)


def test_traffic_is_counted() -> None:
    device = HostMemory()
    address = device.allocate(40)
    device.upload(address, np.zeros(10, np.float32))
    floats(device, address, 3)
    device.copy(address, address + 20, 8)
    device.clear(address, 4)
    device.free(address)
    seen = device.counters
    assert (seen.allocations, seen.frees, seen.uploads, seen.downloads, seen.copies, seen.clears) == (1, 1, 1, 1, 1, 1)
    assert (seen.bytes_up, seen.bytes_down) == (40, 12)


def on_stub(mode: str) -> Any:
    """What tests/device_program.py prints when it runs on the driver that pretends."""
    pytest.importorskip("triton")
    if shutil.which("gcc") is None:
        pytest.skip("no C compiler")
    command = [sys.executable, str(HERE / "stub_driver.py"), "-W", "error", str(HERE / "device_program.py"), mode]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def report() -> Any:
    return on_stub("report")


def test_a_gpu_is_described_by_its_driver(report: Any) -> None:
    assert report["device"] == ["stub GPU", 132, [9, 0]]


@pytest.mark.parametrize("where", ["moved", "in thread"])
def test_arrays_go_to_the_gpu_and_back(report: Any, where: str) -> None:
    expected = np.arange(12, dtype=np.float32).reshape(3, 4).ravel("F")
    expected[1:3] = 0
    # Three bytes of the fourth float: only its lowest one is left.
    expected[3:4].view(np.uint8)[1:] = 0
    assert report[where] == {"back": expected.tolist(), "numbers": [0, 1, 2, 3], "empty pinned": 0}


def test_pinned_memory_lives_as_long_as_a_view_of_it(report: Any) -> None:
    assert report["pinned, held by a view"] == 1
    assert report["left"] == [0, 0]


def test_arrays_that_cannot_be_moved_are_refused(report: Any) -> None:
    assert "contiguous" in report["strided"][0]
    assert "writable" in report["read only"][0]


def test_a_full_gpu_says_how_much_is_missing(report: Any) -> None:
    text, ours, memory = report["no room"]
    assert text.startswith("stub GPU has no room for 12,345,678 bytes more: 900 of 1,000 are free.")
    assert ours and memory


def test_a_failed_kernel_is_an_error_that_says_what_is_lost(report: Any) -> None:
    text, ours, memory = report["kernel failed"]
    assert text.startswith(
        "a kernel failed on the GPU: an error that a test asked for (CUDA_ERROR_OF_THE_STUB, seen by"
    )
    assert ours and not memory
    assert report["afterwards"] == []


def test_other_errors_come_with_advice(report: Any) -> None:
    assert "'spawn'" in report["forked"][0]
    assert report["forked"][1]


def test_without_a_gpu_there_is_no_device_and_another_try_is_allowed() -> None:
    seen = on_stub("refusals")
    assert "finds no GPU" in seen["none"][0]
    assert "compute capability 7.0; Weft's kernels need 8.0" in seen["old"][0]
    assert seen["tried again"] == "stub GPU"
    assert seen["the same"]


def test_without_a_driver_the_error_says_so() -> None:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        from weft_triton.cuda import CudaMemory

        with pytest.raises(DeviceError, match=r"the NVIDIA driver is not installed \(libcuda"):
            CudaMemory()
    else:
        pytest.skip("this machine has the driver")


def test_interpreted_kernels_run_on_memory_of_the_host() -> None:
    pytest.importorskip("triton")
    code = "from weft_triton.device import open_device; print(type(open_device()).__name__)"
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "HostMemory\n"
