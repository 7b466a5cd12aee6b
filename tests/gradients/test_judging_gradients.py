"""The example that asks for gradients, a right kernel for it, and subtly wrong ones that fail where they must."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs
from wrong_kernels import RIGHT, WRONG, Wrong

from tilewright.evaluator.floor import compulsory_bytes
from tilewright.evaluator.judge import Judge
from tilewright.evaluator.judge_settings import JudgeSettings
from tilewright.evaluator.recording import Recording
from tilewright.evaluator.report import Report, Verdict
from tilewright.sandbox.failure import Failure
from tilewright.tasks.candidate import Candidate, Origin
from tilewright.tasks.loading import load_task
from tilewright.tasks.spec import CaseRole, KernelTask
from tilewright.tasks.suite import find_task_files

EXAMPLE = Path(__file__).parents[2] / "examples" / "rms_norm_backward.py"


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge(JudgeSettings(target="cuda:90", seed=0)) as judge:
        yield judge


@pytest.fixture(scope="module")
def task() -> KernelTask:
    return load_task(EXAMPLE)


def judge_source(judge: Judge, task: KernelTask, source: str) -> Report | Failure:
    candidate = Candidate(task_id=task.id, source=source, knobs=(), origin=Origin(operator="test"))
    recording = judge.record(task, candidate)
    return judge.judge(task, candidate, recording) if isinstance(recording, Recording) else recording


@pytest.fixture(scope="module")
def right(judge: Judge, task: KernelTask) -> Report:
    report = judge_source(judge, task, RIGHT)
    assert isinstance(report, Report), report
    return report


def test_the_example_is_admitted_and_zero_gradients_fail_in_every_case(judge: Judge, task: KernelTask) -> None:
    admission = judge.admit(task)
    assert admission.reason == ""
    twin = next(one for one in admission.twins if one.case == "zeros for the gradients")
    assert twin.verdict is Verdict.FAILED


def test_a_right_forward_and_backward_passes_all_five_stages(right: Report) -> None:
    assert right.failure is None
    assert right.is_right


def test_forward_and_backward_are_timed_together(right: Report, task: KernelTask) -> None:
    (timing,) = right.timing
    (case,) = task.cases_of(CaseRole.BENCH)
    assert {term.name.split()[0] for term in timing.terms} >= {"0:_forward", "1:_backward"}
    matrix, row = 4096 * 4096 * 2, 4096 * 2
    assert compulsory_bytes(case) == 4 * matrix + 2 * row
    eager = timing.baselines[0].span.median_us
    assert eager > 2 * timing.candidate.median_us


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.name)
def test_a_wrong_kernel_fails_where_its_fault_shows_first(wrong: Wrong, judge: Judge, task: KernelTask) -> None:
    ended = judge_source(judge, task, wrong.source)
    failure = ended.failure if isinstance(ended, Report) else ended
    assert failure is not None
    assert f"{failure.kind.name} {failure.stage}" in wrong.endings


def test_a_failure_names_the_gradient_that_is_wrong(judge: Judge, task: KernelTask) -> None:
    ended = judge_source(judge, task, WRONG[0].source)
    assert isinstance(ended, Report)
    assert ended.failure is not None
    assert ended.failure.message.startswith("gradient of weight[")


def test_the_same_file_serves_a_task_without_gradients(judge: Judge) -> None:
    (path,) = (one for one in find_task_files("core") if one.stem == "rms_norm")
    whole = load_task(path)
    # a few cases are enough: the numbers of rms norm's forward are tested elsewhere
    cases = tuple(case for case in whole.cases if case.role is CaseRole.BENCH or case.name.startswith("smoke-4x64"))
    report = judge_source(judge, structs.replace(whole, cases=cases), RIGHT)
    assert isinstance(report, Report), report
    assert report.failure is None
    assert {term.name.split()[0] for timing in report.timing for term in timing.terms} == {"0:_forward"}
