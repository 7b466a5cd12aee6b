"""A judge child's work: examine a recorded candidate on the GPU, time it, see that its kernels work, profile it."""

import gc
import platform
import secrets
import tempfile
import time
from pathlib import Path

import msgspec
import torch

from tilewright.evaluator.dossier import Dossier
from tilewright.evaluator.floor import beyond_floor
from tilewright.evaluator.gpu import driver
from tilewright.evaluator.gpu.arena import ArenaFullError
from tilewright.evaluator.gpu.baselines import import_compiler
from tilewright.evaluator.gpu.candidate_work import CandidateWork
from tilewright.evaluator.gpu.child_protocol import Broken, Busy, Device, JudgeOrder, Tell
from tilewright.evaluator.gpu.context import DeviceContext
from tilewright.evaluator.gpu.errors import UnfitError
from tilewright.evaluator.gpu.examination import examine
from tilewright.evaluator.gpu.integrity import StepShares, find_idle_kernel, measure_steps
from tilewright.evaluator.gpu.profile import measured_profile
from tilewright.evaluator.gpu.settings import GpuSettings
from tilewright.evaluator.gpu.stopwatch import Stopwatch
from tilewright.evaluator.gpu.timing_schedule import TimingBudget
from tilewright.evaluator.gpu.tools import inspect, with_findings
from tilewright.evaluator.gpu.vitals_reader import VitalsError, VitalsReader
from tilewright.evaluator.gpu.workplace import WorkplaceSettings, open_stopwatch
from tilewright.evaluator.occasion import Occasion
from tilewright.evaluator.report import Profile, Report
from tilewright.evaluator.timing import Timing
from tilewright.sandbox.failure import Failure, Stage
from tilewright.sandbox.protocol import Entered
from tilewright.tasks.spec import Case, CaseRole

_STEPS_S = 20.0
_OWN_WORK_S = 300.0  # compiling a baseline with autotuning takes a minute or more
_PROBE_ELEMENTS = 1 << 20


def warm() -> None:
    """Import what a first candidate would have to wait for: the modules above, and the baselines' compiler."""
    import_compiler()


def start(settings: GpuSettings, tell: Tell) -> "GpuJudge":
    """Return the work of a child that has just been forked."""
    return GpuJudge(settings, tell)


class Timed(msgspec.Struct, frozen=True, kw_only=True):
    """A bench case's time and where it goes, or why the candidate is refused."""

    timing: Timing | None
    shares: StepShares | None
    failure: Failure | None


class GpuJudge:
    """Judges one candidate after another on the process's first device.

    Args:
        settings: What the judge needs to know.
        tell: Told what is being done, so that silence means a hang.
    """

    def __init__(self, settings: GpuSettings, tell: Tell) -> None:
        self._cache = settings.cache
        self._tell = tell
        self._context: DeviceContext | None = None
        self._stopwatch: Stopwatch | None = None
        self._target = ""

    def device(self) -> Device:
        """Make the context, see that the device computes what it should, and describe it.

        Raises:
            UnfitError: There is no such device, or it cannot be used.
        """
        try:
            driver.open_device(0)
            torch.cuda.init()  # type: ignore[no-untyped-call]  # torch does not annotate it
            self._context = DeviceContext(0, self._tell)
            _probe(self._context.device)
            free, total = torch.cuda.mem_get_info(0)
            properties = torch.cuda.get_device_properties(0)
            with VitalsReader(f"GPU-{properties.uuid}") as vitals:
                version = vitals.driver
        except (driver.CudaMissingError, driver.DriverError, VitalsError, RuntimeError) as error:
            raise UnfitError(str(error).splitlines()[0]) from error
        self._target = f"cuda:{properties.major}{properties.minor}"
        return Device(
            name=properties.name,
            target=self._target,
            driver=version,
            memory_bytes=total,
            free_bytes=free,
            torch=str(torch.__version__),
            python=platform.python_version(),
            machine=f"{platform.release()} {platform.machine()}",
        )

    def broken(self) -> Broken | None:
        """Return why the context is lost, or None if it is healthy."""
        try:
            driver.synchronize()
        except driver.DriverError as error:
            return Broken(code=error.name, number=error.code)
        return None

    def gauge(self) -> bytes:
        """Return the device's rates as JSON of `MeasuredHardware`, measured if they are not known yet."""
        return msgspec.json.encode(self._timing(self._target).benches.hardware)

    def judge(self, order: JudgeOrder) -> Report:
        """Run the stages; time and profile a candidate that passes them.

        Raises:
            OracleError: The reference cannot answer a case that its task declares.
            ArenaFullError: The device is too small for the candidate beside what judging itself takes.
        """
        started = time.monotonic()
        dossier, context = order.dossier, self._ready()
        self._tell(Busy(what="answering small cases", limit_s=_OWN_WORK_S))
        context.adopt(dossier.binaries)
        examination = examine(dossier, context)
        timed = self._time(dossier, order.occasion) if examination.failure is None else ()
        timing = tuple(one.timing for one in timed if one.timing is not None)
        fault = next((one.failure for one in timed if one.failure is not None), None)
        failure = examination.failure or fault or beyond_floor(timing)
        profile = self._profile(dossier, _slowest(timed)) if timed and failure is None else None
        if profile is not None and order.occasion is Occasion.FINAL:
            profile = self._inspect(profile, dossier, _slowest(timed))
        return Report(
            candidate_id=dossier.candidate.id,
            environment_id=order.environment_id,
            stages=examination.stages,
            timing=timing,
            counts=dossier.counts,
            profile=profile,
            failure=failure,
            judge_s=time.monotonic() - started,
        )

    def _time(self, dossier: Dossier, occasion: Occasion) -> tuple[Timed, ...]:
        """Time every bench case; stop at the first where the candidate is at fault."""
        found: list[Timed] = []
        for case in dossier.task.cases_of(CaseRole.BENCH):
            try:
                one = self._time_case(dossier, case, occasion)
            except (torch.OutOfMemoryError, ArenaFullError):
                self._make_room()  # cached answers and other tasks' baselines are in the way
                one = self._time_case(dossier, case, occasion)
            found.append(one)
            if one.failure is not None:
                break
        return tuple(found)

    def _time_case(self, dossier: Dossier, case: Case, occasion: Occasion) -> Timed:
        """Time a bench case, then leave out its kernels one by one and time its steps."""
        stopwatch = self._timing(dossier.recording.target)
        budget = TimingBudget.final() if occasion is Occasion.FINAL else TimingBudget.search()
        bench = stopwatch.benches.prepare(dossier.task, case, anew=budget.is_final)
        self._tell(Entered(stage=Stage.TIMING, case=case.name))
        with CandidateWork(dossier, bench, self._ready(), stopwatch.benches.stream) as work:
            timing = stopwatch.time(work, budget)
            if isinstance(timing, Failure):
                return Timed(timing=None, shares=None, failure=timing)
            # steps alone and kernels left out: what hangs now was not asked for by the candidate
            self._tell(Busy(what="looking at single steps", limit_s=_STEPS_S))
            shares = measure_steps(work, timing.candidate.median_us)
            return Timed(timing=timing, shares=shares, failure=find_idle_kernel(work))

    def _profile(self, dossier: Dossier, slowest: Timed) -> Profile | None:
        """Return where the time of a bench case goes."""
        if slowest.timing is None or slowest.shares is None:
            return None
        target = dossier.recording.target
        hardware = self._timing(target).benches.hardware.to_hardware(target)
        shares = slowest.shares
        return measured_profile(dossier, slowest.timing, shares.steps, min(1.0, shares.own_share), hardware)

    def _inspect(self, profile: Profile, dossier: Dossier, slowest: Timed) -> Profile:
        """Return a finalist's profile with what the vendor's tools say of it, where the machine has them."""
        if slowest.timing is None:
            return profile
        self._tell(Busy(what="profiler and memory checks of a finalist", limit_s=_OWN_WORK_S))
        with tempfile.TemporaryDirectory(prefix="tilewright-tools-") as folder:
            return with_findings(profile, inspect(dossier, slowest.timing.case, Path(folder)))

    def _timing(self, target: str) -> Stopwatch:
        """Return the stopwatch; the first call of a process may measure the device."""
        if self._stopwatch is None:
            device = self._ready().device
            uuid = str(torch.cuda.get_device_properties(device).uuid)
            settings = WorkplaceSettings(
                target=target,
                cache=str(Path(self._cache, uuid)),
                seed=secrets.randbits(31),  # nobody shall know the timed inputs and the order of turns
            )
            self._stopwatch = open_stopwatch(
                settings, device, lambda what: self._tell(Busy(what=what, limit_s=_OWN_WORK_S))
            )
        return self._stopwatch

    def _ready(self) -> DeviceContext:
        assert self._context is not None, "expected `device` to be called first"
        return self._context

    def _make_room(self) -> None:
        self._ready().answers.forget()
        self._timing(self._target).benches.forget()
        gc.collect()
        torch.cuda.empty_cache()


def _slowest(timed: tuple[Timed, ...]) -> Timed:
    """Return the bench case that takes longest."""
    return max(timed, key=lambda one: one.timing.candidate.median_us if one.timing is not None else 0.0)


def _probe(device: torch.device) -> None:
    """See that the device computes what it should.

    Raises:
        UnfitError: It does not.
    """
    numbers = torch.arange(_PROBE_ELEMENTS, dtype=torch.int64, device=device)
    found = int((numbers * 3 + 1).sum())
    expected = 3 * (_PROBE_ELEMENTS * (_PROBE_ELEMENTS - 1) // 2) + _PROBE_ELEMENTS
    if found != expected:
        raise UnfitError(f"expected the device to add up to {expected}, got {found}")
