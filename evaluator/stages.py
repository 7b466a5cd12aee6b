"""The five stages: run a candidate on small cases in the sandbox and hold its answers against the oracle."""

import dataclasses
import time
from dataclasses import dataclass
from typing import Protocol

import msgspec
from msgspec import structs

from tilewright.evaluator.compare import Finding, compare
from tilewright.evaluator.draws import StageDraws
from tilewright.evaluator.preparation import Preparations, Prepared, Unusable
from tilewright.evaluator.report import CaseResult, StageResult, Verdict
from tilewright.sandbox.failure import Failure, FailureKind, Stage
from tilewright.sandbox.protocol import Answer, Interpret, Interpreted, Refused
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
    planned = tuple(_prepare_stage(task, one, kept) for one in kept.stages(task, seed))
    trial = _Trial(task=task, candidate=candidate, target=target, runner=runner)
    rows: list[tuple[Stage, CaseResult]] = []
    failure: Failure | None = None
    # what is cheap and fails most goes first, on its own; the rest shares a child, which saves loading the file
    for stages in (planned[:1], planned[1:]):
        outcome = _run_once(trial, tuple(entry for stage in stages for entry in stage.entries))
        failure = outcome.failure
        rows += outcome.rows
        if failure is not None:
            break
    else:
        repeated = _run_again(trial, outcome)
        failure = repeated.failure
        kept_rows = [(stage, row) for stage, row in rows if stage is not Stage.DETERMINISM]
        rows = kept_rows + list(repeated.rows)
    return StagesOutcome(stages=_results(planned, rows, failure), failure=failure)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One run of one case for one stage."""

    stage: Stage
    case: Prepared


@dataclass(frozen=True, slots=True, kw_only=True)
class _Planned:
    """A stage with its cases drawn and answered, and the rows of those that cannot be judged."""

    stage: Stage
    entries: tuple[_Entry, ...]
    skipped: tuple[CaseResult, ...]


def _prepare_stage(task: KernelTask, planned: StageDraws, kept: Preparations) -> _Planned:
    """Draw and answer a stage's cases; those of the determinism stage are run twice."""
    drawn = tuple(kept.prepare(task, one) for one in planned.draws)
    entries = tuple(_Entry(stage=planned.stage, case=one) for one in drawn if isinstance(one, Prepared))
    skipped = tuple(
        CaseResult(case=one.case_name, verdict=Verdict.SKIPPED, note=one.reason)
        for one in drawn
        if isinstance(one, Unusable)
    )
    repeats = 2 if planned.stage is Stage.DETERMINISM else 1
    return _Planned(stage=planned.stage, entries=entries * repeats, skipped=skipped)


def _results(
    planned: tuple[_Planned, ...], rows: list[tuple[Stage, CaseResult]], failure: Failure | None
) -> tuple[StageResult, ...]:
    """Return the stages up to the one that failed, each case a row."""
    results = []
    for one in planned:
        mine = _uncovered(tuple(row for stage, row in rows if stage is one.stage))
        results.append(StageResult(stage=one.stage, cases=mine + one.skipped))
        if failure is not None and failure.stage is one.stage:
            break
    return tuple(results)


def _uncovered(rows: tuple[CaseResult, ...]) -> tuple[CaseResult, ...]:
    """Return a stage's rows; none passes if one was not covered, or the candidate would choose what is judged."""
    if all(row.verdict is not Verdict.SKIPPED for row in rows):
        return rows
    note = "another case of the stage was not covered"
    return tuple(
        structs.replace(row, verdict=Verdict.SKIPPED, note=note) if row.verdict is Verdict.PASSED else row
        for row in rows
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    """A candidate before the stages."""

    task: KernelTask
    candidate: Candidate
    target: str
    runner: Runner

    def ask(self, entries: tuple[_Entry, ...], poison: int) -> tuple[Answer, ...]:
        """Run cases in a fresh child; on other garbage the programs of each launch run in another order, too."""
        request = Interpret(
            source=self.candidate.source,
            knobs=self.candidate.knobs,
            target=self.target,
            cases=tuple(one.case.data for one in entries),
            poison=poison,
            order=0 if poison == _POISON else _OTHER_ORDER,
        )
        return self.runner.interpret(request)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What a child did: its entries, their rows and their outputs' bytes, and the first failure."""

    entries: tuple[_Entry, ...]
    rows: tuple[tuple[Stage, CaseResult], ...]
    outputs: tuple[tuple[bytes, ...], ...]
    failure: Failure | None


def _run_once(trial: _Trial, entries: tuple[_Entry, ...], poison: int = _POISON) -> _Outcome:
    """Run cases in one child and compare each answer; stop at the first that is wrong."""
    if not entries:
        return _Outcome(entries=(), rows=(), outputs=(), failure=None)
    started = time.perf_counter()
    answers = trial.ask(entries, poison)
    wall_s = (time.perf_counter() - started) / len(entries)
    results = [answer for answer in answers if isinstance(answer, Interpreted)]
    rows: list[tuple[Stage, CaseResult]] = []
    failure: Failure | None = None
    for entry, got in zip(entries, results, strict=False):
        row, finding = _judge(entry.case, got, wall_s, poison)
        rows.append((entry.stage, row))
        if finding is not None:
            failure = Failure(
                kind=finding.kind, stage=entry.stage, case=row.case, message=finding.message, hint=finding.hint
            )
            break
    else:
        failure = _find_break(entries, answers)
        if failure is not None:
            name = failure.case or entries[-1].case.case_name
            rows.append((failure.stage, CaseResult(case=name, verdict=Verdict.FAILED, wall_s=wall_s)))
    outputs = tuple(got.outputs for got in results)
    return _Outcome(entries=entries, rows=tuple(rows), outputs=outputs, failure=failure)


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


def _find_break(entries: tuple[_Entry, ...], answers: tuple[Answer, ...]) -> Failure | None:
    """Return why a child did not answer every case once, if so; a death counts for the first that it left open."""
    count = sum(isinstance(answer, Interpreted) for answer in answers)
    broken = entries[min(count, len(entries) - 1)]
    for answer in answers:
        if isinstance(answer, Refused):
            return structs.replace(answer.failure, stage=broken.stage, case=broken.case.case_name)
    if count != len(entries):
        message = f"expected {len(entries)} answers from the sandbox, got {count}"
        name = broken.case.case_name
        return Failure(kind=FailureKind.PROTOCOL, stage=broken.stage, case=name, message=message)
    return None


def _run_again(trial: _Trial, first: _Outcome) -> _Outcome:
    """Run the determinism stage's cases in another child, on other garbage and in other orders: bits must agree."""
    places = [index for index, entry in enumerate(first.entries) if entry.stage is Stage.DETERMINISM]
    once, twice = places[: len(places) // 2], places[len(places) // 2 :]
    entries = tuple(first.entries[index] for index in once)
    rows = tuple(first.rows[index] for index in once)
    reloaded = _run_once(trial, entries[::-1], _OTHER_POISON)
    if reloaded.failure is not None:
        failure = structs.replace(reloaded.failure, hint=reloaded.failure.hint or _ORDER_HINT)
        return dataclasses.replace(reloaded, failure=failure)
    if not trial.task.tolerance.is_deterministic:
        return _Outcome(entries=entries, rows=rows, outputs=(), failure=None)
    for number, index in enumerate(once):
        others = {
            "a repeat in the same process": first.outputs[twice[number]],
            "a fresh process, with other garbage and its programs in another order": reloaded.outputs[-1 - number],
        }
        for where, other in others.items():
            if other != first.outputs[index]:
                failed = structs.replace(rows[number][1], verdict=Verdict.FAILED)
                rows = (*rows[:number], (Stage.DETERMINISM, failed), *rows[number + 1 :])
                return _Outcome(entries=entries, rows=rows, outputs=(), failure=_differs(failed.case, where))
    return _Outcome(entries=entries, rows=rows, outputs=(), failure=None)


def _differs(case: str, where: str) -> Failure:
    return Failure(
        kind=FailureKind.NOT_DETERMINISTIC,
        stage=Stage.DETERMINISM,
        case=case,
        message=f"expected the same bits each time, got other bits in {where}",
        hint="read no memory that was not written, keep no state between calls, add without float atomics",
    )
