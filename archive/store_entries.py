"""Runs, tasks, environments and candidates: what is asked for by id or by name."""

import hashlib
from datetime import UTC, datetime

from msgspec import structs
from sqlalchemy import Connection, insert, or_, select, update

from tilewright.archive.errors import RunExistsError, UnknownCandidateError, UnknownRunError, UnknownTaskError
from tilewright.archive.runs import RunRecord, RunSpec, RunStatus
from tilewright.archive.schema import BudgetRow, EnvironmentRow, Run, Step, Task
from tilewright.archive.statements import Upsert
from tilewright.archive.store_steps import candidate_of
from tilewright.evaluator.report import Environment
from tilewright.tasks.candidate import Candidate
from tilewright.tasks.spec import KernelTask

_ADD_TASK = Upsert(Task, lambda entry: entry.on_conflict_do_nothing())
_ADD_ENVIRONMENT = Upsert(EnvironmentRow, lambda entry: entry.on_conflict_do_nothing())


def begin_run(connection: Connection, spec: RunSpec) -> RunRecord:
    """Store a run that starts now.

    Raises:
        RunExistsError: The name is taken.
    """
    if connection.execute(select(Run.id).where(Run.name == spec.name)).first() is not None:
        raise RunExistsError(
            f"expected a new name for a run; {spec.name!r} is taken: `tilewright resume {spec.name}`, or choose another"
        )
    # The name is unique, so it serves as identity: the same run in two archives has one id.
    record = RunRecord(
        id=hashlib.sha256(spec.name.encode()).hexdigest()[:12],
        name=spec.name,
        seed=spec.seed,
        config_json=spec.config_json,
        code_version=spec.code_version,
        status=RunStatus.RUNNING,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    connection.execute(insert(Run).values(structs.asdict(record)))
    return record


def runs(connection: Connection) -> tuple[RunRecord, ...]:
    """Return all runs, oldest first."""
    rows = connection.execute(select(Run.__table__).order_by(Run.created, Run.name))
    return tuple(RunRecord(**row._mapping) for row in rows)


def find_run(connection: Connection, id_or_name: str) -> RunRecord:
    """Return a run.

    Raises:
        UnknownRunError: There is none of that id or name.
    """
    row = connection.execute(
        select(Run.__table__).where(or_(Run.id == id_or_name, Run.name == id_or_name))
    ).one_or_none()
    if row is None:
        raise UnknownRunError(f"expected the name of a run; got {id_or_name!r}: `tilewright archive ls` shows them")
    return RunRecord(**row._mapping)


def set_run_status(connection: Connection, run_id: str, status: RunStatus) -> None:
    """Say where a run stands.

    Raises:
        UnknownRunError: There is none of that id.
    """
    find_run(connection, run_id)
    connection.execute(update(Run).where(Run.id == run_id).values(status=status))


def add_task(connection: Connection, task: KernelTask) -> None:
    """Store a task unless it is there."""
    row = {"id": task.id, "title": task.title, "family": task.family, "spec": task}
    connection.execute(_ADD_TASK.within(connection), row)


def find_task(connection: Connection, id_or_title: str) -> KernelTask:
    """Return a task by its id or, where one task alone has it, its title.

    Raises:
        UnknownTaskError: There is none, or several have that title.
    """
    found = connection.execute(
        select(Task.spec).where(or_(Task.id == id_or_title, Task.title == id_or_title)).limit(2)
    ).all()
    if len(found) != 1:
        what = "several have that title: give the id" if found else "`tilewright archive ls` shows them"
        raise UnknownTaskError(f"expected the id or title of a task; got {id_or_title!r}: {what}")
    task: KernelTask = found[0].spec
    return task


def tasks(connection: Connection) -> tuple[KernelTask, ...]:
    """Return all tasks, sorted by title."""
    return tuple(connection.execute(select(Task.spec).order_by(Task.title, Task.id)).scalars())


def run_tasks(connection: Connection, run_id: str) -> tuple[str, ...]:
    """Return the ids of a run's tasks, in the order in which they were entered."""
    rows = connection.execute(
        select(BudgetRow.task_id).where(BudgetRow.run_id == run_id).order_by(BudgetRow.position, BudgetRow.task_id)
    )
    return tuple(rows.scalars())


def add_environment(connection: Connection, environment: Environment) -> None:
    """Store an environment unless it is there."""
    row = {"id": environment.id, "fields": environment}
    connection.execute(_ADD_ENVIRONMENT.within(connection), row)


def find_environment(connection: Connection, environment_id: str) -> Environment:
    """Return a stored environment."""
    return connection.execute(select(EnvironmentRow.fields).where(EnvironmentRow.id == environment_id)).scalar_one()


def find_candidate_id(connection: Connection, prefix: str) -> str:
    """Return the id of the one candidate whose id starts so.

    Raises:
        UnknownCandidateError: None does, or several do.
    """
    # Ids are lower-case hex digits, all of which sort before "g".
    found = connection.execute(
        select(Step.candidate_id)
        .where(Step.candidate_id >= prefix, Step.candidate_id < f"{prefix}g")
        .distinct()
        .limit(2)
    ).scalars()
    ids = [one for one in found if one]
    if len(ids) != 1 or not prefix:
        what = "several start so: give more digits" if ids else "`tilewright archive best` shows one"
        raise UnknownCandidateError(f"expected the id of a candidate, or its first digits; got {prefix!r}: {what}")
    return ids[0]


def find_candidate(connection: Connection, prefix: str) -> Candidate:
    """Return a candidate with the origin of its first proposal.

    Raises:
        UnknownCandidateError: No id starts so, or several do.
    """
    candidate_id = find_candidate_id(connection, prefix)
    first = connection.execute(
        select(Step.id).where(Step.candidate_id == candidate_id).order_by(Step.id).limit(1)
    ).scalar_one()
    candidate = candidate_of(connection, first)
    assert candidate is not None
    return candidate
