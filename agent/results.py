"""What a run found, task by task and bench case by bench case: the honest summary."""

import math

import msgspec

from tilewright.agent.loop import Ending
from tilewright.agent.sketches.catalogue import sketches_for
from tilewright.archive.records import Elite, StepKey
from tilewright.archive.store import Archive
from tilewright.evaluator.pool import Pool
from tilewright.evaluator.report import Report, TimeKind, Timing
from tilewright.tasks.candidate import source_sha
from tilewright.tasks.spec import CaseRole, KernelTask

MOST_CONFIRMED = 3  # elites that are judged again before a task is left without a winner
NO_WIN_SHARE = 1.04  # a speed-up below this is within the estimate's and the clock's uncertainty


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one task.

    Attributes:
        task: The task.
        refusal: Why it was not searched, or empty.
        ending: Why its search ended, or None if it was not searched.
        best: The best candidate, confirmed unless the search was interrupted.
        confirmation: Its second report, on other secret cases; None if it was not confirmed.
        start: Report of the plain starting kernel, or None.
        candidates: Finished steps.
    """

    task: KernelTask
    refusal: str = ""
    ending: Ending | None = None
    best: Elite | None = None
    confirmation: Report | None = None
    start: Report | None = None
    candidates: int = 0


class ResultRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One bench case of one task, as `run --json` prints it; times in microseconds, None where there is none."""

    task: str
    case: str
    correct: bool
    kind: TimeKind | None
    device: str | None
    best_us: float | None
    low_us: float | None
    high_us: float | None
    baseline: str | None
    baseline_us: float | None
    speedup: float | None
    floor_us: float | None
    share_of_floor: float | None
    start_us: float | None
    stages: dict[str, str]
    candidates: int
    candidate: str | None
    ending: str | None
    refusal: str


async def confirm_best(archive: Archive, pool: Pool, key: StepKey, task: KernelTask, ending: Ending) -> Finding:
    """Judge the fastest elites again on other secret cases, until one is right again."""
    rows = sorted(archive.elites(key.run_id, key.task_id), key=lambda row: -row.fitness)[:MOST_CONFIRMED]
    count = archive.spent(key.run_id, key.task_id).candidates
    start = _start(archive, key, task)
    for row in rows:
        elite = archive.elite(key.run_id, key.task_id, row.cell)
        recording = archive.recording(elite.candidate.id)
        if recording is None:
            continue
        report = await pool.confirm(task, elite.candidate, recording)
        if report.is_right:
            return Finding(task=task, ending=ending, best=elite, confirmation=report, start=start, candidates=count)
    return Finding(task=task, ending=ending, start=start, candidates=count)


def result_rows(finding: Finding) -> tuple[ResultRow, ...]:
    """Return a row for each bench case of a finding's task."""
    timings = {timing.case: timing for timing in finding.best.report.timing} if finding.best else {}
    return tuple(_row(finding, case.name, timings.get(case.name)) for case in finding.task.cases_of(CaseRole.BENCH))


def _row(finding: Finding, case: str, timing: Timing | None) -> ResultRow:
    best = finding.best
    starts = finding.start.timing if finding.start else ()
    stages = {one.stage.value: one.verdict.value for one in best.report.stages} if best else {}
    return ResultRow(
        task=finding.task.title,
        case=case,
        correct=best is not None and best.report.is_right,
        kind=timing.kind if timing else None,
        device=timing.device if timing else None,
        best_us=timing.candidate.median_us if timing else None,
        low_us=timing.candidate.low_us if timing else None,
        high_us=timing.candidate.high_us if timing else None,
        baseline=timing.baseline.name if timing else None,
        baseline_us=timing.baseline.span.median_us if timing else None,
        speedup=timing.speedup if timing else None,
        floor_us=timing.floor_us if timing else None,
        share_of_floor=timing.share_of_floor if timing else None,
        start_us=next((one.candidate.median_us for one in starts if one.case == case), None),
        stages=stages,
        candidates=finding.candidates,
        candidate=best.candidate.id if best else None,
        ending=finding.ending.value if finding.ending else None,
        refusal=finding.refusal,
    )


def summary_line(finding: Finding) -> str:
    """Say in one line what became of a task, a win or none."""
    if finding.refusal:
        return f"{finding.task.title}: not searched, {finding.refusal}"
    if finding.best is None:
        return f"{finding.task.title}: no right kernel among {finding.candidates} candidates ({finding.ending})"
    timing = min(finding.best.report.timing, key=lambda one: one.speedup)
    kind = timing.kind.value
    best = f"{timing.candidate.median_us:.1f} us {kind} on {timing.device}"
    if timing.speedup < NO_WIN_SHARE:
        return (
            f"{finding.task.title}: no win here: {best} against {timing.baseline.span.median_us:.1f} us "
            f"({timing.baseline.name}), at {timing.share_of_floor:.0%} of the floor"
        )
    return (
        f"{finding.task.title}: {timing.speedup:.2f}x over {timing.baseline.name} ({best}), "
        f"{timing.share_of_floor:.0%} of the floor, {finding.candidates} candidates, {finding.ending}"
    )


class Totals(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run in a few numbers.

    Attributes:
        cases: Bench cases of all tasks.
        passed: Those with a right kernel.
        geomean_speedup: Geometric mean of the right ones' speed-ups, or None.
        fast_p: For each threshold, the share of all cases that are right and faster by it (KernelBench).
    """

    cases: int
    passed: int
    geomean_speedup: float | None
    fast_p: dict[str, float]


def totals(rows: tuple[ResultRow, ...]) -> Totals:
    """Sum up result rows; fast_p = (cases that are right with a speed-up above p) / (all cases)."""
    speedups = [row.speedup for row in rows if row.correct and row.speedup is not None]
    mean = math.exp(sum(math.log(value) for value in speedups) / len(speedups)) if speedups else None
    thresholds = (0.0, 0.8, 1.0, 1.5, 2.0, 3.0)
    shares = {f"fast_{p:g}": sum(value > p for value in speedups) / max(len(rows), 1) for p in thresholds}
    return Totals(cases=len(rows), passed=sum(row.correct for row in rows), geomean_speedup=mean, fast_p=shares)


def _start(archive: Archive, key: StepKey, task: KernelTask) -> Report | None:
    """Return the report of the plain starting kernel, if it was tried and is right."""
    for sketch in sketches_for(task.family):
        if sketch.is_plain:
            first = [one for one in archive.trials(key.run_id, key.task_id, source_sha(sketch.source)) if not one.knobs]
            return archive.report(first[0].candidate_id) if first else None
    return None
