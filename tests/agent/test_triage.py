"""Which candidates a GPU measures first, and which not at all."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from archive_samples import make_report, make_task
from fake_pool import FakePool

from tilewright.agent.budget import parse_budget
from tilewright.agent.campaign import Campaign, begin, conduct
from tilewright.agent.config import RunConfig
from tilewright.agent.progress import Silence
from tilewright.agent.sketches.catalogue import sketches_for
from tilewright.agent.triage import HOPELESS_RATIO, decide
from tilewright.archive.records import FinishedStep, Insertion, StepState
from tilewright.archive.store import Archive, open_archive
from tilewright.evaluator.pool import Prospect, Triage
from tilewright.evaluator.recording import Recording
from tilewright.evaluator.report import Report
from tilewright.evaluator.timing import TimeKind, TimeSpan, Timing
from tilewright.sandbox.failure import FailureKind
from tilewright.tasks.candidate import Candidate
from tilewright.tasks.spec import KernelTask

CELL = "128-bit|block|one-pass"
ELITE_US = 100.0


def estimate_of(us: float, band: float = 0.25) -> tuple[Timing, ...]:
    span = TimeSpan(median_us=us, low_us=us * (1 - band), high_us=us * (1 + band))
    return (Timing(case="bench", kind=TimeKind.ESTIMATED, device="GPU", candidate=span, baselines=(), floor_us=1.0),)


def prospect(us: float, *, is_learning: bool = False, band: float = 0.25) -> Prospect:
    return decide(estimate_of(us, band), ELITE_US, CELL, is_learning=is_learning)


def test_what_may_be_faster_goes_first() -> None:
    assert prospect(80).rank < prospect(120).rank < prospect(180).rank


def test_what_is_far_slower_even_at_its_quick_end_is_not_measured() -> None:
    failure = prospect(1000).failure
    assert failure is not None
    assert failure.kind is FailureKind.UNPROMISING
    assert "100.0 us" in failure.message
    assert CELL in failure.message
    assert prospect(ELITE_US * HOPELESS_RATIO / 0.75 - 1).failure is None


def test_a_wider_band_lets_more_through() -> None:
    assert prospect(220).failure is not None
    assert prospect(220, band=0.5).failure is None


def test_what_is_measured_to_learn_goes_last() -> None:
    learning = prospect(1000, is_learning=True)
    assert learning.failure is None
    assert learning.rank > prospect(180).rank


class MeasuringPool(FakePool):
    """Asks what decides about measuring, with an estimate that is hopeless for every second candidate."""

    def __init__(self) -> None:
        super().__init__()
        self.dropped: list[str] = []
        self.asked: list[str] = []

    async def judge(
        self, task: KernelTask, candidate: Candidate, recording: Recording, triage: Triage | None = None
    ) -> Report:
        assert triage is not None
        self.asked.append(candidate.id)
        us = 1e6 if int(candidate.id, 16) % 2 else 1.0
        failure = triage(estimate_of(us)).failure
        if failure is not None:
            self.dropped.append(candidate.id)
            report = make_report(candidate)
            return msgspec.structs.replace(report, timing=(), profile=None, failure=failure)
        return await super().judge(task, candidate, recording)


class Notes(Silence):
    def __init__(self) -> None:
        self.steps: list[FinishedStep] = []

    def step_ends(self, finished: FinishedStep, insertion: Insertion) -> None:
        self.steps.append(finished)


def search(archive: Archive, pool: FakePool, judging: TimeKind, notes: Notes) -> None:
    config = RunConfig(target="cuda:90", budget=parse_budget("60c"), seed=5, places=2, judging=judging)
    run = begin(archive, "run", config, (make_task(),))
    campaign = Campaign(run_id=run.id, config=config, tasks=(make_task(),), archive=archive, pool=pool, observer=notes)
    asyncio.run(conduct(campaign, asyncio.Event()))


def test_a_search_on_a_gpu_drops_the_hopeless_and_measures_a_share_of_them(tmp_path: Path) -> None:
    pool, notes = MeasuringPool(), Notes()
    with open_archive(tmp_path / "a.db", writable=True) as archive:
        search(archive, pool, TimeKind.MEASURED, notes)
    hopeless = [one for one in pool.asked if int(one, 16) % 2]
    assert 0 < len(pool.dropped) < len(hopeless)
    dropped = [step for step in notes.steps if step.failure and step.failure.kind is FailureKind.UNPROMISING]
    assert len(dropped) == len(pool.dropped)
    assert {step.state for step in dropped} == {StepState.FAILED}
    assert all(step.key.number >= len(sketches_for("softmax")) for step in dropped)


def test_a_search_without_a_gpu_asks_nobody(tmp_path: Path) -> None:
    class Estimating(FakePool):
        async def judge(
            self, task: KernelTask, candidate: Candidate, recording: Recording, triage: Triage | None = None
        ) -> Report:
            assert triage is None
            return await super().judge(task, candidate, recording)

    with open_archive(tmp_path / "a.db", writable=True) as archive:
        search(archive, Estimating(), TimeKind.ESTIMATED, Notes())


@pytest.mark.parametrize("count", [2, 3])
def test_times_of_several_cases_are_averaged_as_ratios(count: int) -> None:
    many = estimate_of(50) * count
    assert decide(many, 50.0, CELL, is_learning=False).rank == pytest.approx(0.0)
