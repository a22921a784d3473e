"""Devices: DyNet's names for the one there is."""

from __future__ import annotations

from typing import Any

import weft

CPU = "CPU"
HAVE_CUDA = False
ERRMSG = "DyNet's programs run on the CPU here: this package computes with Weft's CPU backend."


class DeviceInfo:
    """Name (bytes), number and type of a device."""

    def __init__(self, name: bytes, id: int, dtype: int) -> None:
        self.name = name
        self.id = id
        self.type = dtype


def available_devices() -> list[bytes]:
    """The names of all devices, as bytes."""
    return [CPU.encode()]


def get_device_info(name: str) -> DeviceInfo:
    """What there is to know of a device; raises RuntimeError for one that is not there."""
    return DeviceInfo(_known(name).encode(), 0, -1)


def to_device(e: weft.Expression, device_str: str) -> weft.Expression:
    """The expression on this device: itself. Raises RuntimeError for a device that is not there."""
    _known(device_str)
    return e


def _known(name: Any) -> str:
    if name not in ("", CPU):
        raise RuntimeError(f"Invalid device name: {name}. There is only {CPU}")
    return CPU
