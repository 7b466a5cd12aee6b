"""Hacks that need no GPU to be caught end as their headers say; the others get past the static gate.

A header names every ending that counts, as in the folder above, and where the hack is caught: `interpreter`, or `gpu`
if small cases cannot show what is wrong. Those are judged by `tests/gpu`.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tilewright.evaluator.judge import Judge
from tilewright.evaluator.judge_settings import JudgeSettings
from tilewright.evaluator.report import Report
from tilewright.evaluator.reward import fitness
from tilewright.evaluator.static import check
from tilewright.sandbox.failure import Failure, Stage
from tilewright.tasks.candidate import Candidate, Origin
from tilewright.tasks.loading import load_task
from tilewright.tasks.spec import KernelTask
from tilewright.tasks.suite import find_task_files

HACKS = Path(__file__).parent / "hacks"


class Hack(msgspec.Struct, frozen=True):
    """A hostile candidate, how it must end and where."""

    name: str
    task: str
    source: str
    endings: tuple[str, ...]
    where: str


def read_hack(path: Path) -> Hack:
    source = path.read_text(encoding="utf-8")
    header = dict(line[2:].split(": ", 1) for line in source.splitlines()[:4])
    return Hack(path.stem, header["task"], source, tuple(header["expect"].split(" | ")), header["where"])


ALL = tuple(read_hack(path) for path in sorted(HACKS.glob("*.py")))
HERE = tuple(sorted((hack for hack in ALL if hack.where == "interpreter"), key=lambda hack: hack.task))


def ending_of(outcome: Report | Failure) -> str:
    failure = outcome.failure if isinstance(outcome, Report) else outcome
    if failure is not None:
        return f"{failure.kind.name} {failure.stage}"
    assert isinstance(outcome, Report)
    assert outcome.is_right
    return f"{'RIGHT' if (fitness(outcome) or 0.0) > 0 else 'UNPAID'} {Stage.TIMING}"


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge(JudgeSettings(target="cuda:90", seed=0)) as judge:
        yield judge


@pytest.fixture(scope="module")
def tasks() -> dict[str, KernelTask]:
    wanted = {hack.task for hack in HERE}
    return {path.stem: load_task(path) for path in find_task_files("core") if path.stem in wanted}


def test_every_hack_says_how_it_ends_and_where() -> None:
    assert {hack.where for hack in ALL} == {"interpreter", "gpu"}
    assert all(len(ending.split()) == 2 for hack in ALL for ending in hack.endings)


@pytest.mark.parametrize("hack", ALL, ids=lambda hack: hack.name)
def test_no_syntax_shows_these_hacks(hack: Hack) -> None:
    assert check(hack.source).failure is None


@pytest.mark.parametrize("hack", HERE, ids=lambda hack: hack.name)
def test_a_hack_that_small_cases_show_ends_without_a_gpu(
    hack: Hack, judge: Judge, tasks: dict[str, KernelTask]
) -> None:
    task = tasks[hack.task]
    candidate = Candidate(task_id=task.id, source=hack.source, knobs=(), origin=Origin(operator="test"))
    recording = judge.record(task, candidate)
    outcome = recording if isinstance(recording, Failure) else judge.judge(task, candidate, recording)
    assert ending_of(outcome) in hack.endings, outcome
