"""Reading a run's task: elites, attempts, failures, arms and costs."""

import math
from collections import Counter

import msgspec
from sqlalchemy import Connection, func, select

from tilewright.archive.descriptors import is_foreign
from tilewright.archive.errors import UnknownCellError
from tilewright.archive.records import ArmEvent, Attempt, Elite, EliteRow, FailedAttempt, FailureGroup
from tilewright.archive.runs import Budget, Spent
from tilewright.archive.schema import ArchiveCell, ArchiveEvent, BanditEvent, BudgetRow, Evaluation, FailureRow, Step
from tilewright.archive.store_blobs import get_text
from tilewright.archive.store_steps import candidate_of
from tilewright.sandbox.failure import Failure

# Failures older than this many are left out of the count: they say little about what is tried now.
_FAILURE_WINDOW = 200


class Scope(msgspec.Struct, frozen=True):
    """A run's task."""

    run_id: str
    task_id: str


def archive_seq(connection: Connection, scope: Scope) -> int:
    """Return the number of the last event; 0 before the first."""
    last = connection.execute(
        select(func.max(ArchiveEvent.seq)).where(
            ArchiveEvent.run_id == scope.run_id, ArchiveEvent.task_id == scope.task_id
        )
    ).scalar_one()
    return last or 0


def elite_rows(connection: Connection, scope: Scope) -> tuple[EliteRow, ...]:
    """Return the filled cells, sorted by name."""
    rows = connection.execute(
        select(
            ArchiveCell.cell, ArchiveCell.candidate_id, ArchiveCell.fitness, ArchiveCell.picks, ArchiveCell.successes,
            Step.program_sha, Step.operator, Step.number, Evaluation.kind, Evaluation.time_us, Evaluation.speedup,
        )
        .join(Step, Step.id == ArchiveCell.step_id)
        .join(Evaluation, Evaluation.step_id == ArchiveCell.step_id)
        .where(ArchiveCell.run_id == scope.run_id, ArchiveCell.task_id == scope.task_id)
    )  # fmt: skip
    # Sorted here, because servers sort `|` by their own collations.
    return tuple(
        EliteRow(
            cell=row.cell, candidate_id=row.candidate_id, source_sha=row.program_sha or "", operator=row.operator,
            number=row.number, fitness=row.fitness, kind=row.kind, time_us=row.time_us, speedup=row.speedup,
            picks=row.picks, successes=row.successes,
        )
        for row in sorted(rows, key=lambda row: row.cell)
    )  # fmt: skip


def best_row(rows: tuple[EliteRow, ...]) -> EliteRow | None:
    """Return the fastest of a map's elites whose own kernels do the work, or None if there is none."""
    answers = [row for row in rows if not is_foreign(row.cell)]
    return min(answers, key=lambda row: (-row.fitness, row.time_us or math.inf, row.cell), default=None)


def elite(connection: Connection, scope: Scope, cell: str) -> Elite:
    """Return the elite of a cell.

    Raises:
        UnknownCellError: Nothing fills it.
    """
    row = connection.execute(
        select(ArchiveCell.step_id, ArchiveCell.fitness, Evaluation.report, Evaluation.reward)
        .join(Evaluation, Evaluation.step_id == ArchiveCell.step_id)
        .where(ArchiveCell.run_id == scope.run_id, ArchiveCell.task_id == scope.task_id, ArchiveCell.cell == cell)
    ).one_or_none()
    candidate = candidate_of(connection, row.step_id) if row else None
    if row is None or candidate is None or row.reward is None:
        raise UnknownCellError(f"expected a filled cell; got {cell!r}: `tilewright archive map` shows them")
    return Elite(cell=cell, candidate=candidate, report=row.report, reward=row.reward, fitness=row.fitness)


def attempts(connection: Connection, scope: Scope, source_sha: str | None, limit: int) -> tuple[Attempt, ...]:
    """Return the newest finished steps that had a candidate, newest first."""
    verdict_step = func.coalesce(Step.repeats_step_id, Step.id)
    query = (
        select(
            Step.candidate_id, Step.program_sha, Step.knobs, Step.operator, Step.number, Step.state,
            Evaluation.fitness, Evaluation.time_us, FailureRow.kind,
        )
        .outerjoin(Evaluation, Evaluation.step_id == verdict_step)
        .outerjoin(FailureRow, FailureRow.step_id == verdict_step)
        .where(
            Step.run_id == scope.run_id,
            Step.task_id == scope.task_id,
            Step.finished_seq.is_not(None),
            Step.program_sha.is_not(None) if source_sha is None else Step.program_sha == source_sha,
        )
        .order_by(Step.number.desc())
        .limit(limit)
    )  # fmt: skip
    return tuple(
        Attempt(
            candidate_id=row.candidate_id or "", source_sha=row.program_sha or "", knobs=row.knobs or (),
            operator=row.operator, number=row.number, state=row.state, fitness=row.fitness, time_us=row.time_us,
            failure_kind=row.kind,
        )
        for row in connection.execute(query)
    )  # fmt: skip


def recent_failures(connection: Connection, scope: Scope, limit: int) -> tuple[FailedAttempt, ...]:
    """Return the newest refused candidates, newest first."""
    rows = connection.execute(
        select(FailureRow)
        .with_only_columns(FailureRow.step_id)
        .join(Step, Step.id == FailureRow.step_id)
        .where(FailureRow.run_id == scope.run_id, FailureRow.task_id == scope.task_id, Step.program_sha.is_not(None))
        .order_by(FailureRow.number.desc())
        .limit(limit)
    ).scalars()
    return tuple(_failed_attempt(connection, step_id) for step_id in rows.all())


def frequent_failures(connection: Connection, scope: Scope, limit: int) -> tuple[FailureGroup, ...]:
    """Return the most frequent kinds of failure among the newest 200, the most frequent first."""
    rows = connection.execute(
        select(FailureRow.fingerprint, FailureRow.step_id)
        .join(Step, Step.id == FailureRow.step_id)
        .where(FailureRow.run_id == scope.run_id, FailureRow.task_id == scope.task_id, Step.program_sha.is_not(None))
        .order_by(FailureRow.number.desc())
        .limit(_FAILURE_WINDOW)
    ).all()
    counts = Counter(row.fingerprint for row in rows)
    newest = {row.fingerprint: row.step_id for row in reversed(rows)}
    # Counter keeps the order of first sight, so that equally frequent ones come newest first.
    return tuple(
        FailureGroup(fingerprint=name, count=count, latest=_failed_attempt(connection, newest[name]))
        for name, count in counts.most_common(limit)
    )


def _failed_attempt(connection: Connection, step_id: int) -> FailedAttempt:
    row = connection.execute(
        select(
            FailureRow.number, FailureRow.kind, FailureRow.stage, FailureRow.case, FailureRow.message, FailureRow.hint,
            FailureRow.detail_sha,
        ).where(FailureRow.step_id == step_id)
    ).one()  # fmt: skip
    candidate = candidate_of(connection, step_id)
    assert candidate is not None
    failure = Failure(
        kind=row.kind,
        stage=row.stage,
        case=row.case,
        message=row.message,
        hint=row.hint,
        detail=get_text(connection, row.detail_sha) if row.detail_sha else "",
    )
    return FailedAttempt(candidate=candidate, failure=failure, number=row.number)


def arm_events(connection: Connection, scope: Scope, limit: int) -> tuple[ArmEvent, ...]:
    """Return what the newest finished steps brought to their arms, in the order in which they finished."""
    rows = connection.execute(
        select(BanditEvent.number, BanditEvent.arm, BanditEvent.status, BanditEvent.gain, BanditEvent.cost_s)
        .where(BanditEvent.run_id == scope.run_id, BanditEvent.task_id == scope.task_id)
        .order_by(BanditEvent.seq.desc())
        .limit(limit)
    ).all()
    return tuple(
        ArmEvent(number=row.number, arm=row.arm, status=row.status, gain=row.gain, cost_s=row.cost_s)
        for row in reversed(rows)
    )


def spent(connection: Connection, scope: Scope) -> Spent:
    """Return what a run's task has cost; nothing if it was never begun."""
    row = connection.execute(
        select(
            BudgetRow.candidates, BudgetRow.duplicates, BudgetRow.wall_s, BudgetRow.judge_s, BudgetRow.cost_usd
        ).where(BudgetRow.run_id == scope.run_id, BudgetRow.task_id == scope.task_id)
    ).one_or_none()
    return Spent(**row._mapping) if row else Spent()


def budget(connection: Connection, scope: Scope) -> Budget:
    """Return the caps of a run's task; none if it was never entered."""
    row = connection.execute(
        select(BudgetRow.cap_candidates, BudgetRow.cap_wall_s, BudgetRow.cap_cost_usd).where(
            BudgetRow.run_id == scope.run_id, BudgetRow.task_id == scope.task_id
        )
    ).one_or_none()
    if row is None:
        return Budget()
    return Budget(candidates=row.cap_candidates, wall_s=row.cap_wall_s, cost_usd=row.cap_cost_usd)
