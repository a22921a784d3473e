"""What this backend asks of a device: memory by address, copies in the order of one stream."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class DeviceMemory(Protocol):
    """Memory and the one stream of a device; everything but `download` and `synchronize` may return early."""

    @property
    def name(self) -> str:
        """What the maker calls it."""

    @property
    def multiprocessors(self) -> int:
        """How many programs run at the same time at least."""

    @property
    def capability(self) -> tuple[int, int]:
        """The compute capability, e.g. (9, 0)."""

    @property
    def stream(self) -> int:
        """The handle of the stream, for launches."""

    def allocate(self, nbytes: int) -> int:
        """The address of new memory, aligned to 256 bytes; contents undefined.

        Raises `OutOfDeviceMemory`.
        """

    def free(self, address: int) -> None:
        """Give memory back, once the work on it is done; address 0 is ignored."""

    def pinned(self, nbytes: int) -> NDArray[np.uint8]:
        """A page-locked host buffer: uploads from it are asynchronous."""

    def upload(self, address: int, array: NDArray[Any]) -> None:
        """Copy a contiguous array to the device, in stream order; a pinned array must stay as it is until then."""

    def download(self, array: NDArray[Any], address: int) -> None:
        """Fill a contiguous array from the device; waits for all work before it."""

    def copy(self, target: int, source: int, nbytes: int) -> None:
        """Copy inside of the device, in stream order; the two may not overlap."""

    def clear(self, address: int, nbytes: int) -> None:
        """Set bytes to zero, in stream order."""

    def synchronize(self) -> None:
        """Wait until all work is done; raises `DeviceError` when some of it failed."""


@cache
def open_device() -> DeviceMemory:
    """The device of this process: memory of the host where kernels are interpreted, else the first GPU."""
    from .toolchain import INTERPRETED, bind

    if INTERPRETED:
        from .host import HostMemory

        return HostMemory()
    from .cuda import CudaMemory

    device = CudaMemory()
    bind(device.ordinal, device.capability, device.stream)
    return device
