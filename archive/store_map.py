"""The map of a run's task: events are appended, cells follow."""

from sqlalchemy import Connection, bindparam, select

from tilewright.archive.cells import EventKind
from tilewright.archive.descriptors import Bins
from tilewright.archive.errors import ArchiveVersionError
from tilewright.archive.records import FinishedStep, Insertion, InsertionStatus, ParentRole, StepKey, StepState
from tilewright.archive.schema import ArchiveCell, ArchiveEvent, StepParent
from tilewright.archive.statements import Upsert, adding, changing, in_scope, table_of

# The lower clip of fitness: what an empty cell counts as.
FITNESS_FLOOR = -3.0

_ELITE_COLUMNS = ("step_id", "candidate_id", "fitness")
_LAST_EVENT = (
    select(ArchiveEvent.seq, ArchiveEvent.bins_version)
    .where(in_scope(ArchiveEvent.run_id, ArchiveEvent.task_id))
    .order_by(ArchiveEvent.seq.desc())
    .limit(1)
)
_ADD_EVENT = adding(ArchiveEvent)
_FIND_EVENT = select(
    ArchiveEvent.kind, ArchiveEvent.cell, ArchiveEvent.displaced, ArchiveEvent.fitness, ArchiveEvent.delta
).where(in_scope(ArchiveEvent.run_id, ArchiveEvent.task_id), ArchiveEvent.seq == bindparam("of_seq"))
_FIND_CELL = select(ArchiveCell.candidate_id, ArchiveCell.fitness).where(
    in_scope(ArchiveCell.run_id, ArchiveCell.task_id), ArchiveCell.cell == bindparam("of_cell")
)
_SEAT = Upsert(
    ArchiveCell,
    lambda entry: entry.on_conflict_do_update(
        index_elements=["run_id", "task_id", "cell"], set_={name: entry.excluded[name] for name in _ELITE_COLUMNS}
    ),
)
_COUNT_CHILD = (
    changing(ArchiveCell)
    .where(in_scope(ArchiveCell.run_id, ArchiveCell.task_id), ArchiveCell.cell == bindparam("of_cell"))
    .values(
        picks=table_of(ArchiveCell).c.picks + 1,
        successes=table_of(ArchiveCell).c.successes + bindparam("more_successes"),
    )
)
_PARENT_CELL = (
    select(ArchiveEvent.cell)
    .join(StepParent, StepParent.candidate_id == ArchiveEvent.candidate_id)
    .where(
        in_scope(ArchiveEvent.run_id, ArchiveEvent.task_id),
        ArchiveEvent.cell.is_not(None),
        ArchiveEvent.bins_version == bindparam("of_version"),
        StepParent.step_id == bindparam("of_step"),
        StepParent.position == 0,
        StepParent.role == ParentRole.PARENT,
    )
    .order_by(ArchiveEvent.seq.desc())
    .limit(1)
)


def next_seq(connection: Connection, key: StepKey, bins: Bins) -> int:
    """Return the number of the next event.

    Raises:
        ArchiveVersionError: The last event was made with another version of the bins.
    """
    last = connection.execute(_LAST_EVENT, {"of_run": key.run_id, "of_task": key.task_id}).one_or_none()
    if last is None:
        return 1
    if last.bins_version != bins.version:
        raise ArchiveVersionError(
            f"expected cells of bins version {bins.version}; the map has version {last.bins_version}: "
            "run `tilewright archive rebin`"
        )
    return int(last.seq) + 1


def insert_candidate(connection: Connection, step_id: int, finished: FinishedStep, seq: int, bins: Bins) -> Insertion:
    """Decide what becomes of the candidate, append the event and change the map."""
    insertion = _decide(connection, finished, bins)
    key = finished.key
    names, scope = {"run_id": key.run_id, "task_id": key.task_id}, {"of_run": key.run_id, "of_task": key.task_id}
    elite = {
        "step_id": step_id,
        "candidate_id": finished.candidate.id if finished.candidate else None,
        "cell": insertion.cell,
        "fitness": insertion.fitness,
    }
    parent_cell = connection.execute(
        _PARENT_CELL, {**scope, "of_step": step_id, "of_version": bins.version}
    ).scalar_one_or_none()
    event = {
        "seq": seq,
        "kind": EventKind(insertion.status.value),
        "bins_version": bins.version,
        "parent_cell": parent_cell,
        "displaced": insertion.displaced,
        "delta": insertion.delta,
    }
    connection.execute(_ADD_EVENT, {**names, **elite, **event})
    if insertion.status.is_gain:
        connection.execute(_SEAT.within(connection), {**names, **elite, "picks": 0, "successes": 0})
    if parent_cell is not None:
        child = {"of_cell": parent_cell, "more_successes": int(insertion.status.is_gain)}
        connection.execute(_COUNT_CHILD, {**scope, **child})
    return insertion


def _decide(connection: Connection, finished: FinishedStep, bins: Bins) -> Insertion:
    """Return what becomes of the candidate: only right ones have a cell, and only better ones take it."""
    report, recording, reward = finished.report, finished.recording, finished.reward
    if finished.state is not StepState.DONE or report is None or recording is None or reward is None:
        return Insertion(status=InsertionStatus.REJECTED)
    fitness = reward.fitness
    if not (report.is_right and reward.is_right) or fitness is None:
        return Insertion(status=InsertionStatus.REJECTED)
    cell = bins.describe(recording, report).cell
    names = {"of_run": finished.key.run_id, "of_task": finished.key.task_id, "of_cell": cell}
    old = connection.execute(_FIND_CELL, names).one_or_none()
    if old is None:
        return Insertion(status=InsertionStatus.NEW, cell=cell, fitness=fitness, delta=fitness - FITNESS_FLOOR)
    if fitness <= old.fitness:
        return Insertion(status=InsertionStatus.KEPT_OLD, cell=cell, fitness=fitness)
    return Insertion(
        status=InsertionStatus.IMPROVED,
        cell=cell,
        displaced=old.candidate_id,
        fitness=fitness,
        delta=fitness - old.fitness,
    )


def stored_insertion(connection: Connection, key: StepKey, seq: int) -> Insertion:
    """Return what an earlier event did to the map."""
    event = connection.execute(_FIND_EVENT, {"of_run": key.run_id, "of_task": key.task_id, "of_seq": seq}).one()
    return Insertion(
        status=event.kind.status,
        cell=event.cell,
        displaced=event.displaced,
        fitness=event.fitness,
        delta=event.delta,
    )
