"""Before a GPU is asked for: which candidates go first, and which cannot take their cell by any fair guess.

A candidate changes the map only if it beats the elite of its cell. Where the quick end of its estimated time is still
far slower than the elite's measured one, measuring it would most likely be a waste. A share of such candidates is
measured all the same, so that a cost model that is wrong about a kind of kernel is found out, and calibrated.
"""

import math

from tilewright.agent.search import Search
from tilewright.archive.draws import generator
from tilewright.archive.records import EliteRow, PlannedStep
from tilewright.evaluator.pool import Prospect, Triage
from tilewright.evaluator.recording import Recording
from tilewright.evaluator.report import Report
from tilewright.evaluator.timing import TimeKind, Timing
from tilewright.sandbox.failure import Failure, FailureKind, Stage

EXPLORED_SHARE = 0.2  # of hopeless candidates that are measured nevertheless
HOPELESS_RATIO = 1.5  # quick end of the estimate over the elite's time
_LAST = 1e6  # rank of what is measured to learn, not to win


def triage_of(search: Search, planned: PlannedStep, recording: Recording) -> Triage | None:
    """Return what decides about measuring a candidate; None where times are estimated anyway.

    The draw that lets a hopeless candidate through depends on the run's seed, the task and the step alone.
    """
    if search.plan.config.judging is not TimeKind.MEASURED:
        return None

    def weigh(estimate: tuple[Timing, ...]) -> Prospect:
        elite = _elite(search, recording, estimate)
        if elite is None or elite.time_us is None or not estimate:
            return Prospect()  # an empty cell is filled by whatever comes
        draws = generator(search.plan.config.seed, planned.key.task_id, planned.key.number, "triage")
        is_learning = planned.key.number < search.plan.initial or bool(draws.random() < EXPLORED_SHARE)
        return decide(estimate, elite.time_us, elite.cell, is_learning=is_learning)

    return weigh


def decide(estimate: tuple[Timing, ...], elite_us: float, cell: str, *, is_learning: bool) -> Prospect:
    """Return a candidate's rank, or why it is not measured.

    Args:
        estimate: The estimated time of each bench case, at least one.
        elite_us: Geometric mean of the measured times of its cell's elite.
        cell: The cell.
        is_learning: Whether it is measured even if it is hopeless.
    """
    likely, quick = (_mean_us(tuple(times)) for times in zip(*map(_times, estimate), strict=True))
    if quick <= HOPELESS_RATIO * elite_us:
        return Prospect(rank=math.log2(likely / elite_us))
    if is_learning:
        return Prospect(rank=_LAST)
    message = (
        f"expected an estimate that could beat {elite_us:.1f} us, the best measured in cell {cell}; "
        f"the cost model says {likely:.1f} us, {quick:.1f} us at the quick end: not measured"
    )
    hint = "change what bounds it, not only its numbers"
    return Prospect(
        failure=Failure(kind=FailureKind.UNPROMISING, stage=Stage.TIMING, message=message, hint=hint), rank=_LAST
    )


def _times(timing: Timing) -> tuple[float, float]:
    return timing.candidate.median_us, timing.candidate.low_us


def _mean_us(times: tuple[float, ...]) -> float:
    return math.exp(math.fsum(map(math.log, times)) / len(times))


def _elite(search: Search, recording: Recording, estimate: tuple[Timing, ...]) -> EliteRow | None:
    """Return the elite of the cell that a candidate would take, as far as its compiled facts tell."""
    guess = Report(
        candidate_id=recording.candidate_id,
        environment_id="",
        stages=(),
        timing=estimate,
        counts=(),
        profile=None,
        failure=None,
        judge_s=0.0,
    )
    cell = search.archive.bins.describe(recording, guess).cell
    elites = search.archive.elites(search.plan.run_id, search.task.id)
    return next((one for one in elites if one.cell == cell), None)
