"""Loading and launching kernels: without PyTorch, and without changing the driver that others in the process use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from triton.backends.nvidia.driver import CudaDriver, CudaLauncher, CudaUtils
from triton.runtime.driver import driver

from ..errors import DeviceError


@dataclass(frozen=True)
class Binding:
    """The device of this process and the stream of its launches."""

    ordinal: int
    capability: tuple[int, int]
    stream: int


_bound: list[Binding] = []


def bind(ordinal: int, capability: tuple[int, int], stream: int) -> None:
    """From now on programs are compiled for this device and launched on this stream."""
    _bound[:] = [Binding(ordinal, capability, stream)]


def bound() -> Binding:
    """The device that programs run on."""
    if not _bound:
        raise DeviceError("no device is open: call weft_triton.device.open_device() before the first launch")
    return _bound[0]


class _Driver(CudaDriver):  # type: ignore[misc]  # Triton carries no types
    """Triton's driver with the four answers that it otherwise takes from PyTorch."""

    def __init__(self, binding: Binding) -> None:
        self.utils = CudaUtils()
        self.launcher_cls = CudaLauncher
        self.get_device_capability = lambda device=None: binding.capability
        self.get_current_stream = lambda device=None: binding.stream
        self.get_current_device = lambda: binding.ordinal
        self.set_current_device = lambda device: None


@contextmanager
def _our_driver(binding: Binding) -> Iterator[None]:
    """Triton asks our driver in here; what a program of the user's own chose, or chooses later, stays as it is."""
    before = driver._active
    driver.set_active(_Driver(binding))
    try:
        yield
    finally:
        driver._active = before


def compiled(kernel: Any, constants: tuple[object, ...]) -> Callable[..., None]:
    """A launch of a compiled kernel: one call of Triton's compiled launcher.

    The layers above it look up the driver and scratch memory at every launch; these kernels use none.
    """
    binding = bound()
    with _our_driver(binding):
        launcher = kernel.run
    # The driver that loaded the module would be asked to unload it; it ends with the context anyway.
    kernel._module_pid = None
    if kernel.metadata.global_scratch_size or kernel.metadata.profile_scratch_size:
        raise DeviceError(f"{kernel.name} needs scratch memory of Triton's own, which is not provided")
    enqueue, function, stream = launcher.launch, kernel.function, binding.stream
    cooperative, packed = launcher.launch_cooperative_grid, kernel.packed_metadata

    def refused(grid: int, error: RuntimeError) -> DeviceError:
        kind = "cooperative programs" if cooperative else "programs"
        return DeviceError(f"the driver does not launch {grid} {kind} of {kernel.name}: {error}")

    # From Triton 3.7 on one function launches all kernels, and is told how to read the arguments.
    if hasattr(launcher, "arg_annotations"):
        annotations, signature = launcher.arg_annotations, launcher.kernel_signature

        def launch(grid: int, *arguments: int) -> None:
            try:
                enqueue(
                    grid, 1, 1, stream, function, cooperative, False, packed, None, None, None, None, None,
                    annotations, signature, arguments + constants,
                )  # fmt: skip
            except RuntimeError as error:
                raise refused(grid, error) from error

    else:

        def launch(grid: int, *arguments: int) -> None:
            try:
                enqueue(
                    grid, 1, 1, stream, function, cooperative, False, None, None, packed, None, None, None,
                    *arguments, *constants,
                )  # fmt: skip
            except RuntimeError as error:
                raise refused(grid, error) from error

    return launch
