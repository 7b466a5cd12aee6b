"""A bench case made ready for timing: input sets, captured baselines, floor; kept while its task is searched."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch

from tilewright.evaluator.eager_cost import eager_ops
from tilewright.evaluator.gpu.baseline_store import BaselineRecord, BaselineStore
from tilewright.evaluator.gpu.baselines import (
    BASELINE_NAMES,
    BaselineError,
    BaselineWork,
    BaselineWorks,
    CompilerSettings,
    capture_baseline,
    measure_baselines,
    set_precision,
)
from tilewright.evaluator.gpu.captured import CacheFlush, CaptureError
from tilewright.evaluator.gpu.device_rates import MeasuredHardware, task_floor
from tilewright.evaluator.gpu.input_sets import InputSets, draw_sets, set_bytes
from tilewright.evaluator.gpu.timing_schedule import count_sets
from tilewright.evaluator.timing import Baseline
from tilewright.tasks.spec import Case, KernelTask

# Of the device's memory, the sets and answers of one case may take this share, and those of all kept cases twice it.
_MEMORY_SHARE = 0.12
_KEPT_CASES = 4


class BenchSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How bench cases are made ready.

    Attributes:
        target: Name of the target.
        seed: Of the inputs.
        compiler: How the compiled baselines are made.
        records: Folder of measured baselines; empty keeps them for this process only.
        baselines: Which ones are measured.
    """

    target: str
    seed: int
    compiler: CompilerSettings
    records: str = ""
    baselines: tuple[str, ...] = BASELINE_NAMES


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A bench case, ready.

    Attributes:
        case: The case.
        sets: Its data.
        works: Captured baselines: the fastest, and others if they were measured in this process.
        baselines: Times of all baselines, the fastest first.
        notes: Which baselines do not work, and why.
        floor_us: Least time that the device needs.
    """

    case: Case
    sets: InputSets
    works: BaselineWorks
    baselines: tuple[Baseline, ...]
    notes: tuple[str, ...]
    floor_us: float

    @property
    def fastest(self) -> BaselineWork:
        """The fastest baseline."""
        return self.works.of(self.baselines[0].name)


class Benches:
    """Makes bench cases ready and keeps the latest few.

    Args:
        device: The device.
        hardware: Its rates.
        settings: How.
        progress: Told what is being done.
    """

    def __init__(
        self, device: torch.device, hardware: MeasuredHardware, settings: BenchSettings, progress: Callable[[str], None]
    ) -> None:
        set_precision()
        self.hardware = hardware
        self.stream: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch's is not typed
        self.flush = CacheFlush(hardware.l2_bytes, device)
        self._device = device
        self._settings = settings
        self._progress = progress
        folder = Path(settings.records) if settings.records else None
        self._store = BaselineStore(folder, (hardware.device, hardware.driver, str(torch.__version__)))
        self._kept: dict[tuple[str, str], Bench] = {}

    def prepare(self, task: KernelTask, case: Case, *, anew: bool = False) -> Bench:
        """Return a case with its baselines.

        The first time in an environment all baselines are captured and measured; a later process captures only the
        fastest again.

        Args:
            task: The task.
            case: One of its bench cases.
            anew: Whether all baselines are measured again, now.

        Raises:
            CaptureError: No baseline works.
            TaskError: The task's file does not work.
            torch.OutOfMemoryError: The device is too small for the case.
        """
        key = (task.id, case.name)
        found = self._kept.pop(key, None)
        if found is None:
            found = self._make(task, case)
        if anew:
            found = self._renew(task, found)
        self._kept[key] = found
        while len(self._kept) > _KEPT_CASES:
            del self._kept[next(iter(self._kept))]
        return found

    def forget(self) -> None:
        """Let go of all kept cases and their memory."""
        self._kept.clear()
        torch.cuda.empty_cache()

    def _make(self, task: KernelTask, case: Case) -> Bench:
        self._progress(f"inputs of {case.name}")
        floor_us = task_floor(case, eager_ops(task, case), self.hardware, self._settings.target)
        _, total_bytes = torch.cuda.mem_get_info(self._device)
        allowed = int(total_bytes * _MEMORY_SHARE)
        count = count_sets(set_bytes(case), self.hardware.l2_bytes, floor_us, allowed)
        sets = draw_sets(task, case, count, self._settings.seed, self._device)
        works, record = self._captured_before(task, sets) or self._capture_all(task, sets)
        return _assemble(sets, works, record, floor_us)

    def _captured_before(self, task: KernelTask, sets: InputSets) -> tuple[BaselineWorks, BaselineRecord] | None:
        """Return the fastest baseline of an earlier process, captured again; None if there was none or it fails now."""
        record = self._store.find(task.id, sets.case.name)
        if not record.is_complete:
            return None
        try:
            return self._capture(task, sets, (record.baselines[0].name,)), record
        except CaptureError:
            return None

    def _capture_all(self, task: KernelTask, sets: InputSets) -> tuple[BaselineWorks, BaselineRecord]:
        """Capture and measure every baseline but those that were begun in an earlier process and never ended."""
        record = self._store.find(task.id, sets.case.name)
        lost = set() if record.is_complete else set(record.attempted)
        names = tuple(one for one in self._settings.baselines if one not in lost) or self._settings.baselines[:1]
        works = self._capture(task, sets, names)
        return works, self._measure(task, sets.case, works)

    def _renew(self, task: KernelTask, bench: Bench) -> Bench:
        """Measure all baselines again, those that this process has not captured included."""
        here = {work.name for work in bench.works.works}
        missing = tuple(one.name for one in bench.baselines if one.name not in here)
        works = bench.works
        if missing:
            more = self._capture(task, bench.sets, missing)
            works = BaselineWorks(works=(*works.works, *more.works), notes=(*works.notes, *more.notes))
        return _assemble(bench.sets, works, self._measure(task, bench.case, works), bench.floor_us)

    def _capture(self, task: KernelTask, sets: InputSets, names: tuple[str, ...]) -> BaselineWorks:
        """Capture baselines one by one; one that fails leaves a note.

        Raises:
            CaptureError: None works.
        """
        known = self._store.find(task.id, sets.case.name)
        works, notes = [], []
        for name in names:
            self._progress(f"baseline {name} of {sets.case.name}")
            if not known.is_complete:
                known = msgspec.structs.replace(known, attempted=(*known.attempted, name))
                self._store.keep(task.id, sets.case.name, known)
            try:
                works.append(capture_baseline(name, sets, self.stream, self._settings.compiler))
            except BaselineError as error:
                notes.append(str(error))
        if not works:
            raise CaptureError(f"no baseline of {sets.case.name} works: {'; '.join(notes)}")
        return BaselineWorks(works=tuple(works), notes=(*known.notes, *notes))

    def _measure(self, task: KernelTask, case: Case, works: BaselineWorks) -> BaselineRecord:
        with torch.cuda.stream(self.stream):
            baselines = measure_baselines(works, self.flush)
        for work in works.works:
            work.overwrite()
        names = tuple(one.name for one in baselines)
        measured = BaselineRecord(attempted=names, baselines=baselines, notes=tuple(dict.fromkeys(works.notes)))
        self._store.keep(task.id, case.name, measured)
        return measured


def _assemble(sets: InputSets, works: BaselineWorks, record: BaselineRecord, floor_us: float) -> Bench:
    return Bench(
        case=sets.case, sets=sets, works=works, baselines=record.baselines, notes=record.notes, floor_us=floor_us
    )
