"""The five stages: run a candidate on small cases in the sandbox and hold its answers against the oracle."""

import time
from dataclasses import dataclass
from typing import Protocol

import msgspec
from msgspec import structs

from tilewright.evaluator.compare import Finding, compare
from tilewright.evaluator.preparation import Preparations, Prepared, Unusable
from tilewright.evaluator.report import CaseResult, StageResult, Verdict
from tilewright.sandbox.failure import Failure, FailureKind, Stage
from tilewright.sandbox.protocol import Answer, Entered, Interpret, Interpreted, Refused
from tilewright.tasks.candidate import Candidate
from tilewright.tasks.spec import KernelTask

# NaN in every floating type; then NaN in float16 but a large finite number in float32 and bfloat16.
_POISON = 0xFF
_OTHER_POISON = 0x7F
_OTHER_ORDER = 1
_ORDER_HINT = "programs start in no promised order: wait for none, or take their numbers from an atomic counter"


class Runner(Protocol):
    """Runs a request in a fresh sandboxed child."""

    def interpret(self, request: Interpret) -> tuple[Answer, ...]:
        """Return every answer of the child, the last one Finished or Refused."""
        ...


class StagesOutcome(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the five stages found.

    Attributes:
        stages: Those that ran, in order; the last one may have failed.
        failure: Why the candidate is refused, or None.
    """

    stages: tuple[StageResult, ...]
    failure: Failure | None


def run_stages(
    task: KernelTask,
    candidate: Candidate,
    target: str,
    runner: Runner,
    seed: int,
    *,
    preparations: Preparations | None = None,
) -> StagesOutcome:
    """Judge a candidate on small cases; stop at the first stage that fails.

    Args:
        task: What is asked.
        candidate: The answer to judge.
        target: Name of the target, such as `cuda:90`.
        runner: Runs requests in the sandbox.
        seed: Decides inputs, parameters and secret shapes.
        preparations: Kept from earlier candidates of the same task and seed, which saves the oracle's time.

    Raises:
        OracleError: The reference cannot answer a case that the task declares.
    """
    kept = preparations or Preparations()
    stages: list[StageResult] = []
    for planned in kept.stages(task, seed):
        drawn = tuple(kept.prepare(task, one) for one in planned.draws)
        prepared = tuple(one for one in drawn if isinstance(one, Prepared))
        trial = _Trial(task=task, candidate=candidate, target=target, runner=runner, stage=planned.stage)
        run = _run_repeatedly if planned.stage is Stage.DETERMINISM else _run_once
        outcome = run(trial, prepared) if prepared else _Outcome(rows=(), outputs=(), failure=None)
        skipped = tuple(
            CaseResult(case=one.case_name, verdict=Verdict.SKIPPED, note=one.reason)
            for one in drawn
            if isinstance(one, Unusable)
        )
        stages.append(StageResult(stage=planned.stage, cases=outcome.rows + skipped))
        if outcome.failure is not None:
            return StagesOutcome(stages=tuple(stages), failure=outcome.failure)
    return StagesOutcome(stages=tuple(stages), failure=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    """A candidate in one stage."""

    task: KernelTask
    candidate: Candidate
    target: str
    runner: Runner
    stage: Stage

    def ask(self, cases: tuple[Prepared, ...], poison: int) -> tuple[Answer, ...]:
        """Run cases in a fresh child; on other garbage the programs of each launch run in another order, too."""
        request = Interpret(
            source=self.candidate.source,
            knobs=self.candidate.knobs,
            target=self.target,
            cases=tuple(one.data for one in cases),
            poison=poison,
            order=0 if poison == _POISON else _OTHER_ORDER,
        )
        return self.runner.interpret(request)

    def fail(self, kind: FailureKind, case: str | None, message: str, hint: str = "") -> Failure:
        """Name the stage's failure."""
        return Failure(kind=kind, stage=self.stage, case=case, message=message, hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """Rows of one child's cases, the outputs' bytes of each row, and the first failure."""

    rows: tuple[CaseResult, ...]
    outputs: tuple[tuple[bytes, ...], ...]
    failure: Failure | None


def _run_once(trial: _Trial, cases: tuple[Prepared, ...], poison: int = _POISON) -> _Outcome:
    """Run cases in one child and compare each answer; stop at the first that is wrong."""
    started = time.perf_counter()
    answers = trial.ask(cases, poison)
    wall_s = (time.perf_counter() - started) / len(cases)
    results = [answer for answer in answers if isinstance(answer, Interpreted)]
    rows: list[CaseResult] = []
    for one, got in zip(cases, results, strict=False):
        row, finding = _judge(one, got, wall_s, poison)
        rows.append(row)
        if finding is not None:
            failure = trial.fail(finding.kind, one.case_name, finding.message, finding.hint)
            return _Outcome(rows=tuple(rows), outputs=(), failure=failure)
    broken = _find_break(trial, cases, answers)
    if broken is not None:
        name = broken.case or cases[min(len(rows), len(cases) - 1)].case_name
        rows.append(CaseResult(case=name, verdict=Verdict.FAILED, wall_s=wall_s))
        return _Outcome(rows=tuple(rows), outputs=(), failure=structs.replace(broken, case=name))
    return _Outcome(rows=tuple(rows), outputs=tuple(got.outputs for got in results), failure=None)


def _judge(one: Prepared, got: Interpreted, wall_s: float, poison: int) -> tuple[CaseResult, Finding | None]:
    """Turn a child's answer to a case into its row."""
    if got.plan.case != one.case_name:
        message = f"expected an answer for case {one.case_name}, got one for {got.plan.case}"
        finding = Finding(kind=FailureKind.PROTOCOL, message=message)
        return CaseResult(case=one.case_name, verdict=Verdict.FAILED, wall_s=wall_s), finding
    if got.not_covered:
        note = "not covered by the interpreter: " + ", ".join(got.not_covered)
        return CaseResult(case=one.case_name, verdict=Verdict.SKIPPED, note=note, wall_s=wall_s), None
    compared = compare(one.question.case, one.answer, got, poison)
    verdict = Verdict.PASSED if compared.finding is None else Verdict.FAILED
    note = "; ".join(one.answer.notes)
    row = CaseResult(case=one.case_name, verdict=verdict, error=compared.error, note=note, wall_s=wall_s)
    return row, compared.finding


def _find_break(trial: _Trial, cases: tuple[Prepared, ...], answers: tuple[Answer, ...]) -> Failure | None:
    """Return why a child did not answer every case once, if so; a death counts for the case entered last."""
    entered = [answer.case for answer in answers if isinstance(answer, Entered) and answer.case is not None]
    for answer in answers:
        if isinstance(answer, Refused):
            case = answer.failure.case or (entered[-1] if entered else None)
            return structs.replace(answer.failure, stage=trial.stage, case=case)
    count = sum(isinstance(answer, Interpreted) for answer in answers)
    if count != len(cases):
        message = f"expected {len(cases)} answers from the sandbox, got {count}"
        return trial.fail(FailureKind.PROTOCOL, None, message)
    return None


def _run_repeatedly(trial: _Trial, cases: tuple[Prepared, ...]) -> _Outcome:
    """Run cases twice in one child, once in another on other garbage and in other orders: bits must agree."""
    first = _run_once(trial, cases + cases)
    if first.failure is not None:
        return first
    reloaded = _run_once(trial, cases[::-1], _OTHER_POISON)
    rows = first.rows[: len(cases)]
    if reloaded.failure is not None:
        failure = structs.replace(reloaded.failure, hint=reloaded.failure.hint or _ORDER_HINT)
        return _Outcome(rows=reloaded.rows, outputs=(), failure=failure)
    if not trial.task.tolerance.is_deterministic:
        return _Outcome(rows=rows, outputs=(), failure=None)
    for index, row in enumerate(rows):
        others = {
            "a repeat in the same process": first.outputs[len(cases) + index],
            "a fresh process, with other garbage and its programs in another order": reloaded.outputs[
                len(cases) - 1 - index
            ],
        }
        for where, other in others.items():
            if other != first.outputs[index]:
                failure = trial.fail(
                    FailureKind.NOT_DETERMINISTIC,
                    row.case,
                    f"expected the same bits each time, got other bits in {where}",
                    "read no memory that was not written, keep no state between calls, add without float atomics",
                )
                failed = structs.replace(row, verdict=Verdict.FAILED)
                return _Outcome(rows=(*rows[:index], failed, *rows[index + 1 :]), outputs=(), failure=failure)
    return _Outcome(rows=rows, outputs=(), failure=None)
