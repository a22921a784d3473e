"""The toolchain in its three modes, each in a process of its own: Triton decides on its mode when it is imported."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("triton")

HERE = Path(__file__).parent
PROGRAM = str(HERE / "toolchain_program.py")
STUB = str(HERE / "stub_driver.py")


def run(*command: str, interpret: bool = False) -> Any:
    """What a Python program prints, as JSON; warnings are errors in it."""
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    if interpret:
        environment["TRITON_INTERPRET"] = "1"
    done = subprocess.run([sys.executable, "-W", "error", *command], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def interpreted() -> Any:
    return run(PROGRAM, "interpreted", interpret=True)


@pytest.fixture(scope="module")
def resources() -> Any:
    return run(PROGRAM, "resources")


def launched(*options: str) -> Any:
    if shutil.which("gcc") is None:
        pytest.skip("no C compiler")
    return run(STUB, "-W", "error", PROGRAM, "launched", *options)


VALUES = (np.arange(256, dtype=np.float32) - 100) / 7


def test_interpreted_kernels_run_on_memory_of_the_host(interpreted: Any) -> None:
    assert interpreted["device"] == "host"


def test_loops_have_bounds_of_run_time_and_programs_their_numbers(interpreted: Any) -> None:
    np.testing.assert_allclose(interpreted["sums"], 2 * VALUES[1:4].sum() * np.arange(8), rtol=1e-6)


def test_integers_keep_their_width_whatever_their_value(interpreted: Any) -> None:
    assert interpreted["widths"] == [-(2**31), 2**31]


def test_overflow_is_silent_as_on_a_device(interpreted: Any) -> None:
    assert interpreted["overflow"] == "[1.0, inf, nan]"


def test_shared_shapes_broadcast_and_reduce(interpreted: Any) -> None:
    x = VALUES[:32].reshape(4, 8)
    y = x * np.arange(1, 5, dtype=np.float32)[:, None] - np.arange(8, dtype=np.float32)
    expected = np.concatenate([y.sum(1) + 8, np.maximum(y, 0).max(0), y.T.ravel()])
    np.testing.assert_allclose(interpreted["shapes"], expected, rtol=1e-5, atol=1e-5)


def test_products_in_fp32_and_of_widened_bf16(interpreted: Any) -> None:
    x = VALUES.reshape(16, 16).astype(np.float64)
    exact, rounded = np.array(interpreted["product"]).reshape(2, 16, 16)
    np.testing.assert_allclose(exact, x @ x.T, rtol=1e-5, atol=1e-3)
    # Seven bits and the leading one: the interpreter cuts off what a device rounds.
    np.testing.assert_allclose(rounded, x @ x.T, rtol=0.02, atol=0.02 * np.abs(x @ x.T).max())
    assert np.abs(rounded - x @ x.T).max() > 1e-3


def test_errors_of_a_kernel_are_raised(interpreted: Any) -> None:
    assert "no_such_name" in interpreted["broken"]


def test_arguments_come_in_their_order_and_before_the_constants(interpreted: Any) -> None:
    assert interpreted["order"].startswith("TypeError: sums takes out, values, first, last, BLOCK; given are")


def test_a_broken_promise_of_alignment_is_an_error(interpreted: Any) -> None:
    assert "said to be a multiple of 16" in interpreted["misaligned"]


def test_a_kernel_that_promises_a_false_multiple_is_an_error(interpreted: Any) -> None:
    true, address, offset = interpreted["promises"]
    assert true == ""
    assert "is a multiple of 16" in address
    assert "6 is a multiple of 4" in offset


def test_one_process_does_not_interpret_and_compile(interpreted: Any) -> None:
    assert "without TRITON_INTERPRET" in interpreted["ahead"]


def test_a_launch_is_not_prepared_anew(interpreted: Any) -> None:
    """Triton's own way calls more than ten thousand functions for it: it rewrites its language each time."""
    assert interpreted["calls"] < 600


def test_kernels_run_in_any_thread(interpreted: Any) -> None:
    assert interpreted["threads"] == interpreted["sums"][:4]


@pytest.mark.parametrize("capability", ["80", "90"])
class TestResources:
    def test_code_is_made_for_the_device(self, resources: Any, capability: str) -> None:
        for kernel in ("copied", "aligned", "product", "crowded"):
            assert resources[kernel + capability]["elf"]
            assert resources[kernel + capability]["target"]

    def test_small_kernels_fit_into_registers(self, resources: Any, capability: str) -> None:
        assert 8 <= resources["copied" + capability]["registers"] <= 64
        assert resources["copied" + capability]["spills"] == 0
        assert resources["copied" + capability]["shared"] == 0

    def test_spills_are_seen(self, resources: Any, capability: str) -> None:
        assert resources["crowded" + capability]["spills"] > 0

    def test_products_share_memory_and_have_the_warps_asked_for(self, resources: Any, capability: str) -> None:
        assert resources["product" + capability]["shared"] > 0
        assert resources["product" + capability]["warps"]
        assert not resources["copied" + capability]["warps"]

    def test_aligned_addresses_are_read_four_floats_at_a_time(self, resources: Any, capability: str) -> None:
        assert resources["aligned" + capability]["vectors"]
        assert not resources["copied" + capability]["vectors"]


def check_launches(seen: Any) -> None:
    assert seen["device"] == "stub GPU"
    assert "open_device()" in seen["unbound"]
    assert seen["first"] == [1, 3, 0, 128]
    assert seen["second"] == [2, 5, 1, 256]
    assert seen["refused"].startswith("DeviceError: the driver does not launch 7 cooperative programs of sums")
    assert seen["after"] == [3, 2]
    assert seen["driver unchanged"]


def test_compiled_kernels_are_launched_without_torch() -> None:
    seen = launched("--without-torch")
    check_launches(seen)
    assert not seen["torch"]


@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
def test_compiled_kernels_are_launched_beside_torch() -> None:
    seen = launched("--with-torch")
    check_launches(seen)
    assert seen["torch"]


def test_a_compiled_launch_is_one_call() -> None:
    assert launched()["calls"] <= 2
