"""Calibrations of devices, in a JSON file: read where estimates are made, written by the fit."""

from pathlib import Path

import msgspec

from tilewright.evaluator.calibration import Calibration
from tilewright.tasks.errors import UserError


class CalibrationFileError(UserError):
    """A file of calibrations cannot be used."""


def read_calibrations(path: Path) -> tuple[Calibration, ...]:
    """Return the calibrations of a file, one a device; none if there is no such file.

    Raises:
        CalibrationFileError: It cannot be read, or holds something else.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise CalibrationFileError(
            f"expected a readable file of calibrations, got {path} ({type(error).__name__})"
        ) from error
    try:
        return msgspec.json.decode(data, type=tuple[Calibration, ...])
    except msgspec.DecodeError as error:
        message = f"expected a file of calibrations, got {path} ({error}): delete it and calibrate again"
        raise CalibrationFileError(message) from error


def keep_calibration(path: Path, calibration: Calibration) -> None:
    """Store a device's calibration in place of its earlier one; the file is replaced whole.

    Raises:
        CalibrationFileError: The file cannot be read or written.
    """
    others = [one for one in read_calibrations(path) if one.device != calibration.device]
    kept = sorted((*others, calibration), key=lambda one: one.device)
    temporary = path.with_name(path.name + ".new")
    try:
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(kept), indent=2) + b"\n")
        temporary.replace(path)
    except OSError as error:
        raise CalibrationFileError(
            f"expected a place to write {path} ({type(error).__name__}): check the folder's permissions"
        ) from error


def choose_calibration(calibrations: tuple[Calibration, ...], target: str, device: str) -> Calibration | None:
    """Return the calibration for a target: the device's own, else another part's of that target, else None."""
    fitting = [one for one in calibrations if one.target == target]
    return next((one for one in fitting if one.device == device), fitting[0] if fitting else None)
