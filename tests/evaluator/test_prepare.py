"""What a judge on a CPU hands to one with a GPU, and what it refuses before."""

from collections.abc import Iterator

import pytest

from tilewright.agent.sketches.catalogue import sketches_for
from tilewright.evaluator.dossier import Dossier
from tilewright.evaluator.judge import Judge
from tilewright.evaluator.judge_settings import JudgeSettings
from tilewright.evaluator.occasion import Occasion
from tilewright.evaluator.recording import Recording
from tilewright.evaluator.report import Report, Verdict
from tilewright.evaluator.timing import TimeKind
from tilewright.sandbox.failure import FailureKind, Stage
from tilewright.tasks.candidate import Candidate, Origin
from tilewright.tasks.loading import load_task
from tilewright.tasks.spec import CaseRole, KernelTask
from tilewright.tasks.suite import find_task_files

PLAIN = sketches_for("row_sum")[0].source


@pytest.fixture(scope="module")
def task() -> KernelTask:
    return load_task(next(file for file in find_task_files("core") if file.stem == "row_sum"))


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge(JudgeSettings(target="cuda:90", device_bytes=80 << 30)) as judge:
        yield judge


def _prepare(judge: Judge, task: KernelTask, source: str, occasion: Occasion = Occasion.SEARCH) -> Dossier | Report:
    candidate = Candidate(task_id=task.id, source=source, knobs=(), origin=Origin(operator="test"))
    recording = judge.record(task, candidate)
    assert isinstance(recording, Recording), recording
    return judge.prepare(task, candidate, recording, occasion)


def test_a_dossier_holds_plans_binaries_counts_estimates_and_the_interpreted_stages(
    judge: Judge, task: KernelTask
) -> None:
    dossier = _prepare(judge, task, PLAIN)
    assert isinstance(dossier, Dossier)
    bench = [case.name for case in task.cases_of(CaseRole.BENCH)]
    assert [one.case for one in dossier.counts] == [one.case for one in dossier.estimate] == bench
    assert {one.kind for one in dossier.estimate} == {TimeKind.ESTIMATED}
    assert {one.verdict for one in dossier.interpreted} == {Verdict.PASSED}
    binaries = {one.ptx_sha for one in dossier.binaries}
    for stage in (*dossier.trials.small, *dossier.trials.large):
        for draw in stage.draws:
            assert {launch.ptx_sha for launch in dossier.plan_of(draw.case.name).launches} <= binaries


def test_another_occasion_has_other_secret_cases(judge: Judge, task: KernelTask) -> None:
    first, again = (_prepare(judge, task, PLAIN, occasion) for occasion in (Occasion.SEARCH, Occasion.ELITE))
    assert isinstance(first, Dossier)
    assert isinstance(again, Dossier)
    assert first.trials.seed != again.trials.seed
    assert first.trials.large != again.trials.large


def test_a_launcher_that_gives_up_at_a_secret_size_fails_the_stage_of_that_case(judge: Judge, task: KernelTask) -> None:
    (bench,) = task.cases_of(CaseRole.BENCH)
    rows = next(size.value for size in bench.sizes if size.name == "rows")
    gives_up = f"    def forward(self, x):\n        assert x.shape[0] < 512 or x.shape[0] == {rows}\n"
    report = _prepare(judge, task, PLAIN.replace("    def forward(self, x):\n", gives_up))
    assert isinstance(report, Report)
    assert report.failure is not None
    assert (report.failure.kind, report.failure.stage) == (FailureKind.LAUNCHER_ERROR, Stage.SHAPES)
    assert report.stages[-1].stage is Stage.SHAPES
    assert report.stages[-1].verdict is Verdict.FAILED
    assert report.timing == ()


def test_a_task_that_does_not_fit_the_gpu_is_not_admitted(task: KernelTask) -> None:
    with Judge(JudgeSettings(target="cuda:90", device_bytes=64 << 20)) as small:
        admission = small.admit(task)
    assert not admission.is_admitted
    assert "GiB to judge, and the GPU has 0 GiB" in admission.reason
