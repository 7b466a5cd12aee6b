"""What one GPU was measured to sustain, and the floor of a task on it: values only, nothing here loads torch."""

import msgspec

from tilewright.evaluator.aten_cost import EagerOp
from tilewright.evaluator.floor import floor_bytes
from tilewright.evaluator.hardware import Hardware, find_hardware
from tilewright.tasks.spec import Case

FORMAT = 1
# Sizes whose rate decides: beyond the cache of every part.
_LARGE_MIB = 256


class MemoryRate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Gigabytes a second for tensors of one size; a copy counts what it reads and what it writes."""

    mib: int
    copy_gb_s: float
    read_gb_s: float
    write_gb_s: float


class MatrixRate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rate of the vendor library's products of random numbers; the better of two sizes, in a short burst."""

    dtype: str
    tflops: float


class MeasuredHardware(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one device was measured to sustain.

    Attributes:
        version: Of this record's format and method.
        device: The device's name.
        driver: Version of its driver.
        torch: Version that measured.
        l2_bytes: Size of the second-level cache.
        memory: Rates by size of tensor.
        matrix: Rates by type; types that the device has no product for are left out.
        launch_us: What a kernel costs beside its bytes.
        gap_us: Time of a kernel that does nothing, in a chain of such.
        wall_s: Seconds that measuring took.
    """

    version: int = FORMAT
    device: str
    driver: str
    torch: str
    l2_bytes: int
    memory: tuple[MemoryRate, ...]
    matrix: tuple[MatrixRate, ...]
    launch_us: float
    gap_us: float
    wall_s: float

    def stream_gb_s(self, read_bytes: int, written_bytes: int) -> float:
        """Return the best rate measured on large tensors for a mix of reads and writes.

        Between reads alone, a copy (half and half) and writes alone it is interpolated.
        """
        large = [one for one in self.memory if one.mib >= _LARGE_MIB] or list(self.memory)
        reads = max(one.read_gb_s for one in large)
        copies = max(one.copy_gb_s for one in large)
        writes = max(one.write_gb_s for one in large)
        share = written_bytes / max(1, read_bytes + written_bytes)
        if share <= 0.5:
            return reads + (copies - reads) * 2 * share
        return copies + (writes - copies) * (2 * share - 1)

    def matrix_tflops(self, dtype: str) -> float | None:
        """Return the rate of products of a type, or None if it was not measured."""
        return next((one.tflops for one in self.matrix if one.dtype == dtype), None)

    def to_hardware(self, target: str) -> Hardware:
        """Return the rates in the form that floors and the cost model take; what was not measured is the sheet's.

        Raises:
            UnknownTargetError: No target has that name.
        """
        sheet = find_hardware(target)
        half = max((self.matrix_tflops(one) or 0.0 for one in ("float16", "bfloat16")), default=0.0)
        return msgspec.structs.replace(
            sheet,
            device=self.device,
            source=f"measured on {self.device}, driver {self.driver}",
            dram_gb_s=max(self.stream_gb_s(1, 0), self.stream_gb_s(1, 1)),
            half_tflops=half or sheet.half_tflops,
            tf32_tflops=self.matrix_tflops("tf32") or sheet.tf32_tflops,
            fp8_tflops=max(self.matrix_tflops("float8_e4m3fn") or 0.0, self.matrix_tflops("int8") or 0.0)
            or sheet.fp8_tflops,
            fp32_tflops=max(self.matrix_tflops("float32") or 0.0, sheet.fp32_tflops),
            fp64_tflops=self.matrix_tflops("float64") or sheet.fp64_tflops,
            launch_us=self.launch_us,
            gap_us=self.gap_us,
        )


def task_floor(case: Case, operations: tuple[EagerOp, ...], measured: MeasuredHardware, target: str) -> float:
    """Return the least microseconds that the device needs for a case, launches left out.

    That is its bytes at the rate measured for its mix of reads and writes, or its products. Nothing of it depends on
    a candidate.

    Args:
        case: Shapes and types.
        operations: What eager PyTorch runs; products count at the rate of their type.
        measured: Rates of the device.
        target: Name of the target, for rates that were not measured.
    """
    hardware = measured.to_hardware(target)
    written = sum(one.storage_bytes for one in case.outputs)
    moved = floor_bytes(case, operations)
    rate = measured.stream_gb_s(max(0, moved - written), min(written, moved))
    products_us = sum(one.flops / (hardware.matrix_tflops(one.dtype) * 1e6) for one in operations)
    return max(moved / (rate * 1e3), products_us)
