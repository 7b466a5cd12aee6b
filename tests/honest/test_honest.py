"""Honest kernels, written in many styles, are not refused: neither by the gate nor by the interpreted stages.

All of them run on a GPU (`tests/gpu`); here one of each task runs, another one each day.
"""

import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest

from tilewright.evaluator.sandboxes import Sandboxes
from tilewright.evaluator.stages import run_stages
from tilewright.evaluator.static import check
from tilewright.sandbox.limits import Limits
from tilewright.tasks.candidate import Candidate, Origin
from tilewright.tasks.loading import load_task
from tilewright.tasks.suite import find_task_files

KERNELS = tuple(sorted((Path(__file__).parent / "kernels").glob("*.py")))
FILES = {path.stem: path for path in find_task_files("core")}
DAY = datetime.datetime.now(tz=datetime.UTC).date().toordinal()
SEED = 0


def kernels_of(title: str) -> tuple[Path, ...]:
    return tuple(path for path in KERNELS if path.stem.startswith(f"{title}_"))


TODAY = tuple((title, kernels_of(title)[DAY % len(kernels_of(title))]) for title in sorted(FILES))


@pytest.fixture(scope="module")
def sandboxes() -> Iterator[Sandboxes]:
    made = Sandboxes(Limits(allow_unconfined=True))
    yield made
    made.close()


def test_every_kernel_belongs_to_one_task_and_every_task_has_several() -> None:
    counts = {title: len(kernels_of(title)) for title in FILES}
    assert sum(counts.values()) == len(KERNELS) >= 60
    assert min(counts.values()) >= 6


@pytest.mark.parametrize("path", KERNELS, ids=lambda path: path.stem)
def test_the_gate_and_the_lint_find_nothing_in_an_honest_kernel(path: Path) -> None:
    outcome = check(path.read_text(encoding="utf-8"))
    assert outcome.failure is None
    assert outcome.findings == ()


@pytest.mark.parametrize(("title", "path"), TODAY, ids=lambda value: getattr(value, "stem", value))
def test_an_honest_kernel_passes_the_five_interpreted_stages(title: str, path: Path, sandboxes: Sandboxes) -> None:
    task = load_task(FILES[title])
    source = path.read_text(encoding="utf-8")
    candidate = Candidate(task_id=task.id, source=source, knobs=(), origin=Origin(operator="test"))
    outcome = run_stages(task, candidate, "cuda:90", sandboxes, SEED)
    assert outcome.failure is None, outcome.failure
    assert [stage.verdict for stage in outcome.stages] == ["passed"] * 5
