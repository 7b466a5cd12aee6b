"""What a finished step found out about its candidate: build, evaluation, cases and failure."""

import math
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, or_, select

from tilewright.archive.failures import fingerprint
from tilewright.archive.records import FinishedStep, StepState
from tilewright.archive.schema import Build, CaseRow, Evaluation, FailureRow, Step
from tilewright.archive.statements import Upsert, adding, in_scope, table_of
from tilewright.archive.store_blobs import put_text
from tilewright.evaluator.recording import Recording
from tilewright.evaluator.report import Report, Verdict
from tilewright.evaluator.timing import Timing
from tilewright.sandbox.failure import Failure, Stage


class VerdictRow(NamedTuple):
    """The step that has a verdict, and its candidate."""

    id: int
    candidate_id: str


_ADD_BUILD = Upsert(Build, lambda entry: entry.on_conflict_do_nothing().returning(table_of(Build).c.id))
_FIND_BUILD = select(Build.id).where(
    Build.candidate_id == bindparam("of_candidate"), Build.binary_id == bindparam("of_binary")
)
_ADD_EVALUATION = adding(Evaluation)
_ADD_CASE = adding(CaseRow)
_ADD_FAILURE = adding(FailureRow)
_JUDGED = (
    select(Step.id, Step.candidate_id)
    .outerjoin(Evaluation, Evaluation.step_id == Step.id)
    .outerjoin(FailureRow, FailureRow.step_id == Step.id)
    .where(
        in_scope(Step.run_id, Step.task_id),
        Step.finished_seq.is_not(None),
        Step.state != StepState.DUPLICATE,
        or_(Evaluation.step_id.is_not(None), FailureRow.step_id.is_not(None)),
    )
    .limit(1)
)
_JUDGED_CANDIDATE = _JUDGED.where(Step.candidate_id == bindparam("of_candidate"))
# Asked with IN, so that the search starts at the few builds of a binary, not at every step.
_JUDGED_BINARY = _JUDGED.where(
    Step.candidate_id.in_(select(Build.candidate_id).where(Build.binary_id == bindparam("of_binary")))
)


def geometric_mean(values: tuple[float, ...]) -> float | None:
    """Return the geometric mean of positive values, or None if there are none."""
    return math.exp(math.fsum(math.log(value) for value in values) / len(values)) if values else None


def speedup(report: Report) -> float | None:
    """Return the geometric mean of the candidate's speed-ups over the bench cases."""
    return geometric_mean(tuple(timing.speedup for timing in report.timing))


def store_facts(connection: Connection, step_id: int, finished: FinishedStep) -> None:
    """Store everything that was found out about a step's candidate; nothing for a duplicate."""
    if finished.state is StepState.DUPLICATE:
        return
    build_id = None if finished.recording is None else put_build(connection, finished.recording)
    if finished.report is not None:
        _store_report(connection, step_id, finished, build_id)
    failure = finished.failure or (finished.report.failure if finished.report else None)
    if failure is not None:
        _store_failure(connection, step_id, finished, failure)


def put_build(connection: Connection, recording: Recording) -> int:
    """Store what the compiler made of a candidate unless it is there; return its row."""
    row = {
        "candidate_id": recording.candidate_id,
        "binary_id": recording.binary_id,
        "target": recording.target,
        "recording": recording,
    }
    added = connection.execute(_ADD_BUILD.within(connection), row).scalar_one_or_none()
    if added is not None:
        return int(added)
    names = {"of_candidate": recording.candidate_id, "of_binary": row["binary_id"]}
    return connection.execute(_FIND_BUILD, names).scalar_one()


def _store_report(connection: Connection, step_id: int, finished: FinishedStep, build_id: int | None) -> None:
    report = finished.report
    assert report is not None
    row = {
        "step_id": step_id,
        "run_id": finished.key.run_id,
        "task_id": finished.key.task_id,
        "candidate_id": report.candidate_id,
        "environment_id": report.environment_id,
        "build_id": build_id,
        "is_right": report.is_right,
        "fitness": finished.reward.fitness if finished.reward else None,
        "kind": report.timing[0].kind if report.timing else None,
        "time_us": report.geomean_us,
        "speedup": speedup(report),
        "report": report,
        "reward": finished.reward,
    }
    connection.execute(_ADD_EVALUATION, row)
    rows = case_rows(report)
    if rows:
        connection.execute(_ADD_CASE, [{"step_id": step_id, **row} for row in rows])


def case_rows(report: Report) -> tuple[dict[str, object], ...]:
    """Return the columns of the cases that were timed, and of those that did not pass."""
    rows = {(Stage.TIMING, timing.case): _timed(timing) for timing in report.timing}
    for stage in report.stages:
        for case in stage.cases:
            if case.verdict is not Verdict.PASSED:
                untimed = {"time_us": None, "baseline_us": None, "floor_us": None}
                rows[stage.stage, case.case] = {"verdict": case.verdict, **untimed}
    return tuple({"stage": stage, "name": name, **row} for (stage, name), row in rows.items())


def _timed(timing: Timing) -> dict[str, object]:
    return {
        "verdict": Verdict.PASSED,
        "time_us": timing.candidate.median_us,
        "baseline_us": timing.baseline.span.median_us if timing.baselines else None,
        "floor_us": timing.floor_us,
    }


def _store_failure(connection: Connection, step_id: int, finished: FinishedStep, failure: Failure) -> None:
    key = finished.key
    row = {
        "step_id": step_id,
        "run_id": key.run_id,
        "task_id": key.task_id,
        "number": key.number,
        "kind": failure.kind,
        "stage": failure.stage,
        "case": failure.case,
        "fingerprint": fingerprint(failure),
        "message": failure.message,
        "hint": failure.hint,
        "detail_sha": put_text(connection, failure.detail) if failure.detail else None,
    }
    connection.execute(_ADD_FAILURE, row)


def find_verdict(
    connection: Connection, run_id: str, task_id: str, candidate_id: str | None, binary_id: str | None
) -> VerdictRow | None:
    """Return the step of a run's task, and its candidate, that has a verdict on a candidate or a binary.

    A verdict is a report or a failure; a step that we could not judge has none.
    """
    names = {"of_run": run_id, "of_task": task_id}
    found = None
    if candidate_id is not None:
        found = connection.execute(_JUDGED_CANDIDATE, {**names, "of_candidate": candidate_id}).one_or_none()
    if found is None and binary_id is not None:
        found = connection.execute(_JUDGED_BINARY, {**names, "of_binary": binary_id}).one_or_none()
    return None if found is None else VerdictRow(found.id, found.candidate_id or "")
