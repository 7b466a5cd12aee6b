"""Cells by other bins, from stored facts alone: no GPU, no compiler."""

from collections.abc import Iterator

import msgspec
from sqlalchemy import Connection, delete, insert, select

from tilewright.archive.cells import CellState, Event, EventKind, fold
from tilewright.archive.descriptors import Bins
from tilewright.archive.schema import ArchiveCell, ArchiveEvent, BudgetRow, Build, Evaluation, Step
from tilewright.archive.store import Archive
from tilewright.archive.store_queries import Scope, archive_seq

_BATCH = 200  # recordings and reports decoded at a time: memory stays flat however large the archive


class Rebinned(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the bins did to the map of a run's task.

    Attributes:
        run_id: The run.
        task_id: The task.
        cells_before: Filled cells before.
        cells_after: Filled cells after.
        moved: Elites that are in a cell they were not in before.
    """

    run_id: str
    task_id: str
    cells_before: int
    cells_after: int
    moved: int


def rebin(archive: Archive) -> tuple[Rebinned, ...]:
    """Recompute every map with the archive's bins; each run's task in one transaction.

    The log stays append-only: a CLEARED event empties the map, then each elite enters its new cell, and the
    counts of picks start anew. A map that these bins made and that would not change is left alone.
    """
    with archive.reading() as connection:
        rows = connection.execute(select(BudgetRow.run_id, BudgetRow.task_id)).all()
    return tuple(_rebin_one(archive, Scope(row.run_id, row.task_id)) for row in rows)


def _rebin_one(archive: Archive, scope: Scope) -> Rebinned:
    with archive.writing() as connection:
        before = _seats(connection, scope)
        cells = fold(_reinserted(connection, scope, archive.bins))
        after = {(one.cell, one.candidate_id) for one in cells}
        if after != before or _version(connection, scope) not in {None, archive.bins.version}:
            _replace(connection, scope, cells, archive.bins.version)
    return Rebinned(
        run_id=scope.run_id,
        task_id=scope.task_id,
        cells_before=len(before),
        cells_after=len(after),
        moved=len(after - before),
    )


def _seats(connection: Connection, scope: Scope) -> set[tuple[str, str]]:
    """Return the filled cells and who fills them."""
    rows = connection.execute(
        select(ArchiveCell.cell, ArchiveCell.candidate_id).where(
            ArchiveCell.run_id == scope.run_id, ArchiveCell.task_id == scope.task_id
        )
    )
    return {(row.cell, row.candidate_id) for row in rows}


def _version(connection: Connection, scope: Scope) -> int | None:
    """Return the version of the bins that made the map; None before the first event."""
    return connection.execute(
        select(ArchiveEvent.bins_version)
        .where(ArchiveEvent.run_id == scope.run_id, ArchiveEvent.task_id == scope.task_id)
        .order_by(ArchiveEvent.seq.desc())
        .limit(1)
    ).scalar_one_or_none()


def _reinserted(connection: Connection, scope: Scope, bins: Bins) -> Iterator[Event]:
    """Yield the events that right candidates would have caused under other bins, in the order of finishing."""
    best: dict[str, float] = {}
    for step_id, cell, fitness in _described(connection, scope, bins):
        if fitness > best.get(cell, float("-inf")):
            best[cell] = fitness
            candidate_id = connection.execute(
                select(Evaluation.candidate_id).where(Evaluation.step_id == step_id)
            ).scalar_one()
            yield Event(kind=EventKind.NEW, step_id=step_id, candidate_id=candidate_id, cell=cell, fitness=fitness)


def _described(connection: Connection, scope: Scope, bins: Bins) -> Iterator[tuple[int, str, float]]:
    """Yield the step, the cell and the fitness of each right candidate, in the order of finishing."""
    step_ids = (
        connection.execute(
            select(Evaluation.step_id)
            .join(Step, Step.id == Evaluation.step_id)
            .where(
                Evaluation.run_id == scope.run_id,
                Evaluation.task_id == scope.task_id,
                Evaluation.is_right,
                Evaluation.fitness.is_not(None),
            )
            .order_by(Step.finished_seq)
        )
        .scalars()
        .all()
    )
    for start in range(0, len(step_ids), _BATCH):
        rows = connection.execute(
            select(Evaluation.step_id, Evaluation.fitness, Evaluation.report, Build.recording)
            .join(Step, Step.id == Evaluation.step_id)
            .join(Build, Build.id == Evaluation.build_id)
            .where(Evaluation.step_id.in_(step_ids[start : start + _BATCH]))
            .order_by(Step.finished_seq)
        )
        for row in rows:
            yield row.step_id, bins.describe(row.recording, row.report).cell, row.fitness or 0.0


def _replace(connection: Connection, scope: Scope, cells: tuple[CellState, ...], version: int) -> None:
    """Append the events of a new map and write its cells."""
    names = {"run_id": scope.run_id, "task_id": scope.task_id}
    event = {**names, "bins_version": version, "delta": 0.0}
    seq = archive_seq(connection, scope) + 1
    connection.execute(insert(ArchiveEvent).values(**event, seq=seq, kind=EventKind.CLEARED))
    connection.execute(
        delete(ArchiveCell).where(ArchiveCell.run_id == scope.run_id, ArchiveCell.task_id == scope.task_id)
    )
    for offset, one in enumerate(cells, start=1):
        elite = {"step_id": one.step_id, "candidate_id": one.candidate_id, "cell": one.cell, "fitness": one.fitness}
        connection.execute(insert(ArchiveEvent).values(**event, **elite, seq=seq + offset, kind=EventKind.NEW))
        connection.execute(insert(ArchiveCell).values(**names, **elite, picks=0, successes=0))
