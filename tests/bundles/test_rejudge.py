"""Stored plans are judged again: no source and no recorder is needed, every number is drawn anew."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from archive_samples import make_candidate, make_failure, make_report
from bundle_samples import (
    HEADER,
    TASK,
    FakeJudge,
    InPlacePool,
    ask_for,
    begin_run,
    judge_here,
    make_dossier,
    make_rounds,
    open_search,
    tell_here,
    ticket,
)

from tilewright.agent.evolution import step
from tilewright.agent.places import find_places
from tilewright.agent.rejudge import choose_retrials, compare, write_retrials
from tilewright.archive.errors import StepConflictError
from tilewright.archive.records import StepKey
from tilewright.archive.store import Archive, open_archive
from tilewright.archive.verify import verify
from tilewright.evaluator.bundle import Bundle, Ticketed, write_bundle
from tilewright.evaluator.framed_file import BundleError
from tilewright.tasks.errors import UserError


@pytest.fixture
def archive(tmp_path: Path):
    with open_archive(tmp_path / "a.db", writable=True) as opened:
        begin_run(opened)
        make_rounds(opened, tmp_path, 1, 6)
        yield opened


def retrials_of(archive: Archive, candidate: str | None = None):
    return choose_retrials(archive, find_places(archive, None, None), candidate)


def judge_again(archive: Archive, folder: Path, judge: FakeJudge, name: str = "again"):
    retrials = retrials_of(archive)
    write_retrials(archive, retrials, folder / f"{name}.bundle")
    judge_here(folder / f"{name}.bundle", folder / f"{name}.results", judge)
    return retrials, tell_here(archive, folder / f"{name}.results")


def test_every_elite_is_judged_again_with_its_own_plans_and_other_numbers(archive: Archive, tmp_path: Path) -> None:
    judge = FakeJudge()
    retrials, imported = judge_again(archive, tmp_path, judge)
    run_id = archive.runs()[0].id
    assert imported.rejudged == len(archive.elites(run_id, TASK.id)) == len(retrials.chosen) > 1
    for again, _ in judge.judged_again:
        stored = archive.dossier(archive.home(again.candidate.id))
        assert (again.plans, again.binaries, again.recording) == (stored.plans, stored.binaries, stored.recording)
        assert again.trials.seed != stored.trials.seed
        assert again.interpreted == ()
    assert verify(archive) == ()


def test_each_round_draws_its_own_numbers(archive: Archive, tmp_path: Path) -> None:
    seeds = set()
    for name in ("one", "two"):
        judge = FakeJudge()
        judge_again(archive, tmp_path, judge, name)
        seeds.add(judge.judged_again[0][0].trials.seed)
    assert len(seeds) == 2
    key = archive.home(judge.judged_again[0][0].candidate.id)
    assert [one.round for one in archive.rejudgements(key)] == [1, 2]


def test_results_of_a_round_told_twice_count_once(archive: Archive, tmp_path: Path) -> None:
    _, first = judge_again(archive, tmp_path, FakeJudge())
    assert tell_here(archive, tmp_path / "again.results").known == first.rejudged


def test_elites_that_are_wrong_now_are_demoted_and_named(archive: Archive, tmp_path: Path) -> None:
    judge = FakeJudge(again=lambda candidate: make_report(candidate, failure=make_failure("expected zero; got one")))
    retrials, imported = judge_again(archive, tmp_path, judge)
    comparisons = compare(archive, retrials)
    assert imported.demoted == len(comparisons) > 1
    assert not any(one.is_right for one in comparisons)
    assert {one.reason for one in comparisons} == {"expected zero; got one"}
    assert verify(archive) == ()


def test_sources_are_not_needed(archive: Archive, tmp_path: Path) -> None:
    """What judges again reads plans and binaries; the text only names the candidate."""
    retrials = retrials_of(archive)
    write_retrials(archive, retrials, tmp_path / "x.bundle")
    with Bundle(tmp_path / "x.bundle") as bundle:
        for place in bundle.places:
            dossier = bundle.dossier(place)
            assert dossier.plan_of(TASK.cases[0].name) == dossier.plans[0]
            assert all(binary.data.startswith(b"\x7fELF") for binary in dossier.binaries)


def test_elites_that_were_judged_in_place_keep_their_plans_too(tmp_path: Path) -> None:
    with open_archive(tmp_path / "place.db", writable=True) as opened:
        begin_run(opened)
        search = open_search(opened, InPlacePool())

        async def run() -> None:
            for number in range(7):
                await step(search, number)

        asyncio.run(run())
        elites = opened.elites(opened.runs()[0].id, TASK.id)
        assert {one.candidate_id for one in retrials_of(opened).chosen} == {one.candidate_id for one in elites}
        assert verify(opened) == ()


def test_one_candidate_may_be_named(archive: Archive) -> None:
    elite = archive.best(archive.runs()[0].id, TASK.id)
    assert elite is not None
    assert [one.candidate_id for one in retrials_of(archive, elite.candidate.id[:8]).chosen] == [elite.candidate.id]


def test_without_stored_plans_the_way_to_get_them_is_named(archive: Archive, tmp_path: Path) -> None:
    archive.close()
    with sqlite3.connect(tmp_path / "a.db") as database:
        database.execute("delete from dossier")
    with (
        open_archive(tmp_path / "a.db", writable=False) as opened,
        pytest.raises(UserError, match="tilewright record --elites run"),
    ):
        retrials_of(opened)


def test_a_damaged_pack_of_binaries_is_found(archive: Archive, tmp_path: Path) -> None:
    archive.close()
    with sqlite3.connect(tmp_path / "a.db") as database:
        database.execute("delete from kernel_binary where sha in (select sha from kernel_binary limit 1)")
    with open_archive(tmp_path / "a.db", writable=False) as opened:
        assert {one.invariant for one in verify(opened)} == {"I11"}


def test_a_dossier_of_another_candidate_is_refused(archive: Archive) -> None:
    steps = ask_for(archive, 1)
    with pytest.raises(StepConflictError, match="expected the dossier of"):
        archive.keep_dossier(steps[0].planned.key, make_dossier(make_candidate(TASK, 77)))
    unknown = StepKey(run_id=steps[0].planned.key.run_id, task_id=TASK.id, number=999)
    with pytest.raises(StepConflictError, match="expected a planned step"):
        archive.keep_dossier(unknown, make_dossier(make_candidate(TASK, 77)))


def test_another_report_of_a_round_takes_the_next_free_round_once(archive: Archive, tmp_path: Path) -> None:
    wrong = FakeJudge(again=lambda candidate: make_report(candidate, failure=make_failure()))
    retrials = retrials_of(archive)
    write_retrials(archive, retrials, tmp_path / "x.bundle")
    judge_here(tmp_path / "x.bundle", tmp_path / "right.results")
    judge_here(tmp_path / "x.bundle", tmp_path / "wrong.results", wrong)
    tell_here(archive, tmp_path / "right.results")
    assert tell_here(archive, tmp_path / "wrong.results").demoted == len(retrials.chosen)
    assert tell_here(archive, tmp_path / "wrong.results").known == len(retrials.chosen)
    assert [one.round for one in archive.rejudgements(retrials.chosen[0].key)] == [1, 2]


@pytest.mark.parametrize("round_", [0, 1])
def test_results_of_another_archives_run_of_the_same_name_are_unknown(
    archive: Archive, tmp_path: Path, round_: int
) -> None:
    key = StepKey(run_id=archive.runs()[0].id, task_id=TASK.id, number=0)
    stranger = make_dossier(make_candidate(TASK, 77))
    one = Ticketed(ticket=ticket(0, run_id=key.run_id, round_=round_), dossier=stranger)
    write_bundle(tmp_path / "x.bundle", HEADER, (one,))
    judge_here(tmp_path / "x.bundle", tmp_path / "x.results")
    with pytest.raises(BundleError, match="it lacks 1 of the 1 steps"):
        tell_here(archive, tmp_path / "x.results")
    assert archive.rejudgements(key) == ()
