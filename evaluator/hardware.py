"""Rates that a part reaches in practice, for floors and estimates."""

import msgspec
from msgspec import structs

from tilewright.evaluator.costmodel_constants import BAND, SHIPPED, CostConstants
from tilewright.sandbox.targets import UnknownTargetError, target_names


class Hardware(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a part sustains; not what its data sheet promises.

    Attributes:
        target: Name of the target.
        device: Name of the part.
        source: Where the numbers come from.
        clock_mhz: Clock of the multiprocessors under load.
        dram_gb_s: Bytes a copy kernel moves in a second, reads and writes together.
        l2_gb_s: Bytes that multiprocessors get out of the second-level cache.
        memory_latency_ns: Time from a load to its data, from DRAM.
        half_tflops: Products of fp16 and bf16 with wide accumulation (dense).
        tf32_tflops: Products of fp32 rounded to TF32.
        fp8_tflops: Products of 8-bit types.
        fp32_tflops: Fused multiply-adds outside of tensor cores.
        fp64_tflops: Fused multiply-adds in double precision.
        special_per_clock: exp, log, rsqrt and the like that a multiprocessor finishes in a clock.
        lanes_per_clock: fp32 operations that a multiprocessor starts in a clock.
        launch_us: What a kernel costs beside its work in a graph: start, ramp and drain.
        gap_us: What a further, dependent kernel costs.
        constants: What the cost model assumes beyond these rates; they change no floor and no baseline.
        band: How far an estimate may lie from a measured time, as a share of it.
    """

    target: str
    device: str
    source: str
    clock_mhz: float
    dram_gb_s: float
    l2_gb_s: float
    memory_latency_ns: float
    half_tflops: float
    tf32_tflops: float
    fp8_tflops: float
    fp32_tflops: float
    fp64_tflops: float
    special_per_clock: float
    lanes_per_clock: float
    launch_us: float
    gap_us: float
    constants: CostConstants = SHIPPED
    band: float = BAND

    @property
    def in_kernels(self) -> "Hardware":
        """The rates that a candidate's kernels meet: these, times the factors of the constants."""
        factors = self.constants
        return structs.replace(
            self,
            dram_gb_s=self.dram_gb_s * factors.dram_factor,
            l2_gb_s=self.l2_gb_s * factors.cache_factor,
            memory_latency_ns=self.memory_latency_ns * factors.latency_factor,
            special_per_clock=self.special_per_clock * factors.special_factor,
            launch_us=self.launch_us * factors.launch_factor,
            gap_us=self.gap_us * factors.launch_factor,
        )

    def matrix_tflops(self, dtype: str) -> float:
        """Return the rate of products whose operands have a type, by torch's or Triton's name of it."""
        if "8" in dtype:
            return self.fp8_tflops
        if "64" in dtype:
            return self.fp64_tflops
        return self.tf32_tflops if "32" in dtype else self.half_tflops

    def dram_us(self, moved_bytes: float) -> float:
        """Return microseconds that moving bytes to and from DRAM takes."""
        return moved_bytes / (self.dram_gb_s * 1e3)


_H200_SOURCE = (
    "copies of 67 to 823 MB measured in CUDA graphs on an H200 fit 2.5 us + bytes / 4.18 TB/s within 6 %; products as "
    "cuBLAS reaches them at 4096^3 and above; the rest from the data sheet"
)
_SHEET = "data sheet, times the share of it that the H200 reaches in practice; not measured"

_HARDWARE = (
    Hardware(
        target="cuda:80", device="NVIDIA A100", source=_SHEET, clock_mhz=1410, dram_gb_s=1770, l2_gb_s=5500,
        memory_latency_ns=600, half_tflops=265, tf32_tflops=132, fp8_tflops=530, fp32_tflops=17.5, fp64_tflops=17.5,
        special_per_clock=16, lanes_per_clock=64, launch_us=2.5, gap_us=1.5,
    ),
    Hardware(
        target="cuda:90", device="NVIDIA H200", source=_H200_SOURCE, clock_mhz=1755, dram_gb_s=4180, l2_gb_s=12_000,
        memory_latency_ns=700, half_tflops=790, tf32_tflops=395, fp8_tflops=1580, fp32_tflops=60, fp64_tflops=60,
        special_per_clock=16, lanes_per_clock=128, launch_us=2.5, gap_us=1.5,
    ),
    Hardware(
        target="cuda:100", device="NVIDIA B200", source=_SHEET, clock_mhz=1850, dram_gb_s=6960, l2_gb_s=20_000,
        memory_latency_ns=800, half_tflops=1700, tf32_tflops=850, fp8_tflops=3400, fp32_tflops=70, fp64_tflops=35,
        special_per_clock=16, lanes_per_clock=128, launch_us=2.5, gap_us=1.5,
    ),
    Hardware(
        target="hip:gfx942", device="AMD MI300X", source=_SHEET, clock_mhz=2100, dram_gb_s=4240, l2_gb_s=12_000,
        memory_latency_ns=900, half_tflops=720, tf32_tflops=330, fp8_tflops=1440, fp32_tflops=98, fp64_tflops=80,
        special_per_clock=16, lanes_per_clock=128, launch_us=5.0, gap_us=3.0,
    ),
)  # fmt: skip


def find_hardware(target: str) -> Hardware:
    """Return the rates of a target.

    Raises:
        UnknownTargetError: No target has that name.
    """
    for hardware in _HARDWARE:
        if hardware.target == target:
            return hardware
    raise UnknownTargetError(f"expected a target, one of {', '.join(target_names())}; got {target!r}")
