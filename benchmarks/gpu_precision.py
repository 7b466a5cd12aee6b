"""How far timings of one plan lie apart: `python benchmarks/gpu_precision.py CACHE DOSSIER... [--processes 20]`.

Each dossier (as `tilewright` records them, in MessagePack) is timed once in each of many fresh processes, first bench
case only. Printed: median over processes, (p90 - p10) / median of the candidate's time and of its paired ratio with the
fastest baseline. Processes are forked from one that holds no CUDA context.
"""

import argparse
import multiprocessing
import statistics
import sys
import time
from pathlib import Path

import msgspec
import torch

from tilewright.evaluator.dossier import Dossier
from tilewright.evaluator.gpu.context import DeviceContext
from tilewright.evaluator.gpu.spreads import relative_spread
from tilewright.evaluator.gpu.timing_schedule import TimingBudget
from tilewright.evaluator.gpu.workplace import WorkplaceSettings, open_stopwatch
from tilewright.evaluator.timing import Timing
from tilewright.tasks.spec import CaseRole

BUDGETS = {"search": TimingBudget.search(), "final": TimingBudget.final()}


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One timing of one dossier, and the wall seconds it took."""

    name: str
    budget: str
    timing: Timing
    wall_s: float


def time_all(paths: tuple[Path, ...], settings: WorkplaceSettings, budgets: tuple[str, ...]) -> list[Sample]:
    """Time each dossier's first bench case in this process."""
    samples = []
    with DeviceContext() as context:
        stopwatch = open_stopwatch(settings, context.device)
        for path in paths:
            dossier = msgspec.msgpack.decode(path.read_bytes(), type=Dossier)
            context.adopt(dossier.binaries)
            case = dossier.task.cases_of(CaseRole.BENCH)[0]
            stopwatch.benches.prepare(dossier.task, case)
            for name in budgets:
                start_s = time.perf_counter()
                budget = msgspec.structs.replace(BUDGETS[name], is_final=False)  # baselines are timed elsewhere
                timing = stopwatch.time_case(dossier, case, context, budget)
                if not isinstance(timing, Timing):
                    sys.exit(f"{path}: {timing.message}")
                wall_s = time.perf_counter() - start_s
                samples.append(Sample(name=path.stem, budget=name, timing=timing, wall_s=wall_s))
            stopwatch.benches.forget()
    return samples


def run_child(paths: tuple[Path, ...], settings: WorkplaceSettings, budgets: tuple[str, ...], out: Path) -> None:
    """Time everything in a forked process and leave the samples in a file."""
    out.write_bytes(msgspec.json.encode(time_all(paths, settings, budgets)))


def gather(paths: tuple[Path, ...], options: argparse.Namespace) -> list[Sample]:
    """Time everything in fresh processes."""
    settings = WorkplaceSettings(target=options.target, cache=str(options.cache), baselines=tuple(options.baselines))
    forks = multiprocessing.get_context("fork")
    samples: list[Sample] = []
    for number in range(options.processes + 1):
        out = options.cache / f"precision-{number}.json"
        child = forks.Process(target=run_child, args=(paths, settings, tuple(options.budgets), out))
        child.start()
        child.join()
        if child.exitcode:
            sys.exit(f"process {number} ended with {child.exitcode}")
        if number:  # the first one measures the device and the baselines
            samples += msgspec.json.decode(out.read_bytes(), type=list[Sample])
    return samples


def show(samples: list[Sample]) -> None:
    """Print a row for each dossier and budget."""
    device, count = torch.cuda.get_device_name(0), len({id(one) for one in samples})
    print(f"{device}, torch {torch.__version__}, {count} timings")
    print(
        f"{'kernel':28} {'budget':7} {'n':>3} {'us':>9} {'spread':>8} {'ratio':>7} {'spread':>8} {'interval':>9} {'ms':>7}"  # noqa: E501
    )
    for key in dict.fromkeys((one.name, one.budget) for one in samples):
        mine = [one for one in samples if (one.name, one.budget) == key]
        times = [one.timing.candidate.median_us for one in mine]
        ratios = [one.timing.speedup for one in mine]
        widths = [(one.timing.paired.high - one.timing.paired.low) for one in mine if one.timing.paired is not None]
        print(
            f"{key[0]:28} {key[1]:7} {len(mine):3} {statistics.median(times):9.3f} {relative_spread(times):8.3%} "
            f"{statistics.median(ratios):7.4f} {relative_spread(ratios):8.3%} {statistics.median(widths):9.4f} "
            f"{statistics.median(one.wall_s for one in mine) * 1e3:7.1f}"
        )
        print("    " + " ".join(f"{one:.2f}" for one in times))
    print(samples[-1].timing.notes)


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path, help="folder for baselines and rates")
    parser.add_argument("dossiers", type=Path, nargs="+")
    parser.add_argument("--processes", type=int, default=20)
    parser.add_argument("--target", default="cuda:90")
    parser.add_argument("--baselines", nargs="+", default=["eager"])
    parser.add_argument("--budgets", nargs="+", default=["search", "final"])
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    show(gather(tuple(options.dossiers), options))


if __name__ == "__main__":
    main()
