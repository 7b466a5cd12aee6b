"""How fast candidates are recorded and judged: `python benchmarks/throughput.py [CANDIDATES] [TASK.py]`.

Prints CPU milliseconds and what they mean for every core: distinct candidates (compiled, assembled), the same ones
again (binary known), and whole judgements of the task's sketches. CPU time, so that other work on the machine does
not count; the children's is the kernel's own account of each zygote.
"""

import os
import platform
import resource
import statistics
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from tilewright.agent.sketches.catalogue import sketches_for
from tilewright.evaluator.builder import BuildCache, Builder, build
from tilewright.evaluator.preparation import Preparations
from tilewright.evaluator.recording import Recording
from tilewright.evaluator.sandboxes import Sandboxes
from tilewright.evaluator.stages import run_stages
from tilewright.sandbox.limits import Limits
from tilewright.sandbox.mode import ZygoteMode
from tilewright.sandbox.protocol import Count
from tilewright.sandbox.targets import find_target
from tilewright.tasks.candidate import Candidate, Origin
from tilewright.tasks.loading import load_task
from tilewright.tasks.spec import CaseRole, KernelTask

TARGET = find_target("cuda:90")
REPOSITORY = Path(__file__).resolve().parents[1]
PARTS = ("trusted", "ptxas", "compiling", "interpreting")
NORM = """
import torch, triton
import triton.language as tl

@triton.jit
def norm(x_ptr, y_ptr, n, eps, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    cols = tl.arange(0, BLOCK)
    mask = cols < n
    x = tl.load(x_ptr + row * n + cols, mask=mask, other=0.0).to(tl.float32)
    mean = tl.sum(x, 0) / n
    centred = tl.where(mask, x - mean, 0.0)
    scale = tl.rsqrt(tl.sum(centred * centred, 0) / n + eps + {number} * 1e-12)
    tl.store(y_ptr + row * n + cols, centred * scale, mask=mask)

class ModelNew(torch.nn.Module):
    def forward(self, x):
        y = torch.empty_like(x)
        block = triton.next_power_of_2(x.shape[1])
        norm[(x.shape[0],)](x, y, x.shape[1], 1e-5, BLOCK=block, num_warps={warps})
        return y
"""
Spent = tuple[float, ...]


class Meter:
    """Reads the CPU seconds of this process, its assemblers and both zygotes with their children."""

    def __init__(self, sandboxes: Sandboxes) -> None:
        self._pids = [sandboxes.zygote(mode).pid for mode in (ZygoteMode.COMPILE, ZygoteMode.INTERPRET)]

    def spend(self, work: Callable[[], object]) -> Spent:
        """Run something and return its CPU milliseconds by part."""
        before = self._read()
        work()
        return tuple(1e3 * (after - earlier) for earlier, after in zip(before, self._read(), strict=True))

    def _read(self) -> Spent:
        own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return (*(one.ru_utime + one.ru_stime for one in own), *(_cpu_s(pid) for pid in self._pids))


def _cpu_s(pid: int) -> float:
    """Return CPU seconds of a process and of the children that it waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def candidate(task: KernelTask, source: str) -> Candidate:
    """Return a candidate without knobs."""
    return Candidate(task_id=task.id, source=source, knobs=(), origin=Origin(operator="benchmark"))


def record(task: KernelTask, one: Candidate, sandboxes: Sandboxes, cache: BuildCache) -> None:
    """Record, compile and assemble; a failure ends the benchmark."""
    outcome = build(task, one, Builder(target=TARGET, ask=sandboxes.record, cache=cache))
    if not isinstance(outcome, Recording):
        raise SystemExit(f"expected a recording, got {outcome}")


def judge(task: KernelTask, one: Candidate, sandboxes: Sandboxes, kept: Preparations) -> None:
    """Run the five stages and count the bench cases."""
    failure = run_stages(task, one, TARGET.name, sandboxes, 0, preparations=kept).failure
    if failure is not None:
        raise SystemExit(f"expected a right candidate, got {failure}")
    cases = task.cases_of(CaseRole.BENCH)
    sandboxes.ask(ZygoteMode.INTERPRET, Count(source=one.source, knobs=(), target=TARGET.name, cases=cases))


def show(name: str, rows: list[Spent]) -> None:
    """Print one line: candidates a second on one core, median and quartiles of the sum, medians of the parts."""
    sums = [sum(row) for row in rows]
    low, median, high = statistics.quantiles(sums, n=4) if len(sums) > 1 else (sums[0],) * 3
    mean = statistics.mean(sums)
    parts = "".join(f"{statistics.mean(row[i] for row in rows):13.1f}" for i in range(len(PARTS)))
    print(f"{name:28}{len(rows):5}{1e3 / mean:9.1f}{median:9.0f}{low:7.0f}{high:7.0f}{parts}")


def main() -> None:
    """Measure and print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    task = load_task(Path(sys.argv[2]) if len(sys.argv) > 2 else REPOSITORY / "examples" / "softmax.py")
    sandboxes, cache, kept = Sandboxes(Limits()), BuildCache(), Preparations()
    meter = Meter(sandboxes)
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, Linux {platform.release()}")
    print(f"Python {platform.python_version()}, torch {version('torch')}, triton {version('triton')}, {TARGET.name}")
    print(f"CPU ms a candidate; parts are means\n{'':28}{'n':>5}{'/s/core':>9}{'median':>9}{'q1':>7}{'q3':>7}", end="")
    print("".join(f"{part:>13}" for part in PARTS))
    norms = [candidate(task, NORM.format(number=i, warps=(4, 8, 16)[i % 3])) for i in range(count)]
    for name in ("norm, distinct", "norm, binary known"):
        show(name, [meter.spend(lambda one=one: record(task, one, sandboxes, cache)) for one in norms])
    right = [candidate(task, sketch.source) for sketch in sketches_for(task.family)]
    for one in right[:1]:
        judge(task, one, sandboxes, kept)  # the oracle answers once a task
    for sketch, one in zip(sketches_for(task.family), right, strict=True):
        recorded = [meter.spend(lambda one=one: record(task, one, sandboxes, BuildCache())) for _ in range(3)]
        judged = [meter.spend(lambda one=one: judge(task, one, sandboxes, kept)) for _ in range(3)]
        show(f"{sketch.name}, record", recorded)
        show(f"{sketch.name}, judge", judged)
    sandboxes.close()


if __name__ == "__main__":
    main()
