"""The first GPU through the CUDA driver, in the context that PyTorch and CuPy use too."""

from __future__ import annotations

import ctypes
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import DeviceError, OutOfDeviceMemory

_POINTER, _SIZE, _INT = ctypes.c_uint64, ctypes.c_size_t, ctypes.c_int
_ADDRESS = ctypes.c_void_p
_REFERENCE = ctypes.c_void_p

# The functions of the driver that are used, with the types of their arguments.
_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "cuInit": (ctypes.c_uint,),
    "cuGetErrorName": (_INT, _REFERENCE),
    "cuGetErrorString": (_INT, _REFERENCE),
    "cuDeviceGetCount": (_REFERENCE,),
    "cuDeviceGet": (_REFERENCE, _INT),
    "cuDeviceGetName": (ctypes.c_char_p, _INT, _INT),
    "cuDeviceGetAttribute": (_REFERENCE, _INT, _INT),
    "cuDevicePrimaryCtxRetain": (_REFERENCE, _INT),
    "cuCtxSetCurrent": (_ADDRESS,),
    "cuStreamCreate": (_REFERENCE, ctypes.c_uint),
    "cuStreamSynchronize": (_ADDRESS,),
    "cuMemGetInfo_v2": (_REFERENCE, _REFERENCE),
    "cuMemAlloc_v2": (_REFERENCE, _SIZE),
    "cuMemFree_v2": (_POINTER,),
    "cuMemHostAlloc": (_REFERENCE, _SIZE, ctypes.c_uint),
    "cuMemFreeHost": (_ADDRESS,),
    "cuMemcpyHtoDAsync_v2": (_POINTER, _ADDRESS, _SIZE, _ADDRESS),
    "cuMemcpyDtoHAsync_v2": (_ADDRESS, _POINTER, _SIZE, _ADDRESS),
    "cuMemcpyDtoDAsync_v2": (_POINTER, _POINTER, _SIZE, _ADDRESS),
    "cuMemsetD8Async": (_POINTER, ctypes.c_ubyte, _SIZE, _ADDRESS),
    "cuMemsetD32Async": (_POINTER, ctypes.c_uint, _SIZE, _ADDRESS),
}

# Attributes of a device, by their numbers in cuda.h.
_MULTIPROCESSORS, _MAJOR, _MINOR = 16, 75, 76

_OUT_OF_MEMORY = 2
_ADVICE = {
    3: "a forked process cannot use the GPU of its parent: start it with the method 'spawn'",
    100: "see what nvidia-smi and CUDA_VISIBLE_DEVICES say",
    803: "the driver is older than the libraries, or was updated without a restart",
}
# What a kernel does wrong shows at a later call, and takes the context with it.
_KERNEL_FAILED = {700, 702, 710, 714, 715, 716, 717, 718, 719, 720}

_OLDEST = (8, 0)


class Driver:
    """Checked calls of the driver."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise DeviceError(f"the NVIDIA driver is not installed ({error})") from error
        for name, types in _FUNCTIONS.items():
            getattr(self._library, name).argtypes = types
        self.call("cuInit", 0)

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function of the driver; raises `DeviceError` for any status but success."""
        status = getattr(self._library, name)(*arguments)
        if status:
            raise self._error(name, status)

    def integer(self, name: str, *arguments: Any) -> int:
        """What a function writes to where its first argument points, as an integer of 64 bits."""
        result = ctypes.c_uint64(0)
        self.call(name, ctypes.byref(result), *arguments)
        return result.value

    def _error(self, name: str, status: int) -> DeviceError:
        code, words = self._text("cuGetErrorName", status), self._text("cuGetErrorString", status)
        if status == _OUT_OF_MEMORY:
            return OutOfDeviceMemory(f"the GPU is out of memory ({name})")
        if status in _KERNEL_FAILED:
            return DeviceError(
                f"a kernel failed on the GPU: {words} ({code}, seen by {name}). What this process had on the GPU is "
                "lost, start it again. With CUDA_LAUNCH_BLOCKING=1 the error shows at the launch of that kernel"
            )
        advice = f"; {_ADVICE[status]}" if status in _ADVICE else ""
        return DeviceError(f"{name} failed: {words} ({code}){advice}")

    def _text(self, name: str, status: int) -> str:
        text = ctypes.c_char_p()
        getattr(self._library, name)(status, ctypes.byref(text))
        return (text.value or b"status %d" % status).decode()


class CudaMemory:
    """Memory and one stream of the first visible GPU.

    The context is the device's primary one, so addresses may be shared with PyTorch and CuPy. The stream is a blocking
    one: what others do on the default stream, and what is done here, run in the order of their calls.
    """

    ordinal = 0

    def __init__(self) -> None:
        self._driver = driver = Driver()
        if not driver.integer("cuDeviceGetCount"):
            raise DeviceError(f"the NVIDIA driver finds no GPU; {_ADVICE[100]}")
        device = driver.integer("cuDeviceGet", self.ordinal)
        title = ctypes.create_string_buffer(256)
        driver.call("cuDeviceGetName", title, len(title), device)
        self.name = title.value.decode(errors="replace")
        self.multiprocessors = driver.integer("cuDeviceGetAttribute", _MULTIPROCESSORS, device)
        major, minor = (driver.integer("cuDeviceGetAttribute", number, device) for number in (_MAJOR, _MINOR))
        self.capability = (major, minor)
        if self.capability < _OLDEST:
            raise DeviceError(
                f"{self.name} has compute capability {major}.{minor}; Weft's kernels need {_OLDEST[0]}.{_OLDEST[1]}"
            )
        self._context = driver.integer("cuDevicePrimaryCtxRetain", device)
        driver.call("cuCtxSetCurrent", self._context)
        self.stream = driver.integer("cuStreamCreate", 0)

    def _call(self, name: str, *arguments: Any) -> None:
        # The current context belongs to a thread, and another library may have made another one current.
        self._driver.call("cuCtxSetCurrent", self._context)
        self._driver.call(name, *arguments)

    def allocate(self, nbytes: int) -> int:
        """The address of new memory, aligned to 256 bytes; contents undefined."""
        address = ctypes.c_uint64(0)
        try:
            self._call("cuMemAlloc_v2", ctypes.byref(address), max(nbytes, 1))
        except OutOfDeviceMemory:
            free, total = self._room()
            raise OutOfDeviceMemory(
                f"{self.name} has no room for {nbytes:,} bytes more: {free:,} of {total:,} are free. "
                "Use smaller graphs, or see with nvidia-smi who else uses the GPU"
            ) from None
        return address.value

    def _room(self) -> tuple[int, int]:
        free, total = ctypes.c_size_t(0), ctypes.c_size_t(0)
        self._call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value, total.value

    def free(self, address: int) -> None:
        """Give memory back, once the work on it is done; address 0 is nobody's and is ignored."""
        if address:
            self._call("cuMemFree_v2", address)

    def pinned(self, nbytes: int) -> NDArray[np.uint8]:
        """A page-locked host buffer, given back when nobody holds it or a view of it."""
        address = ctypes.c_uint64(0)
        self._call("cuMemHostAlloc", ctypes.byref(address), max(nbytes, 1), 0)
        buffer = (ctypes.c_uint8 * max(nbytes, 1)).from_address(address.value)
        # At the end of the process the driver may be gone already, and takes back everything by itself.
        weakref.finalize(buffer, self._call, "cuMemFreeHost", address.value).atexit = False
        return np.frombuffer(memoryview(buffer), np.uint8)[:nbytes]

    def upload(self, address: int, array: NDArray[Any]) -> None:
        """Copy a contiguous array to the device, in stream order; a pinned array must stay as it is until then."""
        if not array.flags.forc:
            raise DeviceError("only a contiguous array can be uploaded")
        if array.nbytes:
            self._call("cuMemcpyHtoDAsync_v2", address, array.ctypes.data, array.nbytes, self.stream)

    def download(self, array: NDArray[Any], address: int) -> None:
        """Fill a contiguous array from the device; waits for all work before it."""
        if not array.flags.forc or not array.flags.writeable:
            raise DeviceError("only a contiguous, writable array can be filled from the device")
        if array.nbytes:
            self._call("cuMemcpyDtoHAsync_v2", array.ctypes.data, address, array.nbytes, self.stream)
        self.synchronize()

    def copy(self, target: int, source: int, nbytes: int) -> None:
        """Copy inside of the device, in stream order; the two may not overlap."""
        if nbytes:
            self._call("cuMemcpyDtoDAsync_v2", target, source, nbytes, self.stream)

    def clear(self, address: int, nbytes: int) -> None:
        """Set bytes to zero, in stream order."""
        if nbytes % 4 == 0 and address % 4 == 0:
            self._call("cuMemsetD32Async", address, 0, nbytes // 4, self.stream)
        else:
            self._call("cuMemsetD8Async", address, 0, nbytes, self.stream)

    def synchronize(self) -> None:
        """Wait until all work is done; raises `DeviceError` when some of it failed."""
        self._call("cuStreamSynchronize", self.stream)
