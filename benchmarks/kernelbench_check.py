"""Load every task of a folder or KernelBench checkout, try its twins and count what came of it.

Usage: python benchmarks/kernelbench_check.py DIR

Prints one line a file as it is done, then how many were admitted, refused for each reason, or could not be loaded.
"""

import re
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tilewright.evaluator.admission import admit_in_worker
from tilewright.tasks.errors import TaskError
from tilewright.tasks.loading import load_task
from tilewright.tasks.suite import find_task_files

PARALLEL = 2
TIME_LIMIT_S = 300.0
SEED = 0


def examine(path: Path) -> tuple[str, str]:
    """Return what came of a file, such as `admitted`, and one line about it."""
    start_s = time.perf_counter()
    try:
        task = load_task(path, TIME_LIMIT_S)
    except TaskError as error:
        return "could not load", str(error)
    loaded_s = time.perf_counter() - start_s
    try:
        admission = admit_in_worker(task, SEED, TIME_LIMIT_S)
    except TaskError as error:
        return "could not judge", str(error)
    spent = f"{len(task.cases)} cases, load {loaded_s:.1f} s, twins {time.perf_counter() - start_s - loaded_s:.1f} s"
    if admission.is_admitted:
        return "admitted", spent
    # the first reason, without its types and case names
    kind = re.split(r" in | \(", admission.reason.split("; ")[0])[0]
    return f"refused: {kind}", f"{admission.reason} ({spent})"


def main() -> int:
    """Examine all files and print the table."""
    paths = find_task_files(sys.argv[1])
    outcomes: Counter[str] = Counter()
    with ThreadPoolExecutor(PARALLEL) as pool:
        for path, (outcome, line) in zip(paths, pool.map(examine, paths), strict=True):
            outcomes[outcome] += 1
            print(f"{path.parent.name}/{path.name}: {outcome}: {line}", flush=True)
    for outcome, count in outcomes.most_common():
        print(f"{count:5}  {outcome}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
