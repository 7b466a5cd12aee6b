"""Everything that timing on a device needs, set up once a process: rates of the device, bench cases, the stopwatch."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import torch

from tilewright.evaluator.gpu.baselines import BASELINE_NAMES, CompilerSettings
from tilewright.evaluator.gpu.bench import Benches, BenchSettings
from tilewright.evaluator.gpu.measured_hardware import load_or_measure
from tilewright.evaluator.gpu.stopwatch import Stopwatch
from tilewright.evaluator.gpu.vitals_reader import VitalsReader


class WorkplaceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What timing on a device needs to know.

    Attributes:
        target: Name of the device's target.
        cache: Folder of ours alone for rates, baselines and what the compiler makes.
        seed: Of inputs, order and bootstrap.
        compiler_threads: Processes that compile baselines at once; 1 compiles in this process.
        baselines: Which baselines are measured.
    """

    target: str
    cache: str
    seed: int = 0
    compiler_threads: int = 1
    baselines: tuple[str, ...] = BASELINE_NAMES


def open_stopwatch(
    settings: WorkplaceSettings, device: torch.device, progress: Callable[[str], None] = lambda _: None
) -> Stopwatch:
    """Return a stopwatch for a device, whose rates are measured if they are not known yet.

    Args:
        settings: Where things are kept.
        device: A device that nothing else uses; its context may exist already.
        progress: Told of work of ours that takes long: measuring the device, drawing inputs, compiling baselines.

    Raises:
        VitalsError: The driver does not know the device.
    """
    cache = Path(settings.cache)
    vitals = VitalsReader(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
    progress("rates of the device")
    hardware = load_or_measure(cache / "hardware.json", device, vitals.driver)
    bench_settings = BenchSettings(
        target=settings.target,
        seed=settings.seed,
        compiler=CompilerSettings(threads=settings.compiler_threads, cache_dir=str(cache / "compiled")),
        records=str(cache / "baselines"),
        baselines=settings.baselines,
    )
    return Stopwatch(Benches(device, hardware, bench_settings, progress), vitals, settings.seed)
