"""Candidates a second on one GPU, and where the time goes: `python benchmarks/gpu_rate.py CACHE DOSSIER...`.

Each dossier is judged again and again in one process, as the search does: all stages on small and large cases,
influence, timing with the search's budget, steps and left-out kernels. The first round (kernels loaded, baselines
made, oracle answered) is shown apart. Recording is not part of it.
"""

import argparse
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path

import msgspec
import torch

from tilewright.evaluator.dossier import Dossier
from tilewright.evaluator.gpu.candidate_work import CandidateWork
from tilewright.evaluator.gpu.context import DeviceContext
from tilewright.evaluator.gpu.examination import examine
from tilewright.evaluator.gpu.integrity import find_idle_kernel, measure_steps
from tilewright.evaluator.gpu.stopwatch import Stopwatch
from tilewright.evaluator.gpu.timing_schedule import TimingBudget
from tilewright.evaluator.gpu.workplace import WorkplaceSettings, open_stopwatch
from tilewright.evaluator.timing import Timing
from tilewright.tasks.spec import CaseRole

PARTS = ("stages", "load", "timing", "steps", "left out", "release")


class Parts:
    """Seconds by part of judging, the device waited for at each border."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._last_s = time.perf_counter()

    def end(self, part: str) -> None:
        """Count the time since the last border as a part."""
        torch.cuda.synchronize()
        now_s = time.perf_counter()
        self.seconds[part] += now_s - self._last_s
        self._last_s = now_s


def judge(dossier: Dossier, context: DeviceContext, stopwatch: Stopwatch, *, bench_cases: int) -> Parts:
    """Judge one candidate."""
    parts = Parts()
    context.adopt(dossier.binaries)
    examination = examine(dossier, context)
    parts.end("stages")
    if examination.failure is not None:
        sys.exit(f"{dossier.task.title}: {examination.failure}")
    for case in dossier.task.cases_of(CaseRole.BENCH)[:bench_cases]:
        bench = stopwatch.benches.prepare(dossier.task, case)
        work = CandidateWork(dossier, bench, context, stopwatch.benches.stream)
        parts.end("load")
        timing = stopwatch.time(work, TimingBudget.search())
        if not isinstance(timing, Timing):
            sys.exit(f"{dossier.task.title}: {timing.message}")
        parts.end("timing")
        measure_steps(work, timing.candidate.median_us)
        parts.end("steps")
        find_idle_kernel(work)
        parts.end("left out")
        work.release()
        parts.end("release")
    return parts


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("dossiers", type=Path, nargs="+")
    parser.add_argument("--target", default="cuda:90")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--bench-cases", type=int, default=99, help="bench cases that are timed, the first ones")
    parser.add_argument("--baselines", nargs="+", default=["eager"])
    options = parser.parse_args()
    settings = WorkplaceSettings(target=options.target, cache=str(options.cache), baselines=tuple(options.baselines))
    print(f"{torch.cuda.get_device_name(0)}, torch {torch.__version__}; ms a candidate, median of {options.rounds}")
    print(f"{'candidate':28} {'first s':>8} {'a second':>9} {'ms':>8} " + " ".join(f"{one:>9}" for one in PARTS))
    with DeviceContext() as context:
        stopwatch = open_stopwatch(settings, context.device)
        for path in options.dossiers:
            dossier = msgspec.msgpack.decode(path.read_bytes(), type=Dossier)
            first = judge(dossier, context, stopwatch, bench_cases=options.bench_cases)
            rounds = [
                judge(dossier, context, stopwatch, bench_cases=options.bench_cases) for _ in range(options.rounds)
            ]
            totals = [sum(one.seconds.values()) for one in rounds]
            columns = " ".join(f"{statistics.median(one.seconds[part] for one in rounds) * 1e3:9.1f}" for part in PARTS)
            first_s, middle_s = sum(first.seconds.values()), statistics.median(totals)
            print(f"{path.stem:28} {first_s:8.2f} {1 / middle_s:9.1f} {middle_s * 1e3:8.1f} {columns}", flush=True)


if __name__ == "__main__":
    main()
