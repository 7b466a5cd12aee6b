"""Asks the driver (NVML) for clocks, temperature, power, throttling and processes of one GPU.

nvidia-ml-py is imported by the first reader, so that machines without a GPU can load what stands on this module.
"""

import os
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Self

from tilewright.evaluator.gpu.vitals import Vitals, to_throttles


class VitalsError(Exception):
    """The driver does not answer about the device."""


class VitalsReader:
    """Reads one device; use it as a context manager.

    Args:
        uuid: The device's, such as `GPU-5b0a...`: indices differ between the driver and a process that sees some
            devices only.

    Raises:
        VitalsError: There is no such device, or no driver.
    """

    def __init__(self, uuid: str) -> None:
        self._nvml = nvml = _library()
        try:
            nvml.nvmlInit()
            self._handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
        except nvml.NVMLError as error:
            raise VitalsError(f"expected the driver to know device {uuid}; got {error}: check nvidia-smi") from error

    def __enter__(self) -> Self:
        """Return the reader itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the driver."""
        self.close()

    def close(self) -> None:
        """Let go of the driver."""
        self._nvml.nvmlShutdown()

    @property
    def driver(self) -> str:
        """Version of the driver."""
        return str(self._nvml.nvmlSystemGetDriverVersion())

    def read(self) -> Vitals:
        """Read everything once; takes some tenths of a millisecond."""
        nvml = self._nvml
        return Vitals(
            sm_clock_mhz=self._number(nvml.nvmlDeviceGetClockInfo, nvml.NVML_CLOCK_SM),
            memory_clock_mhz=self._number(nvml.nvmlDeviceGetClockInfo, nvml.NVML_CLOCK_MEM),
            temperature_c=self._number(nvml.nvmlDeviceGetTemperature, nvml.NVML_TEMPERATURE_GPU),
            power_w=_to_watts(self._number(nvml.nvmlDeviceGetPowerUsage)),
            throttles=to_throttles(self._number(nvml.nvmlDeviceGetCurrentClocksThrottleReasons) or 0),
            other_processes=self._others(),
        )

    def _number(self, function: object, *arguments: int) -> int | None:
        """Ask for a number; None if this device or driver does not tell."""
        try:
            return int(function(self._handle, *arguments))  # type: ignore[operator]  # the library is not annotated
        except self._nvml.NVMLError:
            return None

    def _others(self) -> tuple[int, ...]:
        """Return processes that compute on the device, this one and what its supervisor keeps waiting left out."""
        try:
            running = self._nvml.nvmlDeviceGetComputeRunningProcesses(self._handle)
        except self._nvml.NVMLError:
            return ()
        own = os.getpid()
        family = _grandparent(own)  # a judge's parent is its zygote, whose parent is the supervisor
        others = (int(one.pid) for one in running if one.pid != own)
        return tuple(sorted(pid for pid in others if family <= 1 or _grandparent(pid) != family))


def _library() -> ModuleType:
    """Return nvidia-ml-py's module.

    Raises:
        VitalsError: It is not installed.
    """
    try:
        import pynvml
    except ImportError as error:
        raise VitalsError(f"expected nvidia-ml-py to be installed (extra `gpu`); {error}") from error
    module: ModuleType = pynvml
    return module


def _grandparent(pid: int) -> int:
    """Return the number of a process's parent's parent; 0 if it cannot be read."""
    try:
        for _ in range(2):
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
            pid = int(fields[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pid


def _to_watts(milliwatts: int | None) -> float | None:
    return None if milliwatts is None else milliwatts / 1000
