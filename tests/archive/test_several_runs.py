"""Runs share candidates: each keeps its own judgements, and what one run disproved is wrong for all."""

from pathlib import Path

import pytest
from archive_samples import (
    begin,
    key_of,
    make_candidate,
    make_failure,
    make_report,
    make_step,
    make_task,
    right_step,
    wrong_step,
)
from msgspec.structs import replace

from tilewright.archive.certificate import certificate
from tilewright.archive.errors import UnfitCandidateError
from tilewright.archive.recheck import recheck_hashes
from tilewright.archive.rejudging import Rejudgement
from tilewright.archive.store import Archive, open_archive

TASK = make_task()
SHARED = make_candidate(TASK, 0)


@pytest.fixture
def archive(tmp_path: Path):
    """Two runs judged one candidate, the second found it slower."""
    with open_archive(tmp_path / "a.db", writable=True) as opened:
        for name, fitness in (("first", 2.0), ("second", 1.0)):
            run_id = begin(opened, TASK, name=name)
            make_step(opened, right_step(key_of(run_id, TASK, 0), SHARED, fitness=fitness))
        yield opened


def run_ids(archive: Archive) -> tuple[str, str]:
    first, second = (run.id for run in archive.runs())
    return first, second


def disprove(archive: Archive, run_id: str) -> None:
    key = archive.judged_step(SHARED.id, run_id)
    assert key is not None
    report = make_report(SHARED, failure=make_failure())
    archive.add_rejudgement(Rejudgement(key=key, round=1, report=report))


def test_each_run_has_its_own_report_and_step(archive: Archive) -> None:
    for run_id, fitness in zip(run_ids(archive), (2.0, 1.0), strict=True):
        assert archive.report(SHARED.id, run_id) == make_report(SHARED, fitness=fitness)
        reward = archive.reward(SHARED.id, run_id)
        assert reward is not None
        assert reward.fitness == fitness
        assert archive.judged_step(SHARED.id, run_id) == key_of(run_id, TASK, 0)
    assert archive.report(SHARED.id, "another") is None


def test_a_later_judgement_empties_the_cell_of_the_run_that_made_it(archive: Archive) -> None:
    first, second = run_ids(archive)
    disprove(archive, second)
    assert len(archive.elites(first, TASK.id)) == 1
    assert archive.elites(second, TASK.id) == ()


def test_a_certificate_names_the_run_whose_times_it_states(archive: Archive) -> None:
    first, _ = run_ids(archive)
    assert (certificate(archive, SHARED.id).run, certificate(archive, SHARED.id).fitness) == ("second", 1.0)
    named = certificate(archive, SHARED.id, run_id=first)
    assert (named.run, named.fitness) == ("first", 2.0)


def test_what_any_run_disproved_is_not_certified(archive: Archive) -> None:
    first, second = run_ids(archive)
    known = certificate(archive, SHARED.id)
    disprove(archive, second)
    for run_id in (None, first, second):
        with pytest.raises(UnfitCandidateError, match="wrong when it was judged again"):
            certificate(archive, SHARED.id, run_id=run_id)
    assert [one.what for one in recheck_hashes(archive, known)] == ["verdict"]


def test_wrong_and_disproved_programs_are_not_offered_for_tuning(archive: Archive) -> None:
    _, second = run_ids(archive)
    assert [one.best_candidate_id for one in archive.programs(second, TASK.id)] == [SHARED.id]
    timed = make_candidate(TASK, 1)
    step = wrong_step(key_of(second, TASK, 1), timed)
    report = replace(make_report(timed, fitness=3.0), failure=make_failure())
    make_step(archive, replace(step, report=report))
    disprove(archive, second)
    assert archive.programs(second, TASK.id) == ()
    assert [one.time_us for one in archive.trials(second, TASK.id, timed.source_sha)] == [None]
