"""Fit the cost model's constants to one device's times, and keep them only if they order kernels held out better.

The fit (`calibration_fit.py`) makes log ratios of estimates and times small. Whether it helped is asked of kernels that
it did not see: programs are dealt into folds, each fold is estimated with constants fitted to the others, and the rank
correlation within each group (a task's bench case) is compared with that of the shipped constants. Of several pulls
towards the shipped constants the one that orders held-out kernels best is taken; the shipped constants stay where
none orders them better.
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
from tilewright.evaluator.report import TimeKind, Timing
from tilewright.tasks.errors import UserError
from tilewright.tasks.spec import KernelTask

FEWEST = 20  # times; with fewer, held-out ranks say nothing
_FEWEST_PROGRAMS = 2
STIFFNESSES = (0.003, 0.03)  # pulls towards the shipped constants; the weights of all times add up to 1
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
        held_out_before: Mean over the groups of Kendall's tau-b, shipped constants.
        held_out_after: Mean over the groups of Kendall's tau-b on held-out programs, fitted constants.
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
    """Return a part's rates with a device's constants, if they are of this target."""
    if calibration is None or calibration.target != hardware.target:
        return hardware
    return structs.replace(hardware, constants=calibration.constants, band=calibration.band)


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
    kernels = dict.fromkeys(launch.kernel for launch in plan.launches)
    return Observation(
        group=f"{task.title} {timing.case}",
        program=f"{task.id} {' '.join(kernels)}",
        measured_us=timing.candidate.median_us,
        works=plan_work(recording, plan, count.launches, where.target, where.hardware),
    )


def calibrate(observations: tuple[Observation, ...], where: Device) -> Calibration:
    """Return the constants of a device, fitted to times of it if that orders held-out kernels better.

    Args:
        observations: Measured times, at least `FEWEST`, of at least two programs.
        where: The device.

    Raises:
        CalibrationError: There are too few times or programs.
    """
    programs = {one.program for one in observations}
    if len(observations) < FEWEST or len(programs) < _FEWEST_PROGRAMS:
        raise CalibrationError(
            f"expected at least {FEWEST} times of {_FEWEST_PROGRAMS} programs measured on {where.device}; "
            f"got {len(observations)} of {len(programs)}: run a search on that device first"
        )
    fitting = Fitting(observations, where)
    shipped = fitting.shipped
    trials = {stiffness: fitting.held_out(stiffness) for stiffness in STIFFNESSES}
    before = fitting.mean_rank(shipped)
    best = max(STIFFNESSES, key=lambda one: fitting.mean_rank(trials[one]))
    is_better = fitting.mean_rank(trials[best]) > before
    constants = fitting.constants(fitting.fitted(best)) if is_better else SHIPPED
    kept = fitting.estimates(constants) if is_better else shipped
    return Calibration(
        target=where.target.name,
        device=where.device,
        constants=constants,
        is_fitted=is_better,
        band=_band(trials[best] if is_better else shipped, fitting.measured),
        times=len(observations),
        held_out_before=before,
        held_out_after=fitting.mean_rank(trials[best]),
        groups=fitting.ranks(shipped, trials[best], kept),
    )


def _band(estimates: Floats, measured: Floats) -> float:
    """Return the share of an estimate within which four of five measured times lie."""
    off = numpy.abs(numpy.exp(measured - estimates) - 1.0)
    return float(numpy.clip(numpy.quantile(off, _BAND_SHARE), *_BANDS))
