"""Load every task of a KernelBench checkout and count what came of it.

Usage: python benchmarks/kernelbench_load.py DIR [--list]

Prints, for each level, how many files loaded with small cases for the interpreter, loaded with large ones
only, or were refused; with `--list` one line a file.
"""

import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tilewright.tasks.errors import TaskError
from tilewright.tasks.loading import load_task
from tilewright.tasks.spec import Case, CaseRole, KernelTask, TensorSpec
from tilewright.tasks.suite import find_task_files

MOST_SMALL_ELEMENTS = 20_000
MOST_SMALL_PARAMETERS = 100_000
PARALLEL = 2
TIME_LIMIT_S = 120.0


def is_small(case: Case) -> bool:
    """Return whether the interpreter can run a case in some tens of milliseconds."""
    elements = sum(spec.elements for spec in (*case.inputs, *case.outputs) if isinstance(spec, TensorSpec))
    parameters = sum(one.tensor.elements for one in case.parameters)
    return elements <= MOST_SMALL_ELEMENTS and parameters <= MOST_SMALL_PARAMETERS


def classify(task: KernelTask) -> str:
    """Return whether the cases of every role but `bench` fit the interpreter."""
    small = [case for case in task.cases if case.role is not CaseRole.BENCH]
    return "small cases" if all(is_small(case) for case in small) else "large cases only"


def load(path: Path) -> tuple[Path, str, str]:
    """Return the path, what came of it, and one line about it."""
    start = time.perf_counter()
    try:
        task = load_task(path, TIME_LIMIT_S)
    except TaskError as error:
        return path, "refused", str(error)
    roles = Counter(case.role.value for case in task.cases)
    counts = " ".join(f"{role} {roles[role]}" for role in CaseRole)
    values = len(task.domain.values)
    return path, classify(task), f"{time.perf_counter() - start:.1f} s, {task.family}, {counts}, values {values}"


def main() -> int:
    """Load all files and print the table."""
    paths = find_task_files(sys.argv[1])
    with ThreadPoolExecutor(PARALLEL) as pool:
        results = []
        for path, outcome, line in pool.map(load, paths):
            results.append((path, outcome))
            if "--list" in sys.argv or outcome == "refused":
                print(f"{path.parent.name}/{path.name}: {outcome}: {line}", flush=True)
    outcomes = ("small cases", "large cases only", "refused")
    print(f"{'':10}" + "".join(f"{outcome:>18}" for outcome in outcomes))
    for level in dict.fromkeys(path.parent.name for path in paths):
        counts = Counter(outcome for path, outcome in results if path.parent.name == level)
        print(f"{level:10}" + "".join(f"{counts[outcome]:>18}" for outcome in outcomes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
