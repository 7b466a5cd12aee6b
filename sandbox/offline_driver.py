"""A Triton driver for a GPU that is not there: it answers questions and launches nothing."""

import contextlib
from collections.abc import Callable, Iterator

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.backends.driver import DriverBase

from tilewright.sandbox.targets import Target


class _DeviceFacts:
    """What Triton and launchers ask a driver's `utils` about the device."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def get_device_properties(self, _device: int) -> dict[str, int]:
        """Return the limits that Triton's own drivers report, under their names."""
        target = self._target
        return {
            "max_shared_mem": target.shared_bytes_per_block,
            "max_num_regs": target.registers_per_multiprocessor,
            "multiprocessor_count": target.multiprocessors,
            "warpSize": target.warp_size,
            "max_threads_per_sm": target.max_threads_per_multiprocessor,
            "sm_clock_rate": 1_980_000,  # kHz, of an H200; Triton's roofline estimates ask for it
            "mem_clock_rate": 3_201_000,
            "mem_bus_width": 6144,
        }


class OfflineDriver(DriverBase):  # type: ignore[misc]  # triton ships no annotations
    """Tells Triton to compile for a target; there is nothing to load or launch."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self.utils = _DeviceFacts(target)

    @classmethod
    def is_active(cls) -> bool:
        """Return false: it is never found by itself, only set."""
        return False

    def map_python_to_cpp_type(self, ty: str) -> str:
        """Return the type unchanged: no launcher stub is generated."""
        return ty

    def get_current_target(self) -> GPUTarget:
        """Return the target in Triton's form."""
        return gpu_target(self._target)

    def get_active_torch_device(self) -> torch.device:
        """Return the one device."""
        return torch.device("cuda")

    def get_current_device(self) -> int:
        """Return the number of the one device."""
        return 0

    def set_current_device(self, _device: int) -> None:
        """Do nothing: there is one device."""

    def get_current_stream(self, _device: int | None = None) -> int:
        """Return the default stream."""
        return 0

    def get_device_capability(self, _device: int | None = None) -> tuple[int, int]:
        """Return major and minor compute capability."""
        return self._target.capability

    def get_benchmarker(self) -> Callable[..., object]:
        """Refuse: nothing is timed where candidate code runs."""
        raise RuntimeError("nothing is timed while a launcher is recorded")


def gpu_target(target: Target) -> GPUTarget:
    """Return a target in Triton's form."""
    return GPUTarget(target.backend, target.arch, target.warp_size)


@contextlib.contextmanager
def offline_driver(target: Target) -> Iterator[None]:
    """Make an offline driver for the target Triton's active one inside a `with` block."""
    config = triton.runtime.driver
    before = config._active
    config.set_active(OfflineDriver(target))
    try:
        yield
    finally:
        config._active = before
