"""The runs and tasks of an archive, as commands name them."""

import msgspec

from tilewright.archive.reader import ArchiveReader
from tilewright.tasks.errors import UserError


class Place(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A task within a run, as the commands name it."""

    run_id: str
    run: str
    task_id: str
    task: str


def find_places(archive: ArchiveReader, run: str | None, task: str | None) -> tuple[Place, ...]:
    """Return the tasks that `--run` and `--task` name.

    Raises:
        UserError: There is no such run or task.
    """
    runs = archive.runs()
    if not runs:
        raise UserError("expected an archive with a run; this one is empty: start one with `tilewright run`")
    record = archive.run(run) if run is not None else runs[-1]
    places = tuple(
        Place(run_id=record.id, run=record.name, task_id=task_id, task=archive.task(task_id).title)
        for task_id in archive.run_tasks(record.id)
    )
    chosen = tuple(place for place in places if task is None or task in (place.task, place.task_id))
    if not chosen:
        known = ", ".join(place.task for place in places) or "none yet"
        raise UserError(f"expected a task of run {record.name}, one of: {known}; got {task!r}")
    return chosen


def best_candidate(archive: ArchiveReader, places: tuple[Place, ...]) -> str:
    """Return the best candidate of the one task that is named.

    Raises:
        UserError: Several tasks are named, or the task has no right kernel.
    """
    if len(places) != 1:
        raise UserError(f"expected one task to export from; the run has {len(places)}: name one with --task")
    elite = archive.best(places[0].run_id, places[0].task_id)
    if elite is None:
        raise UserError(f"expected a right kernel for {places[0].task}; run {places[0].run} has none")
    return elite.candidate.id
