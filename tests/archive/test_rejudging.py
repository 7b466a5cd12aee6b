"""Later judgements are facts beside the first verdict; an elite that was wrong leaves its cell."""

from pathlib import Path

import msgspec
import pytest
from archive_samples import (
    begin,
    key_of,
    make_candidate,
    make_environment,
    make_failure,
    make_report,
    make_step,
    make_task,
    right_step,
    wrong_step,
)

from tilewright.archive.certificate import certificate
from tilewright.archive.errors import StepConflictError, UnfitCandidateError
from tilewright.archive.export import export_source
from tilewright.archive.rebin import rebin
from tilewright.archive.recheck import Machine, recheck, recheck_file, recheck_hashes
from tilewright.archive.rejudging import Rejudgement
from tilewright.archive.store import Archive, open_archive
from tilewright.archive.verify import verify
from tilewright.evaluator.timing import TimeKind

TASK = make_task()
CELL = "128-bit|block|one-pass"
OTHER = "scalar|block|one-pass"


@pytest.fixture
def archive(tmp_path: Path):
    """Steps 0, 1 and 2 fill one cell in turn, step 3 another, step 4 is wrong."""
    with open_archive(tmp_path / "a.db", writable=True) as opened:
        run_id = begin(opened, TASK)
        for number, fitness in enumerate((1.0, 0.5, 2.0)):
            make_step(opened, right_step(key_of(run_id, TASK, number), make_candidate(TASK, number), fitness=fitness))
        make_step(opened, right_step(key_of(run_id, TASK, 3), make_candidate(TASK, 3), cell=OTHER))
        make_step(opened, wrong_step(key_of(run_id, TASK, 4), make_candidate(TASK, 4)))
        yield opened


def key(archive: Archive, number: int):
    return key_of(archive.runs()[0].id, TASK, number)


def again(archive: Archive, number: int, *, is_right: bool, round_: int = 1) -> Rejudgement:
    failure = None if is_right else make_failure()
    report = make_report(make_candidate(TASK, number), failure=failure)
    return Rejudgement(key=key(archive, number), round=round_, report=report)


def seats(archive: Archive) -> dict[str, int]:
    return {row.cell: row.number for row in archive.elites(archive.runs()[0].id, TASK.id)}


def test_a_right_judgement_changes_no_cell(archive: Archive):
    assert archive.add_rejudgement(again(archive, 2, is_right=True)) is None
    assert seats(archive) == {CELL: 2, OTHER: 3}
    assert [one.round for one in archive.rejudgements(key(archive, 2))] == [1]
    assert verify(archive) == ()


def test_an_elite_that_was_wrong_leaves_its_cell_to_the_next_best(archive: Archive):
    demotion = archive.add_rejudgement(again(archive, 2, is_right=False))
    assert demotion is not None
    assert (demotion.cell, demotion.successor) == (CELL, make_candidate(TASK, 0).id)
    assert seats(archive) == {CELL: 0, OTHER: 3}
    assert verify(archive) == ()


def test_a_cell_whose_only_candidate_was_wrong_is_empty(archive: Archive):
    demotion = archive.add_rejudgement(again(archive, 3, is_right=False))
    assert demotion is not None
    assert demotion.successor is None
    assert seats(archive) == {CELL: 2}
    assert verify(archive) == ()


def test_a_candidate_that_was_wrong_is_no_successor_and_does_not_come_back(archive: Archive):
    assert archive.add_rejudgement(again(archive, 0, is_right=False)) is None
    archive.add_rejudgement(again(archive, 2, is_right=False))
    assert seats(archive) == {CELL: 1, OTHER: 3}
    rebin(archive)
    assert seats(archive) == {CELL: 1, OTHER: 3}
    run_id = archive.runs()[0].id
    fastest = archive.fastest_on(run_id, TASK.id, TASK.cases[1].name, limit=9)
    assert {make_candidate(TASK, 0).id, make_candidate(TASK, 2).id}.isdisjoint(fastest)
    assert verify(archive) == ()


def test_a_cell_can_be_taken_again_after_a_fall(archive: Archive):
    archive.add_rejudgement(again(archive, 2, is_right=False))
    step = right_step(key(archive, 5), make_candidate(TASK, 5), fitness=1.5)
    assert make_step(archive, step).displaced == make_candidate(TASK, 0).id
    assert verify(archive) == ()


def test_the_same_round_told_twice_changes_nothing(archive: Archive):
    archive.add_rejudgement(again(archive, 2, is_right=False))
    seq = archive.archive_seq(archive.runs()[0].id, TASK.id)
    assert archive.add_rejudgement(again(archive, 2, is_right=False)) is None
    assert archive.archive_seq(archive.runs()[0].id, TASK.id) == seq
    assert len(archive.rejudgements(key(archive, 2))) == 1


def test_a_judgement_of_another_candidate_is_refused(archive: Archive):
    found = msgspec.structs.replace(again(archive, 2, is_right=True), key=key(archive, 1))
    with pytest.raises(StepConflictError, match="expected a later judgement"):
        archive.add_rejudgement(found)


def test_a_candidate_that_was_wrong_has_no_certificate(archive: Archive):
    candidate = make_candidate(TASK, 2)
    certificate(archive, candidate.id)
    archive.add_rejudgement(again(archive, 2, is_right=False))
    with pytest.raises(UnfitCandidateError, match="wrong when it was judged again"):
        certificate(archive, candidate.id)


def machine_of(environment, code_version: str) -> Machine:
    return Machine(
        python=environment.python, torch=environment.torch, triton=environment.triton, ptxas=environment.ptxas,
        machine=environment.machine, target=environment.target, device=environment.device,
        driver=environment.driver, code_version=code_version,
    )  # fmt: skip


def test_a_certificate_holds_on_the_machine_that_it_was_made_on(archive: Archive):
    known = certificate(archive, make_candidate(TASK, 2).id)
    assert recheck(known, machine_of(make_environment(), known.code_version)) == ()
    assert recheck_hashes(archive, known) == ()


@pytest.mark.parametrize("name", ["torch", "triton", "ptxas", "python", "code_version", "driver", "device", "machine"])
def test_what_has_changed_since_is_named_with_what_it_means(archive: Archive, name: str):
    known = certificate(archive, make_candidate(TASK, 2).id)
    measured = msgspec.structs.replace(known.environment, kind=TimeKind.MEASURED, driver="570.1")
    known = msgspec.structs.replace(known, environment=measured)
    today = machine_of(measured, known.code_version)
    (difference,) = recheck(known, msgspec.structs.replace(today, **{name: "another"}))
    assert (difference.what, difference.today) == (name, "another")
    assert difference.meaning


def test_an_estimate_says_nothing_of_the_gpu_of_this_machine(archive: Archive):
    known = certificate(archive, make_candidate(TASK, 2).id)
    today = machine_of(make_environment(), known.code_version)
    assert recheck(known, msgspec.structs.replace(today, device="", driver="", machine="6.9 x86_64")) == ()


def test_hashes_that_are_not_the_archives_are_named(archive: Archive):
    known = certificate(archive, make_candidate(TASK, 2).id)
    (difference,) = recheck_hashes(archive, msgspec.structs.replace(known, source_sha="0" * 64))
    assert difference.what == "source"
    assert recheck_hashes(archive, msgspec.structs.replace(known, candidate_id="f" * 16)) == ()


def test_a_kernel_file_that_was_changed_is_named(archive: Archive):
    candidate = make_candidate(TASK, 2)
    known = certificate(archive, candidate.id)
    text = export_source(known, candidate.source)
    assert recheck_file(archive, known, text) == ()
    (difference,) = recheck_file(archive, known, text.replace("tl.exp", "tl.exp2"))
    assert difference.what == "kernel file"


def test_a_verdict_that_did_not_hold_is_named(archive: Archive):
    known = certificate(archive, make_candidate(TASK, 2).id)
    archive.add_rejudgement(again(archive, 2, is_right=False))
    assert [one.what for one in recheck_hashes(archive, known)] == ["verdict"]
