"""What a finished step costs the driver, and how fast an archive is read, by the number of candidates in it.

    python benchmarks/archive_step.py --candidates 1000 10000 100000

Each row fills an archive to a size, then makes `--steps` whole steps: select, plan, propose, finish, each verb
its own transaction. Memory is the process's largest resident set so far.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "archive"))

from archive_samples import begin, fitness_of, key_of, make_candidate, make_task, right_step, wrong_step
from msgspec import structs

from tilewright.archive import store_finish, store_steps
from tilewright.archive.descriptors import all_cells
from tilewright.archive.records import FinishedStep, PlannedStep, StepKey
from tilewright.archive.selection import select
from tilewright.archive.store import Archive, open_archive

TASK = make_task()
CELLS = tuple(cell for cell in all_cells() if cell.endswith(("one-pass", "streaming")))
_BATCH = 500


def main() -> None:
    """Fill, measure and print one row a size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--archive", type=Path, help="keep the archive here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.archive or Path(folder) / "benchmark.db"
        print("candidates  finish p50/p95/max ms   step p50/p95/max ms   step cpu ms  ls ms  best ms  MB disk  MB held")
        with open_archive(path, writable=True) as archive:
            run_id = begin(archive, TASK)
            for size in sorted(arguments.candidates):
                fill(archive, run_id, size)
                print(measure(archive, run_id, path, arguments.steps), flush=True)


def finished_step(key: StepKey) -> FinishedStep:
    """Return the step of a number: one in three is wrong, the others are right in one of 32 cells."""
    candidate = make_candidate(TASK, key.number, operator=("sketch", "tune")[key.number % 2])
    if key.number % 3 == 0:
        return wrong_step(key, candidate)
    cell = CELLS[key.number * 7 % len(CELLS)]
    return right_step(key, candidate, fitness=fitness_of(key.number), cell=cell)


def fill(archive: Archive, run_id: str, size: int) -> None:
    """Add steps until the archive holds that many; many steps a transaction, unlike a driver."""
    start = archive.steps_count(run_id, TASK.id)
    for first in range(start, size, _BATCH):
        with archive.writing() as connection:
            for number in range(first, min(first + _BATCH, size)):
                finished = finished_step(key_of(run_id, TASK, number))
                planned = PlannedStep(key=finished.key, operator=finished.arm, archive_seq=number)
                store_steps.plan(connection, planned)
                store_finish.finish(connection, finished, archive.bins)


def measure(archive: Archive, run_id: str, path: Path, steps: int) -> str:
    """Make whole steps at the end of the archive and return a row of the table."""
    finish_ms, step_ms = [], []
    size = archive.steps_count(run_id, TASK.id)
    made = [finished_step(key_of(run_id, TASK, number)) for number in range(size, size + steps)]
    cpu_s = time.process_time()
    for finished in made:
        begun = time.perf_counter()
        seen = select(archive, finished.key, 7)
        archive.plan_step(
            PlannedStep(key=finished.key, operator=finished.arm, archive_seq=seen.archive_seq, parents=seen.links)
        )
        archive.propose_step(finished.key, finished.candidate)
        middle = time.perf_counter()
        archive.finish_step(structs.replace(finished, wall_s=0.1))
        ended = time.perf_counter()
        finish_ms.append((ended - middle) * 1e3)
        step_ms.append((ended - begun) * 1e3)
    cpu_ms = (time.process_time() - cpu_s) * 1e3 / steps
    with open_archive(path, writable=False) as reader:
        ls_ms = _timed_ms(reader.summaries)
        best_ms = _timed_ms(lambda: reader.best(run_id, TASK.id))
    disk_mb = path.stat().st_size / 1e6
    resident_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    times = f"{_spread(finish_ms)}  {_spread(step_ms)}  {cpu_ms:11.2f}  {ls_ms:5.1f}  {best_ms:7.1f}"
    return f"{size:10,}  {times}  {disk_mb:7,.0f}  {resident_mb:11.0f}"


def _timed_ms(read: Callable[[], object]) -> float:
    begun = time.perf_counter()
    read()
    return (time.perf_counter() - begun) * 1e3


def _spread(values: list[float]) -> str:
    ordered = sorted(values)
    p50, p95 = ordered[len(ordered) // 2], ordered[len(ordered) * 95 // 100]
    return f"{p50:6.2f} /{p95:6.2f} /{ordered[-1]:6.2f}"


if __name__ == "__main__":
    main()
