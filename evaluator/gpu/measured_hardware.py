"""Measures the rates of the GPU at hand in a few seconds, and keeps them in a file."""

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
import torch

from tilewright.evaluator.gpu.captured import Captured, Replays, nothing, take_turns
from tilewright.evaluator.gpu.device_rates import FORMAT, MatrixRate, MeasuredHardware, MemoryRate

_MIB = 1 << 20
_SIZES_MIB = (1, 4, 16, 64, 256, 1024, 4096)
# Of the free memory, one tensor of a sweep takes at most this share.
_MEMORY_SHARE = 0.2
# Together the buffers of a sweep cover this many times the cache.
_CACHE_TIMES = 4
_MOST_BUFFERS = 128
_REPLAYS = 7
_MATRIX_SIDES = (4096, 8192)
# A product is timed in short bursts: a long one would heat the chip and slow it down.
_BURST = 4
_CHAIN = 200
_MATRIX_TYPES = ("float16", "bfloat16", "tf32", "float32", "float64", "float8_e4m3fn", "int8")

Work = Callable[[], None]
Item = TypeVar("Item")


def load_or_measure(path: Path, device: torch.device, driver: str) -> MeasuredHardware:
    """Return the rates kept in a file if they are this device's, driver's and torch's; else measure and keep them.

    Args:
        path: The file; its folder is made.
        device: The device.
        driver: Version of its driver.
    """
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=MeasuredHardware)
    except (FileNotFoundError, msgspec.DecodeError):
        kept = None  # none yet, or of another format: measured again
    identity = (FORMAT, torch.cuda.get_device_name(device), driver, str(torch.__version__))
    if kept is not None and (kept.version, kept.device, kept.driver, kept.torch) == identity:
        return kept
    measured = measure_hardware(device, driver)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(measured)))
    partial.replace(path)
    return measured


def measure_hardware(device: torch.device, driver: str) -> MeasuredHardware:
    """Measure memory rates by size, matrix rates by type, and what a launch costs.

    Args:
        device: A device that nothing else uses.
        driver: Version of its driver, for the record.
    """
    start_s = time.monotonic()
    l2_bytes = torch.cuda.get_device_properties(device).L2_cache_size
    with torch.cuda.device(device):
        stream: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch's is not typed
        clock = _Clock(stream)
        memory = tuple(_memory_rate(clock, mib, l2_bytes) for mib in _fitting_sizes())
        matrix = tuple(rate for dtype in _MATRIX_TYPES if (rate := _matrix_rate(clock, dtype)) is not None)
        gap_us = _chain_us(clock)
        torch.cuda.empty_cache()
    return MeasuredHardware(
        device=torch.cuda.get_device_name(device),
        driver=driver,
        torch=str(torch.__version__),
        l2_bytes=l2_bytes,
        memory=memory,
        matrix=matrix,
        launch_us=_launch_us(memory, gap_us),
        gap_us=gap_us,
        wall_s=time.monotonic() - start_s,
    )


class _Clock:
    """Times work in a graph on a stream of its own."""

    def __init__(self, stream: torch.cuda.Stream) -> None:
        self._stream = stream

    def time_us(self, work: Work) -> float:
        """Return the least of some replays of work in microseconds: a ceiling is what the device can do."""
        with torch.cuda.stream(self._stream):
            work()
            times = take_turns({"work": Replays(Captured(work, self._stream))}, ("work",) * _REPLAYS, nothing)
        return min(times["work"])


def _fitting_sizes() -> tuple[int, ...]:
    free_bytes, _ = torch.cuda.mem_get_info()
    return tuple(mib for mib in _SIZES_MIB if mib * _MIB <= free_bytes * _MEMORY_SHARE)


def _memory_rate(clock: _Clock, mib: int, l2_bytes: int) -> MemoryRate:
    """Measure one size, going round enough buffers that none is found in the cache."""
    elements = mib * _MIB // 4
    count = min(max(2, -(-_CACHE_TIMES * l2_bytes // (mib * _MIB))), _MOST_BUFFERS)
    if mib * _MIB > _CACHE_TIMES * l2_bytes:
        count = 2
    buffers = [torch.randint(-9, 9, (elements,), dtype=torch.int32, device="cuda") for _ in range(count)]
    total = torch.zeros((), dtype=torch.float32, device="cuda")
    halves = list(zip(buffers[::2], buffers[1::2], strict=False))

    copies = (
        lambda: _apply(lambda pair: pair[1].copy_(pair[0]), halves),
        lambda: _apply(lambda pair: torch.bitwise_not(pair[0], out=pair[1]), halves),
    )
    reads = (
        lambda: _apply(lambda one: torch.sum(one.view(torch.float32), 0, out=total), buffers),
        lambda: _apply(lambda one: torch.amax(one.view(torch.float32), 0), buffers),
    )
    writes = (
        lambda: _apply(lambda one: one.fill_(1), buffers),
        lambda: _apply(lambda one: one.zero_(), buffers),
    )
    gigabytes = mib * _MIB / 1e9
    copy_us, read_us, write_us = (min(clock.time_us(work) for work in works) for works in (copies, reads, writes))
    return MemoryRate(
        mib=mib,
        copy_gb_s=2 * len(halves) * gigabytes / (copy_us * 1e-6),
        read_gb_s=count * gigabytes / (read_us * 1e-6),
        write_gb_s=count * gigabytes / (write_us * 1e-6),
    )


def _apply(function: Callable[[Item], object], items: Sequence[Item]) -> None:
    for one in items:
        function(one)


def _repeated(function: Callable[[], object], count: int) -> Work:
    return lambda: _apply(lambda _: function(), range(count))


def _matrix_rate(clock: _Clock, dtype: str) -> MatrixRate | None:
    """Measure the products of a type; None if this device or torch has none."""
    best = 0.0
    for side in _MATRIX_SIDES:
        try:
            multiply = _product(dtype, side)
            time_us = clock.time_us(_repeated(multiply, _BURST)) / _BURST
        except (RuntimeError, ValueError, NotImplementedError):
            continue  # how torch refuses a type varies
        best = max(best, 2 * side**3 / (time_us * 1e6))
    return MatrixRate(dtype=dtype, tflops=best) if best else None


def _product(dtype: str, side: int) -> Callable[[], object]:
    """Return a product of two random square matrices of a type, in normal precision: zeros would run faster."""
    a = torch.randn(side, side, device="cuda")
    b = torch.randn(side, side, device="cuda")
    if dtype == "int8":
        left, right = (a * 40).to(torch.int8), (b * 40).to(torch.int8).t()
        return lambda: torch._int_mm(left, right)
    if dtype == "float8_e4m3fn":
        left, right = a.to(torch.float8_e4m3fn), b.to(torch.float8_e4m3fn).t()
        one = torch.ones((), device="cuda")
        return lambda: torch._scaled_mm(left, right, one, one, out_dtype=torch.bfloat16)
    kind = torch.float32 if dtype == "tf32" else getattr(torch, dtype)
    left, right = a.to(kind), b.to(kind)
    out = torch.empty(side, side, dtype=kind, device="cuda")
    if dtype == "tf32":
        return lambda: _multiply_tf32(left, right, out)
    return lambda: torch.mm(left, right, out=out)


def _multiply_tf32(left: torch.Tensor, right: torch.Tensor, out: torch.Tensor) -> None:
    allowed = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        torch.mm(left, right, out=out)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = allowed


def _chain_us(clock: _Clock) -> float:
    """Return the time of one of many dependent kernels that do next to nothing."""
    one = torch.zeros(1, device="cuda")
    return clock.time_us(_repeated(lambda: one.add_(1), _CHAIN)) / _CHAIN


def _launch_us(memory: Sequence[MemoryRate], gap_us: float) -> float:
    """Return what a copy costs beside its bytes at the largest rate: the median over sizes of a few megabytes."""
    best = max(one.copy_gb_s for one in memory)
    beside = [2 * one.mib * _MIB * (1 / one.copy_gb_s - 1 / best) * 1e-3 for one in memory if 4 <= one.mib <= 256]
    return max(gap_us, statistics.median(beside)) if beside else gap_us
