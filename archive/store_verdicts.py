"""Reading what is known about one candidate, and one line a run's task."""

from sqlalchemy import Connection, ScalarSelect, func, select

from tilewright.archive.records import StepKey
from tilewright.archive.runs import TaskSummary
from tilewright.archive.schema import BudgetRow, Build, Evaluation, FailureRow, Run, Step, Task
from tilewright.archive.store_queries import Scope, best_row, budget, elite_rows, failure_of, spent
from tilewright.evaluator.recording import Recording
from tilewright.evaluator.report import Report, Reward
from tilewright.sandbox.failure import Failure


def judged_step(connection: Connection, candidate_id: str, run_id: str | None) -> StepKey | None:
    """Return the step of the newest judgement of a candidate or of the one it repeats, or None if there is none."""
    row = connection.execute(
        select(Step.run_id, Step.task_id, Step.number).where(Step.id == _newest_evaluation(candidate_id, run_id))
    ).one_or_none()
    return None if row is None else StepKey(run_id=row.run_id, task_id=row.task_id, number=row.number)


def find_report(connection: Connection, candidate_id: str, run_id: str | None) -> Report | None:
    """Return the newest judgement of a candidate or of the one it repeats, or None if there is none."""
    return connection.execute(
        select(Evaluation.report).where(Evaluation.step_id == _newest_evaluation(candidate_id, run_id))
    ).scalar_one_or_none()


def find_reward(connection: Connection, candidate_id: str, run_id: str | None) -> Reward | None:
    """Return what the newest judgement was worth, or None if there is none."""
    return connection.execute(
        select(Evaluation.reward).where(Evaluation.step_id == _newest_evaluation(candidate_id, run_id))
    ).scalar_one_or_none()


def find_recording(connection: Connection, candidate_id: str) -> Recording | None:
    """Return the newest recording of a candidate or of the one it repeats, or None if it never came that far."""
    judged = select(Step.candidate_id).where(Step.id.in_(_verdict_steps(candidate_id)))
    return connection.execute(
        select(Build.recording).where(Build.candidate_id.in_(judged)).order_by(Build.id.desc()).limit(1)
    ).scalar_one_or_none()


def find_failure(connection: Connection, candidate_id: str) -> Failure | None:
    """Return why a candidate, or the one it repeats, was refused last; None if it was not."""
    step_id = connection.execute(
        select(func.max(FailureRow.step_id)).where(FailureRow.step_id.in_(_verdict_steps(candidate_id)))
    ).scalar_one_or_none()
    return None if step_id is None else failure_of(connection, step_id)


def _verdict_steps(candidate_id: str, run_id: str | None = None) -> ScalarSelect[int]:
    """Return the steps whose verdicts hold for a candidate, in every run if none is named."""
    query = select(func.coalesce(Step.repeats_step_id, Step.id)).where(Step.candidate_id == candidate_id)
    return (query if run_id is None else query.where(Step.run_id == run_id)).scalar_subquery()


def _newest_evaluation(candidate_id: str, run_id: str | None) -> ScalarSelect[int]:
    return (
        select(func.max(Evaluation.step_id))
        .where(Evaluation.step_id.in_(_verdict_steps(candidate_id, run_id)))
        .scalar_subquery()
    )


def summaries(connection: Connection) -> tuple[TaskSummary, ...]:
    """Return one line for each task of each run, oldest run first."""
    rows = connection.execute(
        select(Run.id, Run.name, Run.status, BudgetRow.task_id, Task.title)
        .join(BudgetRow, BudgetRow.run_id == Run.id)
        .join(Task, Task.id == BudgetRow.task_id)
        .order_by(Run.created, Run.name, BudgetRow.position)
    ).all()
    found = []
    for row in rows:
        scope = Scope(row.id, row.task_id)
        cells = elite_rows(connection, scope)
        found.append(
            TaskSummary(
                run=row.name,
                status=row.status,
                task_id=row.task_id,
                title=row.title,
                spent=spent(connection, scope),
                budget=budget(connection, scope),
                cells=len(cells),
                best=best_row(cells),
            )
        )
    return tuple(found)
