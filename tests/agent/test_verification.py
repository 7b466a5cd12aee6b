"""Before a measured candidate takes a cell it is judged again; estimates are not."""

import asyncio
from pathlib import Path

import pytest
from archive_samples import make_failure, make_report, make_task
from fake_pool import FakePool

from tilewright.agent.budget import parse_budget
from tilewright.agent.campaign import Campaign, begin, conduct
from tilewright.agent.config import RunConfig
from tilewright.agent.progress import Silence
from tilewright.archive.store import open_archive
from tilewright.archive.verify import verify
from tilewright.evaluator.occasion import Occasion
from tilewright.evaluator.pool import EvaluationLostError
from tilewright.evaluator.recording import Recording
from tilewright.evaluator.report import Report
from tilewright.evaluator.timing import TimeKind
from tilewright.tasks.candidate import Candidate
from tilewright.tasks.spec import KernelTask


class StrictPool(FakePool):
    """Finds some candidates wrong on some occasions, and remembers whom it judged again."""

    def __init__(self, wrong: dict[str, Occasion]) -> None:
        super().__init__()
        self.wrong = wrong
        self.again: list[tuple[str, Occasion]] = []

    async def confirm(
        self, task: KernelTask, candidate: Candidate, recording: Recording, occasion: Occasion = Occasion.FINAL
    ) -> Report:
        self.again.append((candidate.id, occasion))
        if self.wrong.get(candidate.id) is occasion:
            return make_report(candidate, failure=make_failure("expected the same answer on other cases"))
        return make_report(candidate, fitness=-1.0)


def _run(path: Path, pool: FakePool, judging: TimeKind) -> tuple[set[str], bool]:
    """Run a short search and return the elites' candidates and whether the archive is sound."""
    config = RunConfig(
        target="cuda:90", budget=parse_budget("30c"), seed=5, places=2, is_deterministic=True, judging=judging
    )
    with open_archive(path, writable=True) as archive:
        run = begin(archive, "run", config, (make_task(),))
        campaign = Campaign(
            run_id=run.id, config=config, tasks=(make_task(),), archive=archive, pool=pool, observer=Silence()
        )
        asyncio.run(conduct(campaign, asyncio.Event()))
        elites = {row.candidate_id for row in archive.elites(run.id, make_task().id)}
        return elites, not verify(archive)


@pytest.fixture
def judged_twice(tmp_path: Path) -> tuple[set[str], StrictPool]:
    pool = StrictPool({})
    elites, is_sound = _run(tmp_path / "first.db", pool, TimeKind.MEASURED)
    assert is_sound
    return elites, pool


def test_every_elite_of_a_measured_run_was_judged_again(judged_twice: tuple[set[str], StrictPool]) -> None:
    elites, pool = judged_twice
    assert elites
    assert elites <= {one for one, occasion in pool.again if occasion is Occasion.ELITE}


def test_candidates_of_an_estimated_run_are_judged_again_at_its_end_only(tmp_path: Path) -> None:
    pool = StrictPool({})
    _run(tmp_path / "estimated.db", pool, TimeKind.ESTIMATED)
    assert {occasion for _, occasion in pool.again} == {Occasion.FINAL}


def test_who_is_wrong_the_second_time_takes_no_cell(tmp_path: Path, judged_twice: tuple[set[str], StrictPool]) -> None:
    elites, _ = judged_twice
    refused = min(elites)
    later, is_sound = _run(tmp_path / "second.db", StrictPool({refused: Occasion.ELITE}), TimeKind.MEASURED)
    assert is_sound
    assert refused not in later


def test_an_elite_that_is_wrong_in_the_end_is_demoted(
    tmp_path: Path, judged_twice: tuple[set[str], StrictPool]
) -> None:
    _, pool = judged_twice
    fallen = next(one for one, occasion in pool.again if occasion is Occasion.FINAL)
    later, is_sound = _run(tmp_path / "third.db", StrictPool({fallen: Occasion.FINAL}), TimeKind.MEASURED)
    assert is_sound
    assert fallen not in later


class LosingPool(FakePool):
    """Judges, and loses every worker that confirms."""

    async def confirm(
        self, task: KernelTask, candidate: Candidate, recording: Recording, occasion: Occasion = Occasion.FINAL
    ) -> Report:
        raise EvaluationLostError("a worker was lost twice")


def test_what_could_not_be_confirmed_is_not_handed_over_and_keeps_its_cell(tmp_path: Path) -> None:
    elites, is_sound = _run(tmp_path / "lost.db", LosingPool(), TimeKind.ESTIMATED)
    assert elites
    assert is_sound
