"""The CUDA driver as far as replaying needs it: typed calls, errors as exceptions, nothing of cuda-bindings beyond.

cuda-bindings is imported by the first call, so that machines without a GPU can load what stands on this module.
"""

import ctypes
from dataclasses import dataclass
from functools import cache
from types import ModuleType

# After these the context answers every call with the same error: only a new process helps.
_STICKY = frozenset({
    "CUDA_ERROR_ILLEGAL_ADDRESS", "CUDA_ERROR_LAUNCH_TIMEOUT", "CUDA_ERROR_ASSERT", "CUDA_ERROR_HARDWARE_STACK_ERROR",
    "CUDA_ERROR_ILLEGAL_INSTRUCTION", "CUDA_ERROR_MISALIGNED_ADDRESS", "CUDA_ERROR_INVALID_ADDRESS_SPACE",
    "CUDA_ERROR_INVALID_PC", "CUDA_ERROR_LAUNCH_FAILED", "CUDA_ERROR_TENSOR_MEMORY_LEAK", "CUDA_ERROR_UNKNOWN",
    "CUDA_ERROR_ECC_UNCORRECTABLE", "CUDA_ERROR_CONTEXT_IS_DESTROYED", "CUDA_ERROR_DEINITIALIZED",
    "CUDA_ERROR_EXTERNAL_DEVICE", "CUDA_ERROR_CONTAINED",
})  # fmt: skip


class CudaMissingError(Exception):
    """There is no cuda-bindings, no driver or no such device on this machine."""


class DriverError(Exception):
    """A call of the CUDA driver failed, or work enqueued before it did.

    Attributes:
        code: The driver's number.
        name: The driver's name for it, such as `CUDA_ERROR_ILLEGAL_ADDRESS`.
    """

    def __init__(self, code: int, name: str, call: str) -> None:
        super().__init__(f"{call}: {name}")
        self.code = code
        self.name = name

    @property
    def is_sticky(self) -> bool:
        """Whether the context is lost: nothing more can run in this process."""
        return self.name in _STICKY


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Where a kernel's parameter lies among the others, and its size, both in bytes."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A kernel on the device.

    Attributes:
        handle: The driver's handle.
        entry: Its name.
        slots: Its parameters, in order.
        shared_bytes: Static shared memory.
        registers: Registers a thread.
        local_bytes: Local memory a thread.
        max_threads: Most threads of a program.
    """

    handle: int
    entry: str
    slots: tuple[Slot, ...]
    shared_bytes: int
    registers: int
    local_bytes: int
    max_threads: int


@cache
def api() -> ModuleType:
    """Return cuda-bindings' module of the driver.

    Raises:
        CudaMissingError: It is not installed.
    """
    try:
        from cuda.bindings import driver
    except ImportError as error:
        raise CudaMissingError(f"expected cuda-bindings to be installed (extra `gpu`); {error}") from error
    module: ModuleType = driver
    return module


def check(result: tuple[object, ...], call: str) -> tuple[object, ...]:
    """Return what a call of cuda-bindings returned, its error code taken off.

    Raises:
        DriverError: The code is one.
    """
    code = int(str(getattr(result[0], "value", result[0])))
    if code:
        raise DriverError(code, str(getattr(result[0], "name", code)), call)
    return result[1:]


def _number(result: tuple[object, ...], call: str) -> int:
    (value,) = check(result, call)
    return int(value)  # type: ignore[call-overload, no-any-return]  # handles are numbers to Python, not to its types


def open_device(index: int) -> None:
    """Make a device's primary context, the one that torch uses, current for this thread.

    Raises:
        CudaMissingError: There is no driver or no such device.
    """
    cuda = api()
    try:
        check(cuda.cuInit(0), "cuInit")
        device = check(cuda.cuDeviceGet(index), "cuDeviceGet")[0]
    except (DriverError, RuntimeError) as error:
        raise CudaMissingError(f"expected CUDA device {index}; {error}") from error
    context = check(cuda.cuDevicePrimaryCtxRetain(device), "cuDevicePrimaryCtxRetain")[0]
    check(cuda.cuCtxSetCurrent(context), "cuCtxSetCurrent")


def driver_version() -> int:
    """Return the newest CUDA that the driver serves, such as 13000."""
    return _number(api().cuDriverGetVersion(), "cuDriverGetVersion")


def device_capability(index: int) -> int:
    """Return a device's compute capability times ten, such as 90."""
    names = api().CUdevice_attribute
    major = device_attribute(index, names.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)
    return 10 * major + device_attribute(index, names.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)


def device_attribute(index: int, attribute: object) -> int:
    """Return what the driver says of a device."""
    return _number(api().cuDeviceGetAttribute(attribute, index), "cuDeviceGetAttribute")


def load_module(data: bytes) -> int:
    """Load a cubin into the current context and return its handle.

    Raises:
        DriverError: It is no binary, or none for this device.
    """
    return _number(api().cuModuleLoadData(data), "cuModuleLoadData")


def unload_module(module: int) -> None:
    """Unload what `load_module` loaded; nothing of it may still run."""
    check(api().cuModuleUnload(module), "cuModuleUnload")


def get_function(module: int, entry: str) -> Function:
    """Find a kernel of a module and what launching it needs to know.

    Raises:
        DriverError: The module has no such kernel.
    """
    cuda = api()
    handle = _number(cuda.cuModuleGetFunction(module, entry.encode()), "cuModuleGetFunction")
    names = cuda.CUfunction_attribute

    def attribute(name: str) -> int:
        return _number(cuda.cuFuncGetAttribute(getattr(names, f"CU_FUNC_ATTRIBUTE_{name}"), handle), name)

    # loaded now and not by its first launch, which may be captured or timed
    check(cuda.cuFuncLoad(handle), "cuFuncLoad")
    return Function(
        handle=handle,
        entry=entry,
        slots=_slots(handle),
        shared_bytes=attribute("SHARED_SIZE_BYTES"),
        registers=attribute("NUM_REGS"),
        local_bytes=attribute("LOCAL_SIZE_BYTES"),
        max_threads=attribute("MAX_THREADS_PER_BLOCK"),
    )


def _slots(handle: int) -> tuple[Slot, ...]:
    slots: list[Slot] = []
    while True:
        code, offset, size = api().cuFuncGetParamInfo(handle, len(slots))
        if code.value:  # there is no other way to ask for their number
            return tuple(slots)
        slots.append(Slot(offset=int(offset), size=int(size)))


def fill(address: int, byte: int, count: int, stream: int = 0) -> None:
    """Enqueue filling `count` bytes of device memory with one byte."""
    if count:
        check(api().cuMemsetD8Async(address, byte, count, stream), "cuMemsetD8Async")


def upload(address: int, data: bytes) -> None:
    """Copy bytes to the device and wait for it."""
    if data:
        check(api().cuMemcpyHtoD(address, data, len(data)), "cuMemcpyHtoD")


def download(address: int, count: int) -> bytes:
    """Copy bytes from the device; waits for all work before it on the default stream."""
    data = ctypes.create_string_buffer(count)
    if count:
        check(api().cuMemcpyDtoH(ctypes.addressof(data), address, count), "cuMemcpyDtoH")
    return data.raw


def synchronize(stream: int | None = None) -> None:
    """Wait for a stream's work, or for all of the device's.

    Raises:
        DriverError: Some of it failed.
    """
    cuda = api()
    if stream is None:
        check(cuda.cuCtxSynchronize(), "kernel")
    else:
        check(cuda.cuStreamSynchronize(stream), "kernel")


def is_healthy() -> bool:
    """Return whether the current context still works; false after an illegal access, say."""
    try:
        synchronize()
    except DriverError:
        return False
    return True
