"""The judge on a CPU: static gate, recording, five interpreted stages, an estimate; with a GPU, the dossier for it."""

import time
from types import TracebackType
from typing import Self

import msgspec
import torch

from tilewright.evaluator.builder import BuildCache, Builder, build
from tilewright.evaluator.calibration import calibrated
from tilewright.evaluator.costmodel import estimate
from tilewright.evaluator.diagnosis import diagnose
from tilewright.evaluator.dossier import Dossier, Trials
from tilewright.evaluator.dossiers import make_dossier
from tilewright.evaluator.eager_cost import EagerOp, eager_ops
from tilewright.evaluator.environment import describe_environment
from tilewright.evaluator.floor import beyond_floor
from tilewright.evaluator.gpu.settings import GpuSettings
from tilewright.evaluator.gpu.supervisor import GpuSupervisor
from tilewright.evaluator.hardware import find_hardware
from tilewright.evaluator.judge_settings import JudgeSettings
from tilewright.evaluator.large_budget import LargeBudget, footprint_bytes
from tilewright.evaluator.lint import hint_for
from tilewright.evaluator.occasion import Occasion
from tilewright.evaluator.oracle import OracleError
from tilewright.evaluator.preparation import Preparations
from tilewright.evaluator.recording import CaseCount, Recording
from tilewright.evaluator.report import Admission, CaseResult, Environment, Report, StageResult, Verdict
from tilewright.evaluator.sandboxes import Sandboxes
from tilewright.evaluator.stages import run_stages
from tilewright.evaluator.static import check
from tilewright.evaluator.timing import Timing
from tilewright.evaluator.trials import plan_trials
from tilewright.evaluator.twins import admit
from tilewright.sandbox.failure import Failure, FailureKind
from tilewright.sandbox.mode import ZygoteMode
from tilewright.sandbox.protocol import Count, Counted, Refused
from tilewright.sandbox.targets import find_target
from tilewright.tasks.candidate import Candidate
from tilewright.tasks.errors import TaskError
from tilewright.tasks.spec import CaseRole, KernelTask

_ROOM_SHARE = 0.5  # of a GPU's memory that one case of the trials may take; the other half is the baselines'


class Judge:
    """Records and judges candidates for one target; use it as a context manager.

    What it keeps between candidates (compiled kernels, oracle answers, the reference's own cost) saves time and
    never decides a verdict.

    Args:
        settings: What it needs to know.
        sandboxes: Where candidates run, if they are started already; the judge ends them.
    """

    def __init__(self, settings: JudgeSettings, sandboxes: Sandboxes | None = None) -> None:
        self._settings = settings
        self._target = find_target(settings.target)
        self._hardware = calibrated(find_hardware(settings.target), settings.calibration)
        self._sandboxes = sandboxes or Sandboxes(settings.limits)
        self._builder = Builder(target=self._target, ask=self._sandboxes.record, cache=BuildCache())
        self._preparations = Preparations()
        self._environment: Environment | None = None
        self._eager: dict[str, tuple[tuple[EagerOp, ...], ...]] = {}
        self._trials: dict[tuple[str, int], Trials] = {}
        torch.set_num_threads(1)  # a place is one CPU; more threads only take it from the others

    def __enter__(self) -> Self:
        """Return the judge itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the sandboxes."""
        self._sandboxes.close()

    def environment(self) -> Environment:
        """Describe where candidates are judged."""
        if self._environment is None:
            confinement = self._sandboxes.zygote(ZygoteMode.COMPILE).confinement()
            found = describe_environment(self._target, confinement)
            self._environment = msgspec.structs.replace(found, device=self._hardware.device)
        return self._environment

    def admit(self, task: KernelTask) -> Admission:
        """Tell whether the task can tell right from wrong, and whether its bench cases fit the GPU.

        Raises:
            TaskError: The reference cannot answer its own cases.
        """
        reason = self._lack_of_room(task)
        if reason:
            return Admission(task_id=task.id, is_admitted=False, twins=(), reason=reason)
        try:
            return admit(task, self._settings.seed, self._preparations)
        except OracleError as error:
            raise TaskError(f"expected the reference of {task.title} to answer its own cases; {error}") from error

    def record(self, task: KernelTask, candidate: Candidate) -> Recording | Failure:
        """Check the source, record its launches for every bench case and compile them."""
        gate = check(candidate.source)
        if gate.failure is not None:
            return gate.failure
        outcome = build(task, candidate, self._builder)
        if isinstance(outcome, Failure) and outcome.kind is FailureKind.COMPILE_ERROR and not outcome.hint:
            return msgspec.structs.replace(outcome, hint=hint_for(candidate.source, outcome))
        return outcome

    def judge(self, task: KernelTask, candidate: Candidate, recording: Recording) -> Report:
        """Run the five stages, then estimate the time of each bench case."""
        return self._judge(task, candidate, recording, self._settings.seed)

    def confirm(
        self, task: KernelTask, candidate: Candidate, recording: Recording, occasion: Occasion = Occasion.FINAL
    ) -> Report:
        """Judge again with other secret cases and other inputs."""
        return self._judge(task, candidate, recording, occasion.seed(self._settings.seed))

    def prepare(
        self, task: KernelTask, candidate: Candidate, recording: Recording, occasion: Occasion = Occasion.SEARCH
    ) -> Dossier | Report:
        """Run the interpreted stages, then gather what a judge with a GPU needs.

        Args:
            task: What is asked.
            candidate: The answer to judge.
            recording: Its bench cases.
            occasion: Why it is judged, which decides the secret cases and all inputs.

        Returns:
            The dossier; or the final report, of a candidate that is refused already.
        """
        seed = occasion.seed(self._settings.seed)
        started_s = time.monotonic()
        report = self._judge(task, candidate, recording, seed)
        if report.failure is not None and report.failure.kind is not FailureKind.BEYOND_FLOOR:
            return report  # an estimate beyond the floor is for the clock to decide
        dossier = make_dossier(task, candidate, recording, self._plan_trials(task, seed), self._builder)
        if isinstance(dossier, Failure):
            return _refuse(report, dossier, time.monotonic() - started_s)
        return msgspec.structs.replace(dossier, interpreted=report.stages, counts=report.counts, estimate=report.timing)

    def estimate(self, task: KernelTask, candidate: Candidate, recording: Recording) -> tuple[Timing, ...] | Failure:
        """Count and price a candidate's launches without checking its answers."""
        counted = self._count(task, candidate)
        return counted if isinstance(counted, Failure) else self._estimate(task, recording, counted)

    def _judge(self, task: KernelTask, candidate: Candidate, recording: Recording, seed: int) -> Report:
        start_s = time.monotonic()
        outcome = run_stages(task, candidate, self._target.name, self._sandboxes, seed, preparations=self._preparations)
        failure: Failure | None = outcome.failure
        counts: tuple[CaseCount, ...] = ()
        timing: tuple[Timing, ...] = ()
        if failure is None:
            counted = self._count(task, candidate)
            if isinstance(counted, Failure):
                failure = counted
            else:
                counts, timing = counted, self._estimate(task, recording, counted)
                failure = beyond_floor(timing)
        return Report(
            candidate_id=candidate.id,
            environment_id=self.environment().id,
            stages=outcome.stages,
            timing=timing,
            counts=counts,
            profile=diagnose(recording, counts, timing, self._target) if timing else None,
            failure=failure,
            judge_s=time.monotonic() - start_s,
        )

    def _plan_trials(self, task: KernelTask, seed: int) -> Trials:
        """Return the trials of a task, which are the same for all its candidates."""
        if (task.id, seed) not in self._trials:
            room = self._settings.device_bytes
            budget = LargeBudget(bytes=min(LargeBudget().bytes, int(room * _ROOM_SHARE))) if room else LargeBudget()
            self._trials[task.id, seed] = plan_trials(task, seed, budget)
        return self._trials[task.id, seed]

    def _lack_of_room(self, task: KernelTask) -> str:
        """Return why a task's bench cases do not fit the GPUs that measure; empty if they do, or none measures."""
        room = self._settings.device_bytes
        for case in task.cases_of(CaseRole.BENCH):
            if room and footprint_bytes(case) > room:
                needed, has = footprint_bytes(case) / 2**30, room / 2**30
                return f"case {case.name} takes about {needed:.0f} GiB to judge, and the GPU has {has:.0f} GiB"
        return ""

    def _count(self, task: KernelTask, candidate: Candidate) -> tuple[CaseCount, ...] | Failure:
        request = Count(
            source=candidate.source,
            knobs=candidate.knobs,
            target=self._target.name,
            cases=task.cases_of(CaseRole.BENCH),
        )
        answers = self._sandboxes.ask(ZygoteMode.INTERPRET, request)
        if isinstance(answers[-1], Refused):
            return answers[-1].failure
        return tuple(CaseCount(case=one.case, launches=one.launches) for one in answers if isinstance(one, Counted))

    def _estimate(self, task: KernelTask, recording: Recording, counts: tuple[CaseCount, ...]) -> tuple[Timing, ...]:
        if task.id not in self._eager:
            self._eager[task.id] = tuple(eager_ops(task, case) for case in task.cases_of(CaseRole.BENCH))
        return estimate(task, recording, counts, self._eager[task.id], self._target, self._hardware)


def _refuse(report: Report, failure: Failure, judge_s: float) -> Report:
    """Return the report of a candidate that passed the interpreted stages and could not be recorded for all trials."""
    failed = CaseResult(case=failure.case or "all", verdict=Verdict.FAILED, note=failure.message)
    stages: list[StageResult] = []
    for one in report.stages:
        is_last = one.stage is failure.stage
        stages.append(msgspec.structs.replace(one, cases=(*one.cases, failed)) if is_last else one)
        if is_last:
            break
    return msgspec.structs.replace(
        report, stages=tuple(stages), timing=(), profile=None, failure=failure, judge_s=judge_s
    )


def judge_once(
    task: KernelTask, candidate: Candidate, settings: JudgeSettings, devices: tuple[str, ...] = ()
) -> Report:
    """Record and judge one candidate in sandboxes of its own, and on the first of the GPUs if there is one.

    Raises:
        UnknownTargetError: No such target.
        ConfinementError: This machine lacks a protection.
        DeviceGoneError: The GPU cannot be used.
    """
    sandboxes = Sandboxes(settings.limits)
    sandboxes.warm()
    with Judge(settings, sandboxes) as judge:
        recording = judge.record(task, candidate)
        if isinstance(recording, Failure):
            return Report(
                candidate_id=candidate.id,
                environment_id=judge.environment().id,
                stages=(),
                timing=(),
                counts=(),
                profile=None,
                failure=recording,
                judge_s=0.0,
            )
        if not devices:
            return judge.judge(task, candidate, recording)
        prepared = judge.prepare(task, candidate, recording)
        if isinstance(prepared, Report):
            return prepared
        on_gpu = GpuSettings(recorder=judge.environment(), cache=settings.cache)
        with GpuSupervisor(devices[0], on_gpu) as supervisor:
            return supervisor.judge(prepared)
