"""Fit the cost model to the times that an archive holds; the result lies beside the archive."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tilewright.archive.location import Location
from tilewright.archive.reader import ArchiveReader
from tilewright.evaluator.calibration import Calibration, calibrate, observe
from tilewright.evaluator.calibration_file import choose_calibration, read_calibrations
from tilewright.evaluator.calibration_fitting import Device, Observation
from tilewright.evaluator.hardware import find_hardware
from tilewright.evaluator.report import Environment, Report
from tilewright.evaluator.timing import TimeKind
from tilewright.sandbox.targets import find_target
from tilewright.tasks.errors import UserError

MOST_ATTEMPTS = 100_000  # of a task, newest first


def calibration_path(location: Location) -> Path:
    """Return the file of calibrations that belongs to an archive: beside it, or in this folder for a server."""
    if location.path is not None:
        return location.path.with_suffix(".calibration.json")
    database = location.url.database if location.url is not None else None
    return Path(f"{database or 'tilewright'}.calibration.json")


def stored_calibration(location: Location, target: str) -> Calibration | None:
    """Return the calibration that an archive's estimates for a target use, or None.

    Raises:
        CalibrationFileError: There is a file, and it cannot be used.
    """
    return choose_calibration(read_calibrations(calibration_path(location)), target, find_target(target).device)


def measured_devices(archive: ArchiveReader) -> tuple[str, ...]:
    """Return the devices that times of an archive were measured on, sorted."""
    return tuple(sorted({row.environment.device for row in _measured(archive)}))


def calibrate_device(archive: ArchiveReader, device: str | None) -> Calibration:
    """Fit the constants of a device to every time of it that an archive holds.

    Args:
        archive: Where measured times are.
        device: Its name; None for the only one.

    Raises:
        UserError: The archive has no measured times, several devices and none named, or too few times of it.
    """
    known = measured_devices(archive)
    chosen = device if device is not None else (known[0] if len(known) == 1 else None)
    if not known:
        raise UserError("expected measured times; this archive has estimates only: run a search on a GPU first")
    if chosen not in known:
        raise UserError(f"expected --device, one of {', '.join(known)}; got {device!r}")
    rows = [row for row in _measured(archive) if row.environment.device == chosen]
    target = rows[0].environment.target
    where = Device(device=chosen, target=find_target(target), hardware=find_hardware(target))
    return calibrate(tuple(one for row in rows for one in _observations(archive, row, where)), where)


class _Row(NamedTuple):
    """A right candidate with measured times, as one run judged it."""

    task_id: str
    candidate_id: str
    report: Report
    environment: Environment


def _measured(archive: ArchiveReader) -> Iterator[_Row]:
    """Yield each right candidate with measured times once a run; a wrong one's time is that of other work."""
    for run in archive.runs():
        for task_id in archive.run_tasks(run.id):
            attempts = archive.attempts(run.id, task_id, limit=MOST_ATTEMPTS)
            for candidate_id in dict.fromkeys(one.candidate_id for one in attempts if one.time_us is not None):
                report = archive.report(candidate_id, run.id)
                if report is None or not report.is_right or archive.disproofs(candidate_id):
                    continue
                if any(one.kind is TimeKind.MEASURED for one in report.timing):
                    yield _Row(task_id, candidate_id, report, archive.environment(report.environment_id))


def _observations(archive: ArchiveReader, row: _Row, where: Device) -> Iterator[Observation]:
    recording = archive.recording(row.candidate_id)
    if recording is None:
        return
    counted = {one.case for one in row.report.counts}
    for timing in row.report.timing:
        if timing.kind is TimeKind.MEASURED and timing.case in counted:
            yield observe(archive.task(row.task_id), recording, row.report.counts, timing, where)
