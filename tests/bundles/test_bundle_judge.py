"""Judging a bundle: every report is kept at once, and the same call goes on."""

import math
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from archive_samples import make_candidate, make_environment, make_failure, make_report
from bundle_samples import HEADER, TASK, FakeJudge, bundle_of, judge_here, ticket, verdict

from tilewright.evaluator.bundle import Seat
from tilewright.evaluator.bundle_results import Results
from tilewright.evaluator.framed_file import BundleError
from tilewright.evaluator.gpu.errors import JudgeFaultError
from tilewright.evaluator.occasion import Occasion
from tilewright.evaluator.reward import score

HERE = Path(__file__).parent


def stop_at(number: int, error: type[BaseException] = KeyboardInterrupt):
    def before(judged: int) -> None:
        if judged == number:
            raise error

    return before


def reports(path: Path) -> list[str]:
    with Results(path) as results:
        return [one.report.candidate_id for one in results.judged()]


def test_each_candidate_gets_one_report_in_order(tmp_path: Path) -> None:
    bundle_of(tmp_path / "x.bundle", 5)
    judge = FakeJudge()
    progress = judge_here(tmp_path / "x.bundle", tmp_path / "x.results", judge)
    assert (progress.judged, progress.left, progress.known) == (5, 0, 0)
    assert reports(tmp_path / "x.results") == judge.ids
    with Results(tmp_path / "x.results") as results:
        assert [one.ticket for one in results.judged()] == [ticket(number) for number in range(5)]
        assert [one.environment for one in results.sessions()] == [make_environment()]


def test_a_call_that_is_interrupted_goes_on_where_it_stopped(tmp_path: Path) -> None:
    bundle_of(tmp_path / "x.bundle", 5)
    with pytest.raises(KeyboardInterrupt):
        judge_here(tmp_path / "x.bundle", tmp_path / "x.results", FakeJudge(stop_at(2)))
    first = reports(tmp_path / "x.results")
    again = FakeJudge()
    progress = judge_here(tmp_path / "x.bundle", tmp_path / "x.results", again)
    assert (progress.judged, progress.known) == (3, 2)
    assert reports(tmp_path / "x.results") == first + again.ids
    assert len(set(reports(tmp_path / "x.results"))) == 5


def test_a_whole_results_file_needs_no_judge(tmp_path: Path) -> None:
    bundle_of(tmp_path / "x.bundle", 2)
    judge_here(tmp_path / "x.bundle", tmp_path / "x.results")
    before = (tmp_path / "x.results").read_bytes()
    judge = FakeJudge()
    assert judge_here(tmp_path / "x.bundle", tmp_path / "x.results", judge).known == 2
    assert judge.judged == []
    assert (tmp_path / "x.results").read_bytes() == before


SLOW = """
import sys
sys.path[:0] = {paths!r}
from pathlib import Path
from bundle_samples import FakeJudge
from tilewright.evaluator.bundle import Bundle
from tilewright.agent.bundle_judging import judge_all
def before(judged):
    print(judged, flush=True)
    if judged == {stop}:
        sys.stdin.read()
with Bundle(Path({bundle!r})) as bundle:
    judge_all(bundle, Path({results!r}), FakeJudge(before), lambda line: None)
"""


def test_a_killed_judge_loses_at_most_the_report_it_was_making(tmp_path: Path) -> None:
    bundle_of(tmp_path / "x.bundle", 6)
    paths = [str(HERE), str(HERE.parent / "archive"), str(HERE.parent / "agent")]
    where = {"bundle": str(tmp_path / "x.bundle"), "results": str(tmp_path / "x.results")}
    code = SLOW.format(paths=paths, stop=4, **where)
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert [process.stdout.readline() for _ in range(5)][-1] == b"4\n"
        process.send_signal(signal.SIGKILL)
    assert len(reports(tmp_path / "x.results")) == 4
    assert judge_here(tmp_path / "x.bundle", tmp_path / "x.results").judged == 2


def test_a_report_that_was_cut_off_is_judged_again(tmp_path: Path) -> None:
    bundle_of(tmp_path / "x.bundle", 3)
    path = tmp_path / "x.results"
    judge_here(tmp_path / "x.bundle", path)
    whole = reports(path)
    for lost in (1, 40, 200):
        path.write_bytes(path.read_bytes()[:-lost])
        progress = judge_here(tmp_path / "x.bundle", path)
        assert (progress.known, progress.judged) == (2, 1)
        assert reports(path) == whole


def test_a_results_file_whose_first_line_was_cut_off_is_begun_anew(tmp_path: Path) -> None:
    bundle_of(tmp_path / "x.bundle", 1)
    (tmp_path / "x.results").write_bytes(b"tilewright res")
    assert judge_here(tmp_path / "x.bundle", tmp_path / "x.results").judged == 1


def test_a_results_file_of_another_bundle_is_refused_and_kept(tmp_path: Path) -> None:
    bundle_of(tmp_path / "x.bundle", 1)
    bundle_of(tmp_path / "y.bundle", 2)
    judge_here(tmp_path / "x.bundle", tmp_path / "x.results")
    before = (tmp_path / "x.results").read_bytes()
    with pytest.raises(BundleError, match="holds those of another bundle: choose another -o"):
        judge_here(tmp_path / "y.bundle", tmp_path / "x.results")
    assert (tmp_path / "x.results").read_bytes() == before


@pytest.mark.parametrize("name", ["x.bundle", "notes.txt"])
def test_another_file_is_not_overwritten(tmp_path: Path, name: str) -> None:
    bundle_of(tmp_path / "x.bundle", 1)
    (tmp_path / "notes.txt").write_text("mine, and none of your results")
    before = (tmp_path / name).read_bytes()
    with pytest.raises(BundleError, match="expected a results file"):
        judge_here(tmp_path / "x.bundle", tmp_path / name)
    assert (tmp_path / name).read_bytes() == before


def test_results_that_were_altered_are_refused_and_kept(tmp_path: Path) -> None:
    bundle_of(tmp_path / "x.bundle", 3)
    path = tmp_path / "x.results"
    judge_here(tmp_path / "x.bundle", path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match="altered"):
        judge_here(tmp_path / "x.bundle", path)
    assert path.read_bytes() == data


def test_two_judges_do_not_share_a_results_file(tmp_path: Path) -> None:
    bundle_of(tmp_path / "x.bundle", 1)

    def second(number: int) -> None:
        with pytest.raises(BundleError, match="another process does"):
            judge_here(tmp_path / "x.bundle", tmp_path / "x.results")

    assert judge_here(tmp_path / "x.bundle", tmp_path / "x.results", FakeJudge(second)).judged == 1


def test_a_bundle_for_another_architecture_is_refused_before_anything_is_judged(tmp_path: Path) -> None:
    bundle_of(tmp_path / "x.bundle", 2, header=msgspec.structs.replace(HEADER, target="cuda:100"))
    judge = FakeJudge()
    with pytest.raises(BundleError, match=r"for cuda:90 .*is for cuda:100: record it again with --target cuda:90"):
        judge_here(tmp_path / "x.bundle", tmp_path / "x.results", judge)
    assert judge.judged == []


def test_a_fault_of_the_judge_leaves_that_candidate_for_the_next_call(tmp_path: Path) -> None:
    bundle_of(tmp_path / "x.bundle", 4)
    attempts: list[int] = []

    def before(number: int) -> None:
        attempts.append(number)
        if len(attempts) == 2:
            raise JudgeFaultError("ours")

    progress = judge_here(tmp_path / "x.bundle", tmp_path / "x.results", FakeJudge(before))
    assert (progress.judged, progress.left) == (3, 1)
    assert judge_here(tmp_path / "x.bundle", tmp_path / "x.results").judged == 1
    assert len(set(reports(tmp_path / "x.results"))) == 4


def test_later_rounds_are_judged_once_by_a_process_that_has_met_no_other_candidate(tmp_path: Path) -> None:
    judge = FakeJudge()
    bundle_of(tmp_path / "x.bundle", 2, round_=1)
    judge_here(tmp_path / "x.bundle", tmp_path / "x.results", judge)
    assert judge.judged == []
    assert [occasion for _, occasion in judge.judged_again] == [Occasion.FINAL] * 2


def gains() -> list[str]:
    """The candidates of `bundle_of` that are better than all before them: they share one cell."""
    best, found = -math.inf, []
    for one in FRESH:
        fitness = score(verdict(one)).fitness
        if fitness is not None and fitness > best:
            best = fitness
            found.append(one.id)
    return found


FRESH = [make_candidate(TASK, number) for number in range(12)]


def test_what_would_take_a_cell_is_judged_again_on_other_inputs(tmp_path: Path) -> None:
    bundle_of(tmp_path / "x.bundle", 12)
    judge = FakeJudge()
    judge_here(tmp_path / "x.bundle", tmp_path / "x.results", judge)
    again = [dossier for dossier, occasion in judge.judged_again if occasion is Occasion.ELITE]
    assert [one.candidate.id for one in again] == gains()
    assert 1 < len(again) < 12
    first = next(one for one in judge.judged if one.candidate == again[0].candidate)
    assert (again[0].plans, again[0].binaries) == (first.plans, first.binaries)
    assert [draw.case for stage in again[0].trials.large for draw in stage.draws] == [
        draw.case for stage in first.trials.large for draw in stage.draws
    ]
    assert {draw.seed for stage in again[0].trials.large for draw in stage.draws}.isdisjoint(
        draw.seed for stage in first.trials.large for draw in stage.draws
    )


def test_what_cannot_take_a_cell_of_the_archive_is_judged_once(tmp_path: Path) -> None:
    seat = Seat(task_id=TASK.id, cell="128-bit|block|one-pass", fitness=4.0)
    bundle_of(tmp_path / "x.bundle", 12, header=msgspec.structs.replace(HEADER, seats=(seat,)))
    judge = FakeJudge()
    judge_here(tmp_path / "x.bundle", tmp_path / "x.results", judge)
    assert judge.judged_again == []


def test_a_call_that_goes_on_knows_the_cells_that_were_taken_before(tmp_path: Path) -> None:
    bundle_of(tmp_path / "x.bundle", 12)
    with pytest.raises(KeyboardInterrupt):
        judge_here(tmp_path / "x.bundle", tmp_path / "x.results", FakeJudge(stop_at(6)))
    judge = FakeJudge()
    judge_here(tmp_path / "x.bundle", tmp_path / "x.results", judge)
    later = {one.id for one in FRESH[6:]}
    assert [one.candidate.id for one, _ in judge.judged_again] == [one for one in gains() if one in later]


def test_what_is_wrong_the_second_time_is_refused(tmp_path: Path) -> None:
    bundle_of(tmp_path / "x.bundle", 12)
    judge = FakeJudge(again=lambda candidate: make_report(candidate, failure=make_failure()))
    progress = judge_here(tmp_path / "x.bundle", tmp_path / "x.results", judge)
    assert progress.right == 0
    assert {one.candidate.id for one, _ in judge.judged_again} == {one.id for one in FRESH if verdict(one).is_right}


def test_the_slower_of_two_right_reports_counts(tmp_path: Path) -> None:
    bundle_of(tmp_path / "x.bundle", 12)
    judge = FakeJudge(again=lambda candidate: make_report(candidate, fitness=-1.0))
    judge_here(tmp_path / "x.bundle", tmp_path / "x.results", judge)
    looked_at = {one.candidate.id for one, _ in judge.judged_again}
    with Results(tmp_path / "x.results") as results:
        slow = {one.report.candidate_id for one in results.judged() if (one.report.geomean_us or 0.0) > 150.0}
    assert slow == looked_at


def test_reports_of_two_sessions_name_their_own_environments(tmp_path: Path) -> None:
    bundle_of(tmp_path / "x.bundle", 3)
    newer = msgspec.structs.replace(make_environment(), driver="580.1")
    with pytest.raises(KeyboardInterrupt):
        judge_here(tmp_path / "x.bundle", tmp_path / "x.results", FakeJudge(stop_at(1)))
    judge_here(tmp_path / "x.bundle", tmp_path / "x.results", FakeJudge(environment=newer))
    with Results(tmp_path / "x.results") as results:
        assert [one.environment for one in results.sessions()] == [make_environment(), newer]
        assert [one.report.environment_id for one in results.judged()] == [make_environment().id, newer.id, newer.id]
