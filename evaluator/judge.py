"""The judge of a machine without a GPU: static gate, recording, five interpreted stages, an estimated time."""

import time
from types import TracebackType
from typing import Self

import msgspec
import torch

from tilewright.evaluator.builder import BuildCache, build
from tilewright.evaluator.costmodel import estimate
from tilewright.evaluator.diagnosis import diagnose
from tilewright.evaluator.eager_cost import EagerOp, eager_ops
from tilewright.evaluator.environment import describe_environment
from tilewright.evaluator.floor import beyond_floor
from tilewright.evaluator.hardware import find_hardware
from tilewright.evaluator.judge_settings import JudgeSettings
from tilewright.evaluator.lint import hint_for
from tilewright.evaluator.oracle import OracleError
from tilewright.evaluator.preparation import Preparations
from tilewright.evaluator.recording import CaseCount, Recording
from tilewright.evaluator.report import Admission, Environment, Report, Timing
from tilewright.evaluator.stages import run_stages
from tilewright.evaluator.static import check
from tilewright.evaluator.twins import admit
from tilewright.sandbox.errors import ZygoteLostError
from tilewright.sandbox.failure import Failure, FailureKind
from tilewright.sandbox.limits import Limits
from tilewright.sandbox.mode import ZygoteMode
from tilewright.sandbox.protocol import Answer, Count, Counted, Interpret, Refused, Request
from tilewright.sandbox.targets import find_target
from tilewright.sandbox.zygote import Zygote
from tilewright.tasks.candidate import Candidate
from tilewright.tasks.errors import TaskError
from tilewright.tasks.spec import CaseRole, KernelTask

CONFIRMATION_OFFSET = 1_000_003  # added to the seed: a confirmed candidate has never met these secret cases


class Sandboxes:
    """Two zygotes, each started when it is first needed and once more if it was lost."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._zygotes: dict[ZygoteMode, Zygote] = {}

    def zygote(self, mode: ZygoteMode) -> Zygote:
        """Return the zygote of a mode.

        Raises:
            ZygoteLostError: It could not be started.
            ConfinementError: This machine lacks a protection.
        """
        if mode not in self._zygotes:
            self._zygotes[mode] = Zygote(mode, self._limits)
        return self._zygotes[mode]

    def ask(self, mode: ZygoteMode, request: Request) -> tuple[Answer, ...]:
        """Have a fresh child answer; a lost zygote is replaced once.

        Raises:
            ZygoteLostError: It was lost twice.
        """
        try:
            return self.zygote(mode).ask(request)
        except ZygoteLostError:
            self._zygotes.pop(mode).close()
            return self.zygote(mode).ask(request)

    def record(self, request: Request) -> tuple[Answer, ...]:
        """Ask the zygote that compiles."""
        return self.ask(ZygoteMode.COMPILE, request)

    def interpret(self, request: Interpret) -> tuple[Answer, ...]:
        """Ask the zygote that interprets."""
        return self.ask(ZygoteMode.INTERPRET, request)

    def close(self) -> None:
        """End both zygotes."""
        for zygote in self._zygotes.values():
            zygote.close()
        self._zygotes.clear()


class Judge:
    """Records and judges candidates for one target; use it as a context manager.

    What it keeps between candidates (compiled kernels, oracle answers, the reference's own cost) saves time and
    never decides a verdict.
    """

    def __init__(self, settings: JudgeSettings) -> None:
        self._settings = settings
        self._target = find_target(settings.target)
        self._hardware = find_hardware(settings.target)
        self._sandboxes = Sandboxes(settings.limits)
        self._builds = BuildCache()
        self._preparations = Preparations()
        self._environment: Environment | None = None
        self._eager: dict[str, tuple[tuple[EagerOp, ...], ...]] = {}
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
            self._environment = describe_environment(self._target, confinement)
        return self._environment

    def admit(self, task: KernelTask) -> Admission:
        """Tell whether the task can tell right from wrong.

        Raises:
            TaskError: The reference cannot answer its own cases.
        """
        try:
            return admit(task, self._settings.seed, self._preparations)
        except OracleError as error:
            raise TaskError(f"expected the reference of {task.title} to answer its own cases; {error}") from error

    def record(self, task: KernelTask, candidate: Candidate) -> Recording | Failure:
        """Check the source, record its launches for every bench case and compile them."""
        gate = check(candidate.source)
        if gate.failure is not None:
            return gate.failure
        outcome = build(task, candidate, self._target, self._sandboxes.record, self._builds)
        if isinstance(outcome, Failure) and outcome.kind is FailureKind.COMPILE_ERROR and not outcome.hint:
            return msgspec.structs.replace(outcome, hint=hint_for(candidate.source, outcome))
        return outcome

    def judge(self, task: KernelTask, candidate: Candidate, recording: Recording) -> Report:
        """Run the five stages, then estimate the time of each bench case."""
        return self._judge(task, candidate, recording, self._settings.seed)

    def confirm(self, task: KernelTask, candidate: Candidate, recording: Recording) -> Report:
        """Judge again with other secret cases and other inputs."""
        return self._judge(task, candidate, recording, self._settings.seed + CONFIRMATION_OFFSET)

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


def judge_once(task: KernelTask, candidate: Candidate, *, target: str, seed: int) -> Report:
    """Record and judge one candidate in sandboxes of its own.

    Raises:
        UnknownTargetError: No such target.
        ConfinementError: This machine lacks a protection.
    """
    with Judge(JudgeSettings(target=target, seed=seed)) as judge:
        recording = judge.record(task, candidate)
        if isinstance(recording, Recording):
            return judge.judge(task, candidate, recording)
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
