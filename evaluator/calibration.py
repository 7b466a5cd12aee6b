"""Fit the cost model's constants to one device's times, and keep them only if they order kernels held out better.

The fit (`calibration_fit.py`, `calibration_fitting.py`) makes the rank correlation within each group of kernels (a
task's bench case) large. Whether it helped is asked of kernels that it did not see: the kernels of each group are dealt
into three folds, each fold is estimated with constants fitted to the other two, and its rank correlation is compared
with that of the shipped constants. These stay where the fitted ones order held-out kernels no better.
"""

import hashlib

import msgspec
import numpy
from msgspec import structs

from tilewright.evaluator.calibration_fit import Floats
from tilewright.evaluator.calibration_fitting import Device, Fitting, Observation
from tilewright.evaluator.calibration_ranks import GroupRanks
from tilewright.evaluator.costmodel import plan_work
from tilewright.evaluator.costmodel_constants import SHIPPED, CostConstants
from tilewright.evaluator.hardware import Hardware
from tilewright.evaluator.recording import CaseCount, Recording
from tilewright.evaluator.timing import TimeKind, Timing
from tilewright.tasks.errors import UserError
from tilewright.tasks.spec import KernelTask

FEWEST = 30  # times; with fewer, held-out ranks say nothing
_BAND_SHARE = 0.8
_BANDS = (0.02, 0.75)  # least and largest band


class CalibrationError(UserError):
    """There is too little to fit."""


class Calibration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The constants of one device, with the evidence for them.

    Attributes:
        target: Name of the target.
        device: The device that was measured.
        constants: Fitted, or the shipped ones where no fit orders held-out kernels better.
        is_fitted: Whether they were fitted.
        band: Share of the time within which four of five held-out estimates lie.
        times: Measured times that were used.
        held_out_before: Mean over groups and folds of Kendall's tau-b with the shipped constants.
        held_out_after: The same, each fold estimated with constants that were fitted to the others.
        groups: Each group.
    """

    target: str
    device: str
    constants: CostConstants
    is_fitted: bool
    band: float
    times: int
    held_out_before: float
    held_out_after: float
    groups: tuple[GroupRanks, ...]

    @property
    def id(self) -> str:
        """First 8 hex digits of the SHA-256 of all fields."""
        return hashlib.sha256(msgspec.msgpack.encode(self)).hexdigest()[:8]


def calibrated(hardware: Hardware, calibration: Calibration | None) -> Hardware:
    """Return a part's rates with a device's constants, if they are of this target; its name then says so."""
    if calibration is None or calibration.target != hardware.target:
        return hardware
    name = f"{hardware.device}, calibration {calibration.id}"
    return structs.replace(hardware, device=name, constants=calibration.constants, band=calibration.band)


def observe(
    task: KernelTask, recording: Recording, counts: tuple[CaseCount, ...], timing: Timing, where: Device
) -> Observation:
    """Return a measured time with the work that it took.

    Args:
        task: What the kernel answers.
        recording: Its plans and the compiler's facts.
        counts: Counted work of each bench case.
        timing: The measured time of one bench case.
        where: The device that it was measured on.

    Raises:
        ValueError: The time is an estimate, or its case has no plan or count.
    """
    plan = next((one for one in recording.plans if one.case == timing.case), None)
    count = next((one for one in counts if one.case == timing.case), None)
    if timing.kind is not TimeKind.MEASURED or plan is None or count is None:
        raise ValueError(f"expected a measured time with a plan and a count of {timing.case}")
    return Observation(
        group=f"{task.title} {timing.case}",
        code=structs.replace(recording, plans=(plan,)).binary_id,
        measured_us=timing.candidate.median_us,
        works=plan_work(recording, plan, count.launches, where.target, where.hardware),
    )


def calibrate(observations: tuple[Observation, ...], where: Device) -> Calibration:
    """Return the constants of a device, fitted to times of it if that orders held-out kernels better.

    Args:
        observations: Measured times of at least `FEWEST` kernels; of one kernel's times the last counts.
        where: The device.

    Raises:
        CalibrationError: There are too few times.
    """
    kernels = tuple({(one.group, one.code): one for one in observations}.values())
    if len(kernels) < FEWEST:
        raise CalibrationError(
            f"expected times of at least {FEWEST} kernels measured on {where.device}, got {len(kernels)}: "
            "run a search on that device first"
        )
    fitting = Fitting(kernels, where)
    before = fitting.mean_rank(fitting.shipped, is_by_fold=True)
    after = fitting.mean_rank(fitting.held_out, is_by_fold=True)
    is_better = after > before
    constants = fitting.fitted if is_better else SHIPPED
    return Calibration(
        target=where.target.name,
        device=where.device,
        constants=constants,
        is_fitted=is_better,
        band=_band(fitting.held_out if is_better else fitting.shipped, fitting.measured),
        times=len(kernels),
        held_out_before=before,
        held_out_after=after,
        groups=fitting.ranks(fitting.estimates(constants)),
    )


def _band(estimates: Floats, measured: Floats) -> float:
    """Return the share of an estimate within which four of five measured times lie."""
    off = numpy.abs(numpy.exp(measured - estimates) - 1.0)
    return float(numpy.clip(numpy.quantile(off, _BAND_SHARE), *_BANDS))
