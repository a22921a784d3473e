"""The plug-in module: it says why there is no backend, and imports nothing heavy to find out."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from typing import Any

import pytest

from weft_triton import plugin


class _Driver:
    """A driver with so many devices, or one that refuses."""

    def __init__(self, devices: int, status: int = 0) -> None:
        self.devices, self.status = devices, status

    def cuInit(self, flags: int) -> int:
        return self.status

    def cuDeviceGetCount(self, count: Any) -> int:
        count._obj.value = self.devices
        return 0


@pytest.fixture(autouse=True)
def compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Triton is installed and kernels are not interpreted, on a system where it exists."""
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(plugin, "find_spec", lambda name: name)
    monkeypatch.setattr(plugin.sys, "platform", "linux")


def without_library(name: str) -> Any:
    raise OSError(f"{name}: cannot open shared object file")


def test_the_backend_is_there_with_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: _Driver(1))
    assert plugin.why_absent() == ""


def test_the_backend_is_there_when_kernels_are_interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", without_library)
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert plugin.why_absent() == ""
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    assert plugin.why_absent() != ""


def test_triton_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin, "find_spec", lambda name: None)
    assert "pip install triton" in plugin.why_absent()
    monkeypatch.setattr(plugin.sys, "platform", "darwin")
    assert "Linux only" in plugin.why_absent()


def test_the_driver_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", without_library)
    assert "no NVIDIA driver" in plugin.why_absent()
    assert "TRITON_INTERPRET=1" in plugin.why_absent()


@pytest.mark.parametrize("driver", [_Driver(0), _Driver(1, status=100)])
def test_the_driver_may_have_no_gpu(monkeypatch: pytest.MonkeyPatch, driver: _Driver) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: driver)
    assert "finds no GPU" in plugin.why_absent()


def test_the_entry_carries_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", without_library)
    (entry,) = plugin.weft_backends()
    assert entry.name == "triton"
    assert not entry.available
    assert entry.reason == plugin.why_absent()


def test_looking_for_backends_does_not_import_triton() -> None:
    code = "import sys, weft_core.backend as b; print([e.name for e in b.backends()], 'triton' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "'triton'" in done.stdout
    assert done.stdout.endswith("False\n")
