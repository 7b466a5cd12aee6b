"""The supervisor with a fake child: whatever ends a child is placed, and the next candidate is judged."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from archive_samples import make_candidate, make_recording, make_task

from tilewright.evaluator.dossier import Dossier, Trials
from tilewright.evaluator.gpu.errors import DeviceGoneError, JudgeFaultError
from tilewright.evaluator.gpu.settings import GpuSettings
from tilewright.evaluator.gpu.supervisor import GpuSupervisor
from tilewright.evaluator.occasion import Occasion
from tilewright.evaluator.report import CaseResult, Place, StageResult, Verdict
from tilewright.evaluator.timing import TimeKind
from tilewright.sandbox.failure import FailureKind, Stage

FAKE = str(Path(__file__).parent / "fake_judge.py")
CASE = "bench-8192x8192-float16"
QUIET_S = 0.4


def dossier(behaviour: str) -> Dossier:
    task = make_task()
    candidate = msgspec.structs.replace(make_candidate(task, 0), source=behaviour)
    passed = (CaseResult(case="small", verdict=Verdict.PASSED),)
    return Dossier(
        task=task,
        candidate=candidate,
        recording=make_recording(candidate),
        trials=Trials(seed=0, small=(), large=()),
        plans=(),
        binaries=(),
        interpreted=tuple(StageResult(stage=stage, cases=passed) for stage in (Stage.SMOKE, Stage.SHAPES, Stage.EDGES)),
    )


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[GpuSupervisor]:
    settings = GpuSettings(work=FAKE, quiet_s=QUIET_S, candidate_s=3.0, cache=str(tmp_path))
    with GpuSupervisor(0, settings) as supervisor:
        yield supervisor


def test_a_child_lives_for_many_candidates(supervisor: GpuSupervisor) -> None:
    assert [supervisor.judge(dossier("right")).judge_s for _ in range(3)] == [1, 2, 3]


def test_a_confirmation_is_made_by_a_child_that_met_no_other_candidate(supervisor: GpuSupervisor) -> None:
    supervisor.judge(dossier("right"))
    assert supervisor.judge(msgspec.msgpack.encode(dossier("right")), Occasion.ELITE).judge_s == 1
    assert supervisor.confirm(dossier("right")).judge_s == 1


def test_a_confirmation_leaves_the_waiting_child_as_it_was(supervisor: GpuSupervisor) -> None:
    supervisor.judge(dossier("right"))
    failure = supervisor.judge(dossier("crash"), Occasion.ELITE).failure
    assert failure is not None
    assert failure.kind is FailureKind.CRASH
    assert supervisor.judge(dossier("right")).judge_s == 2


def test_the_environment_is_measured_and_names_the_device_and_its_driver(supervisor: GpuSupervisor) -> None:
    environment = supervisor.environment()
    assert (environment.kind, environment.device, environment.driver) == (TimeKind.MEASURED, "Fake GPU", "1.2")
    assert supervisor.judge(dossier("right")).environment_id == environment.id


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        ("refused_and_broken", FailureKind.CRASH),
        ("broken_at_the_end", FailureKind.OUT_OF_BOUNDS),
        ("broken_midway", FailureKind.OUT_OF_BOUNDS),
        ("hang", FailureKind.TIME_LIMIT),
        ("talk_forever", FailureKind.TIME_LIMIT),
        ("crash", FailureKind.CRASH),
        ("print_and_die", FailureKind.CRASH),
    ],
)
def test_an_end_by_the_candidate_is_its_failure_and_the_next_child_comes_up(
    supervisor: GpuSupervisor, behaviour: str, kind: FailureKind
) -> None:
    report = supervisor.judge(dossier(behaviour))
    assert report.failure is not None
    assert (report.failure.kind, report.failure.case) == (kind, CASE)
    assert not report.is_right
    assert supervisor.judge(dossier("right")).judge_s == 1


def test_the_failure_names_the_kernel_and_the_report_keeps_the_rows_before_it(supervisor: GpuSupervisor) -> None:
    report = supervisor.judge(dossier("crash"))
    assert report.failure is not None
    assert "in kernel softmax_kernel" in report.failure.message
    assert [stage.stage for stage in report.stages] == [Stage.SMOKE, Stage.SHAPES]
    assert (report.stages[1].cases[-1].place, report.stages[1].cases[-1].verdict) == (Place.GPU, Verdict.FAILED)


def test_the_end_of_what_was_printed_is_kept(supervisor: GpuSupervisor) -> None:
    report = supervisor.judge(dossier("print_and_die"))
    assert report.failure is not None
    assert "last words" in report.failure.detail


def test_a_hang_costs_its_limit_and_less_than_a_second(supervisor: GpuSupervisor) -> None:
    supervisor.judge(dossier("right"))
    started = time.monotonic()
    supervisor.judge(dossier("hang"))
    assert time.monotonic() - started < QUIET_S + 1.0


def test_announced_long_work_is_no_hang(supervisor: GpuSupervisor) -> None:
    assert supervisor.judge(dossier("long_work_of_ours")).failure is None


@pytest.mark.parametrize("behaviour", ["fault", "crash_of_ours", "device_trouble", "garbage"])
def test_what_the_candidate_is_not_to_blame_for_is_tried_again_and_then_raised(
    supervisor: GpuSupervisor, behaviour: str
) -> None:
    with pytest.raises(JudgeFaultError, match="got twice"):
        supervisor.judge(dossier(behaviour))
    assert supervisor.judge(dossier("right")).failure is None


def test_a_fault_that_does_not_come_again_costs_nothing(supervisor: GpuSupervisor) -> None:
    assert supervisor.judge(dossier("fault_once")).failure is None


def test_a_device_that_is_lost_with_a_candidate_is_no_verdict_on_it(supervisor: GpuSupervisor, tmp_path: Path) -> None:
    with pytest.raises(DeviceGoneError, match="no CUDA device answers"):
        supervisor.judge(dossier("device_gone"))
    (tmp_path / "gone").unlink()
    assert supervisor.judge(dossier("right")).failure is None


def test_a_killed_zygote_is_replaced(supervisor: GpuSupervisor) -> None:
    supervisor.judge(dossier("right"))
    zygote = supervisor._search._zygote
    assert zygote is not None
    os.kill(zygote.pid, 9)
    assert supervisor.judge(dossier("right")).failure is None


def test_work_that_cannot_be_imported_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("raise ImportError('no torch here')")
    with (
        GpuSupervisor(0, GpuSettings(work=str(broken))) as supervisor,
        pytest.raises(DeviceGoneError, match="no torch here"),
    ):
        supervisor.environment()


def test_a_run_of_200_with_bad_ones_ends_with_200_reports(supervisor: GpuSupervisor) -> None:
    bad = {20: "crash", 50: "broken_midway", 90: "hang", 130: "refused_and_broken", 170: "print_and_die"}
    reports = [supervisor.judge(dossier(bad.get(number, "right"))) for number in range(200)]
    assert {number for number, report in enumerate(reports) if report.failure is not None} == set(bad)


def test_the_supervisor_loads_no_torch() -> None:
    code = (
        "import sys, tilewright.evaluator.gpu.supervisor\n"
        "assert not {'torch', 'triton', 'ray', 'sqlalchemy', 'rich', 'typer', 'cuda'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/")
