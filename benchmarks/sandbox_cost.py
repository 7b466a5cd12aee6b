"""What the sandbox costs a candidate: `python benchmarks/sandbox_cost.py [REQUESTS]`.

Prints milliseconds of a request that does nothing in a zygote with torch and triton loaded (fork, lock-down, channel,
exit), beside those of a bare fork of a process of the same size; the difference is the price of confinement.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import triton

from tilewright.sandbox import memory
from tilewright.sandbox.limits import Limits
from tilewright.sandbox.mode import ZygoteMode
from tilewright.sandbox.protocol import Answer, Record, Recorded, Request
from tilewright.sandbox.zygote import Zygote

NOTHING = Record(source="", knobs=(), target="cuda:90", cases=())


def warm(_mode: ZygoteMode) -> tuple[int, ...]:
    """Load what a real zygote loads; the imports above did."""
    torch.zeros(1)
    return ()


def answer(_request: Request, emit: Callable[[Answer], None]) -> None:
    """Do nothing."""
    emit(Recorded(plans=(), ptx=(), knobs=()))


def fork_bare() -> None:
    """Fork a process that ends at once, and wait for it."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def time_ms(work: Callable[[], object]) -> float:
    """Return the milliseconds that one run takes."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def main() -> None:
    """Measure, taking turns so that a loaded machine loads both alike, and print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    memory.collapse()  # as a zygote does: forks of both are alike
    with Zygote(ZygoteMode.COMPILE, Limits(), answering=str(Path(__file__).resolve())) as zygote:
        pairs = [(time_ms(fork_bare), time_ms(lambda: zygote.ask(NOTHING))) for _ in range(count + 5)][5:]
        layers = ", ".join(zygote.confinement().active)
    print(
        f"torch {torch.__version__}, triton {triton.__version__}, {os.cpu_count()} CPUs, n = {count}; layers: {layers}"
    )
    print(f"{'':36} {'p10':>8} {'median':>8} {'p90':>8} ms")
    rows = {
        "bare fork and exit": [bare for bare, _ in pairs],
        "confined request that does nothing": [confined for _, confined in pairs],
        "difference: confinement and protocol": [confined - bare for bare, confined in pairs],
    }
    for name, times in rows.items():
        deciles = statistics.quantiles(times, n=10)
        print(f"{name:36} {deciles[0]:8.2f} {statistics.median(times):8.2f} {deciles[8]:8.2f}")


if __name__ == "__main__":
    main()
