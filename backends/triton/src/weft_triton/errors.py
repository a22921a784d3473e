"""What goes wrong on a device; each error carries a sentence that says what to do."""

from __future__ import annotations

from weft_core.errors import BackendError


class DeviceError(BackendError):
    """The driver refused a call, or the device stopped; after a kernel has failed, its process must end."""


class OutOfDeviceMemory(DeviceError, MemoryError):
    """An allocation that the device has no room for."""
