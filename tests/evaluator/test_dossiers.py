"""Dossiers: every case of the trials has a plan, every launch a binary, and a fault is placed where its case runs."""

from dataclasses import dataclass, field

import pytest
from archive_samples import make_candidate, make_recording, make_task
from msgspec import structs

from tilewright.evaluator.builder import BuildCache, Builder
from tilewright.evaluator.dossier import Dossier, Trials
from tilewright.evaluator.dossiers import make_dossier
from tilewright.evaluator.draws import Draw, StageDraws
from tilewright.evaluator.facts import BuiltKernel
from tilewright.evaluator.recording import Recording
from tilewright.sandbox.failure import Failure, FailureKind, Stage
from tilewright.sandbox.protocol import Answer, Finished, Record, Recorded, Refused
from tilewright.sandbox.targets import find_target
from tilewright.tasks.candidate import Candidate
from tilewright.tasks.spec import Case, CaseRole

TASK = make_task()
CANDIDATE = make_candidate(TASK, 0)
TARGET = find_target("cuda:90")
(SMALL,) = TASK.cases_of(CaseRole.SMOKE)
BENCH = TASK.cases_of(CaseRole.BENCH)


def _named(name: str) -> Case:
    return structs.replace(SMALL, name=name, role=CaseRole.SHAPE)


def _trials(*shapes: Case) -> Trials:
    def draws(*cases: Case) -> tuple[Draw, ...]:
        return tuple(Draw(case=case, seed=1) for case in cases)

    small = (
        StageDraws(stage=Stage.SMOKE, draws=draws(SMALL)),
        StageDraws(stage=Stage.SHAPES, draws=draws(*shapes)),
    )
    return Trials(seed=1, small=small, large=(StageDraws(stage=Stage.SHAPES, draws=draws(*BENCH)),))


@dataclass
class Recorder:
    """Answers with the recording's first plan for every case, and refuses one case if told so."""

    recording: Recording
    refused: str = ""
    changes: bool = False
    requests: list[Record] = field(default_factory=list)

    def __call__(self, request: Record) -> tuple[Answer, ...]:
        self.requests.append(request)
        if self.refused in {case.name for case in request.cases}:
            failure = Failure(
                kind=FailureKind.LAUNCHER_ERROR, stage=Stage.RECORD, case=self.refused, message="expected it to run"
            )
            return (Refused(failure=failure),)
        plans = {plan.case: plan for plan in self.recording.plans}
        first = self.recording.plans[0]
        made = tuple(plans.get(case.name, structs.replace(first, case=case.name)) for case in request.cases)
        if self.changes:
            made = tuple(structs.replace(plan, outputs=()) for plan in made)
        return Recorded(plans=made, ptx=(), knobs=()), Finished()


def _make(recorder: Recorder, trials: Trials, candidate: Candidate = CANDIDATE) -> Dossier | Failure:
    cache = BuildCache()
    for build in recorder.recording.builds:
        cache.keep(build.ptx_sha, TARGET, BuiltKernel(build=build, binary=b"ELF"))
    builder = Builder(target=TARGET, ask=recorder, cache=cache)
    return make_dossier(TASK, candidate, recorder.recording, trials, builder)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder(make_recording(CANDIDATE))


def test_every_case_has_a_plan_and_every_launch_a_binary(recorder: Recorder) -> None:
    trials = _trials(_named("shape-a"), _named("shape-b"))
    dossier = _make(recorder, trials)
    assert isinstance(dossier, Dossier)
    shas = {binary.ptx_sha for binary in dossier.binaries}
    for planned in (*trials.small, *trials.large):
        for draw in planned.draws:
            plan = dossier.plan_of(draw.case.name)
            assert {launch.ptx_sha for launch in plan.launches} <= shas
    assert len(shas) == len(dossier.binaries)


def test_plans_of_bench_cases_are_not_kept_twice(recorder: Recorder) -> None:
    dossier = _make(recorder, _trials(_named("shape-a")))
    assert isinstance(dossier, Dossier)
    assert {plan.case for plan in dossier.plans}.isdisjoint(plan.case for plan in dossier.recording.plans)


def test_many_cases_are_recorded_by_several_children_each_once(recorder: Recorder) -> None:
    trials = _trials(*(_named(f"shape-{number}") for number in range(30)))
    assert isinstance(_make(recorder, trials), Dossier)
    asked = [case.name for request in recorder.requests for case in request.cases]
    assert len(recorder.requests) > 1
    assert len(asked) == len(set(asked)) == 30 + 1 + len(BENCH)


def test_a_fault_stands_at_the_stage_of_its_case(recorder: Recorder) -> None:
    recorder.refused = "shape-a"
    failure = _make(recorder, _trials(_named("shape-a")))
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.stage, failure.case) == (FailureKind.LAUNCHER_ERROR, Stage.SHAPES, "shape-a")


def test_a_launcher_that_asks_for_other_work_the_second_time_is_refused(recorder: Recorder) -> None:
    recorder.changes = True
    failure = _make(recorder, _trials(_named("shape-a")))
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.NOT_DETERMINISTIC


def test_two_cases_of_one_name_are_our_mistake(recorder: Recorder) -> None:
    other = structs.replace(_named("shape-a"), init_args="[1]")
    with pytest.raises(ValueError, match="one case named shape-a"):
        _make(recorder, _trials(_named("shape-a"), other))
