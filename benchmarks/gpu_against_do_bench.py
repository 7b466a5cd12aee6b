"""Our times beside other clocks: `python benchmarks/gpu_against_do_bench.py CACHE DOSSIER... [--ncu]`.

For the first bench case of each dossier: the stopwatch's time, the median of `triton.testing.do_bench` over replays of
the same plan on one input set, and with `--ncu` the duration that Nsight Compute reads, kernels of a plan summed.

They do not measure the same thing. do_bench empties the cache by writing 256 MB, whose write-back falls into the timed
kernel, and counts the start of a launch; ncu counts one kernel alone, whose results may stay in the cache.
Ours is the time of one set in a steady stream of them: gaps and write-back included, nobody else's write-back.
"""

import argparse
import csv
import io
import statistics
import subprocess
import sys
from pathlib import Path

import msgspec
import torch
from triton.testing import do_bench

from tilewright.evaluator.dossier import Dossier
from tilewright.evaluator.gpu.bench import Bench
from tilewright.evaluator.gpu.candidate_work import CandidateWork
from tilewright.evaluator.gpu.captured import Captured
from tilewright.evaluator.gpu.context import DeviceContext
from tilewright.evaluator.gpu.driver import synchronize
from tilewright.evaluator.gpu.stopwatch import Stopwatch
from tilewright.evaluator.gpu.timing_schedule import TimingBudget
from tilewright.evaluator.gpu.workplace import WorkplaceSettings, open_stopwatch
from tilewright.evaluator.timing import Timing
from tilewright.tasks.spec import CaseRole

REPLAYS = 7
METRIC = "gpu__time_duration.sum"


def open_work(path: Path, context: DeviceContext, stopwatch: Stopwatch) -> CandidateWork:
    """Load a dossier's first bench case."""
    dossier = msgspec.msgpack.decode(path.read_bytes(), type=Dossier)
    context.adopt(dossier.binaries)
    bench: Bench = stopwatch.benches.prepare(dossier.task, dossier.task.cases_of(CaseRole.BENCH)[0])
    return CandidateWork(dossier, bench, context, stopwatch.benches.stream)


def replay_only(path: Path, settings: WorkplaceSettings) -> None:
    """Replay one set a few times; the profiler that started this process looks at it."""
    with DeviceContext() as context, open_work(path, context, open_stopwatch(settings, context.device)) as work:
        torch.cuda.cudart().cudaProfilerStart()
        for _ in range(REPLAYS):
            work.instances[0].replay()
            synchronize()
        torch.cuda.cudart().cudaProfilerStop()


def profile(path: Path, options: argparse.Namespace) -> float | None:
    """Return the duration that ncu reads, in microseconds; None if it cannot."""
    command = ["ncu", "--csv", "--metrics", METRIC, "--clock-control", "none", "--profile-from-start", "off"]
    command += ["--print-units", "base"]
    command += [sys.executable, __file__, str(options.cache), str(path), "--replay-only"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith('"')]
    rows = [row for row in csv.DictReader(io.StringIO("\n".join(lines))) if row.get("Metric Name") == METRIC]
    if done.returncode or not rows:
        print(f"ncu: {(done.stderr or done.stdout)[-300:]}", file=sys.stderr)
        return None
    values = [float(row["Metric Value"].replace(",", "")) / 1e3 for row in rows]
    kernels = len(values) // REPLAYS
    totals = [sum(values[at : at + kernels]) for at in range(0, kernels * REPLAYS, kernels)]
    return statistics.median(totals[1:])


def compare(path: Path, context: DeviceContext, stopwatch: Stopwatch) -> tuple[float, float]:
    """Return our time and do_bench's, in microseconds."""
    with open_work(path, context, stopwatch) as work:
        timing = stopwatch.time(work, TimingBudget.final())
        if not isinstance(timing, Timing):
            sys.exit(f"{path}: {timing.message}")
        one = work.instances[0]
        # from a graph: launched one by one, several kernels would be timed with the host's gaps between them
        with torch.cuda.stream(work.stream):
            graph = Captured(lambda: one.replay(work.stream.cuda_stream), work.stream)
            other_us = float(do_bench(graph.replay, warmup=50, rep=300, return_mode="median")) * 1e3
        return timing.candidate.median_us, other_us


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("dossiers", type=Path, nargs="+")
    parser.add_argument("--target", default="cuda:90")
    parser.add_argument("--ncu", action="store_true")
    parser.add_argument("--replay-only", action="store_true")
    options = parser.parse_args()
    settings = WorkplaceSettings(target=options.target, cache=str(options.cache), baselines=("eager",))
    if options.replay_only:
        replay_only(options.dossiers[0], settings)
        return
    print(f"{'kernel':28} {'ours us':>9} {'do_bench':>9} {'ours/it':>8} {'ncu':>9} {'ours/it':>8}")
    with DeviceContext() as context:
        stopwatch = open_stopwatch(settings, context.device)
        for path in options.dossiers:
            ours_us, other_us = compare(path, context, stopwatch)
            stopwatch.benches.forget()
            ncu_us = profile(path, options) if options.ncu else None
            against = f"{ncu_us:9.2f} {ours_us / ncu_us:8.3f}" if ncu_us is not None else f"{'-':>9} {'-':>8}"
            print(f"{path.stem:28} {ours_us:9.2f} {other_us:9.2f} {ours_us / other_us:8.3f} {against}", flush=True)


if __name__ == "__main__":
    main()
