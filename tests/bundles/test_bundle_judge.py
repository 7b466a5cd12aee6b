"""Judging a bundle: every report is kept at once, and the same call goes on."""

import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from archive_samples import make_environment
from bundle_samples import HEADER, FakeJudge, bundle_of, judge_here, ticket

from tilewright.evaluator.bundle_results import Results
from tilewright.evaluator.framed_file import BundleError
from tilewright.evaluator.gpu.errors import JudgeFaultError

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
    assert reports(tmp_path / "x.results") == judge.judged
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
    assert reports(tmp_path / "x.results") == first + again.judged
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
from tilewright.evaluator.bundle_judge import judge_bundle
def tell(progress):
    print(progress.judged, flush=True)
    if progress.judged == {stop}:
        sys.stdin.read()
with Bundle(Path({bundle!r})) as bundle:
    judge_bundle(bundle, Path({results!r}), FakeJudge(), tell)
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


def test_later_rounds_are_judged_by_a_process_that_has_met_no_other_candidate(tmp_path: Path) -> None:
    judge = FakeJudge()
    bundle_of(tmp_path / "x.bundle", 2, round_=1)
    judge_here(tmp_path / "x.bundle", tmp_path / "x.results", judge)
    assert judge.confirmed == judge.judged
    assert len(judge.judged) == 2


def test_reports_of_two_sessions_name_their_own_environments(tmp_path: Path) -> None:
    bundle_of(tmp_path / "x.bundle", 3)
    newer = msgspec.structs.replace(make_environment(), driver="580.1")
    with pytest.raises(KeyboardInterrupt):
        judge_here(tmp_path / "x.bundle", tmp_path / "x.results", FakeJudge(stop_at(1)))
    judge_here(tmp_path / "x.bundle", tmp_path / "x.results", FakeJudge(environment=newer))
    with Results(tmp_path / "x.results") as results:
        assert [one.environment for one in results.sessions()] == [make_environment(), newer]
        assert [one.report.environment_id for one in results.judged()] == [make_environment().id, newer.id, newer.id]
