"""Tasks in KernelBench's format, each with a right kernel and a subtly wrong one as an LLM would write them.

The first lines of a wrong kernel name its fault and the endings that count, such as `# expect: WRONG_VALUES smoke`.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tilewright.evaluator.judge import Judge
from tilewright.evaluator.judge_settings import JudgeSettings
from tilewright.evaluator.recording import Recording
from tilewright.evaluator.report import Report
from tilewright.tasks.candidate import Candidate, Origin
from tilewright.tasks.loading import load_task
from tilewright.tasks.spec import CaseRole, KernelTask

HERE = Path(__file__).parent
NAMES = tuple(path.stem for path in sorted((HERE / "tasks").glob("*.py")))


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge(JudgeSettings(target="cuda:90", seed=0)) as judge:
        yield judge


@cache
def kernel_task(name: str) -> KernelTask:
    return load_task(HERE / "tasks" / f"{name}.py")


def judge_kernel(judge: Judge, name: str, kind: str) -> Report:
    task = kernel_task(name)
    source = (HERE / "kernels" / f"{name}_{kind}.py").read_text()
    candidate = Candidate(task_id=task.id, source=source, knobs=(), origin=Origin(operator="test"))
    recording = judge.record(task, candidate)
    assert isinstance(recording, Recording), recording
    return judge.judge(task, candidate, recording)


@pytest.mark.parametrize("name", NAMES)
def test_a_plain_kernelbench_file_is_admitted_and_keeps_its_own_sizes_as_the_timed_case(
    name: str, judge: Judge
) -> None:
    task = kernel_task(name)
    assert [case.sizes for case in task.cases_of(CaseRole.BENCH)]
    assert judge.admit(task).reason == ""


@pytest.mark.parametrize("name", NAMES)
def test_a_right_kernel_passes_all_five_stages_and_gets_a_time(name: str, judge: Judge) -> None:
    report = judge_kernel(judge, name, "right")
    assert report.failure is None
    assert report.is_right
    assert report.timing


@pytest.mark.parametrize("name", NAMES)
def test_a_subtly_wrong_kernel_fails_where_its_fault_shows_first(name: str, judge: Judge) -> None:
    source = (HERE / "kernels" / f"{name}_wrong.py").read_text()
    header = dict(line[2:].split(": ", 1) for line in source.splitlines()[:2])
    failure = judge_kernel(judge, name, "wrong").failure
    assert failure is not None
    assert f"{failure.kind.name} {failure.stage}" in header["expect"].split(" | ")
