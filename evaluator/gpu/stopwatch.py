"""Times a candidate on a bench case: interleaved with the fastest baseline, over the same inputs, in CUDA graphs."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from tilewright.evaluator.dossier import Dossier
from tilewright.evaluator.gpu import driver
from tilewright.evaluator.gpu.bench import Benches
from tilewright.evaluator.gpu.candidate_work import CandidateWork, Seat
from tilewright.evaluator.gpu.captured import Contestant, take_turns
from tilewright.evaluator.gpu.spreads import pair, ratio_drift, to_span
from tilewright.evaluator.gpu.timing_schedule import Side, TimingBudget, count_pairs, interleave
from tilewright.evaluator.gpu.vitals import Vitals, disturbance
from tilewright.evaluator.gpu.vitals_reader import VitalsReader
from tilewright.evaluator.timing import Baseline, TimeKind, Timing
from tilewright.sandbox.failure import Failure
from tilewright.tasks.spec import Case

# A window whose paired ratio moved by more than this from its first half to its second is measured again.
_DRIFT = 0.02
_FEWEST_WARM_TURNS = 4

Times = Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """One measurement.

    Attributes:
        times: Microseconds of each turn, by side.
        before: The device before it.
        after: The device after it.
        fault: What disturbed it, or None.
    """

    times: Times
    before: Vitals
    after: Vitals
    fault: str | None


class Stopwatch:
    """Times candidates on one device.

    Args:
        benches: Bench cases, ready.
        vitals: Reads the device's clocks and temperature.
        seed: Of the order of turns and of the bootstrap.
    """

    def __init__(self, benches: Benches, vitals: VitalsReader, seed: int) -> None:
        self.benches = benches
        self._vitals = vitals
        self._seed = seed

    def time_case(self, dossier: Dossier, case: Case, seat: Seat, budget: TimingBudget) -> Timing | Failure:
        """Load a candidate for one of its bench cases, time it and let it go; see `time`.

        Raises:
            CaptureError: No baseline of the case works.
            ArenaFullError: There is too little device memory.
            DriverError: The device failed.
        """
        bench = self.benches.prepare(dossier.task, case, anew=budget.is_final)
        with CandidateWork(dossier, bench, seat, self.benches.stream) as work:
            return self.time(work, budget)

    def time(self, work: CandidateWork, budget: TimingBudget) -> Timing | Failure:
        """Time a candidate and compare what its last timed replay left with the baseline's answers.

        The repeats follow from the baseline's time, the order from the seed; neither can be moved by a candidate
        that is not slower. Outputs and scratch are poisoned, the baseline's answers overwritten and the cache emptied
        before each of the candidate's turns; both sides start a turn with an empty cache.

        Args:
            work: The candidate on the case's input sets.
            budget: How much GPU time to spend.

        Raises:
            DriverError: The device failed.
        """
        bench, count = work.bench, work.bench.sets.count
        sides: dict[str, Contestant] = {Side.CANDIDATE: work, Side.BASELINE: bench.fastest}
        with torch.cuda.stream(self.benches.stream):
            pairs = self._warm(sides, budget)
            window = self._measure(sides, interleave(pairs, self._seed), budget)
            fault = work.find_fault()
            bench.fastest.overwrite()
        if fault is not None:
            return fault
        candidate = tuple(one / count for one in window.times[Side.CANDIDATE])
        baseline = tuple(one / count for one in window.times[Side.BASELINE])
        fastest = Baseline(name=bench.fastest.name, span=to_span(baseline))
        return Timing(
            case=bench.case.name,
            kind=TimeKind.MEASURED,
            device=self.benches.hardware.device,
            candidate=to_span(candidate),
            baselines=(fastest, *(one for one in bench.baselines if one.name != fastest.name)),
            floor_us=bench.floor_us,
            paired=pair(baseline, candidate, self._seed),
            host_us=work.host_us,
            notes=(*work.notes, *bench.notes, *_describe(window, count, fastest.name, budget)),
        )

    def _warm(self, sides: Mapping[str, Contestant], budget: TimingBudget) -> int:
        """Take untimed turns until the device is warm, and return how many pairs will be timed."""
        first = self._turns(sides, (Side.BASELINE, Side.CANDIDATE) * (_FEWEST_WARM_TURNS // 2))
        baseline_us, candidate_us = first[Side.BASELINE][-1], first[Side.CANDIDATE][-1]
        more = int(budget.warm_ms * 1e3 / (baseline_us + candidate_us)) - _FEWEST_WARM_TURNS // 2
        if more > 0:
            self._turns(sides, (Side.BASELINE, Side.CANDIDATE) * more)
        return count_pairs(budget, baseline_us, candidate_us)

    def _measure(self, sides: Mapping[str, Contestant], order: tuple[Side, ...], budget: TimingBudget) -> _Window:
        """Measure until a window is undisturbed, at most as often as the budget says; return the last."""
        for _ in range(budget.windows):
            before = self._vitals.read()
            driver.check(driver.api().cuCtxResetPersistingL2Cache(), "cuCtxResetPersistingL2Cache")
            times = self._turns(sides, order)
            after = self._vitals.read()
            window = _Window(times=times, before=before, after=after, fault=_find_fault(times, before, after))
            if window.fault is None:
                break
        return window

    def _turns(self, sides: Mapping[str, Contestant], order: tuple[Side, ...]) -> Times:
        return take_turns(sides, order, self.benches.flush)


def _find_fault(times: Times, before: Vitals, after: Vitals) -> str | None:
    """Return what disturbed a window, or None."""
    found = disturbance(before, after)
    drift = ratio_drift(times[Side.BASELINE], times[Side.CANDIDATE])
    if found is None and drift > _DRIFT:
        return f"the ratio moved by {drift:.1%} within the window"
    return found


def _describe(window: _Window, count: int, baseline: str, budget: TimingBudget) -> tuple[str, ...]:
    """Return what a reader must know of a window."""
    pairs = len(window.times[Side.CANDIDATE])
    notes = [f"{pairs} pairs beside {baseline}, {count} input sets a replay; {window.after}"]
    if not budget.is_final:
        notes.append("the other baselines were measured once, not beside this candidate")
    if window.fault is not None:
        notes.append(f"disturbed {budget.windows} times in a row, the last time: {window.fault}")
    others = len(window.after.other_processes)
    if others:
        notes.append(f"{others} other process(es) on the device")
    return tuple(notes)
