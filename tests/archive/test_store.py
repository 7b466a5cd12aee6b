"""What the archive keeps, and what its verbs do when they are repeated."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from archive_samples import (
    begin,
    key_of,
    make_candidate,
    make_environment,
    make_failure,
    make_recording,
    make_step,
    make_task,
    plan,
    right_step,
    wrong_step,
)
from msgspec import structs

from tilewright.archive.errors import RunExistsError, StepConflictError, UnknownCandidateError, UnknownCellError
from tilewright.archive.records import (
    FinishedStep,
    Insertion,
    InsertionStatus,
    ParentLink,
    ParentRole,
    StepState,
)
from tilewright.archive.runs import Budget, RunSpec, RunStatus
from tilewright.archive.store import Archive, open_archive
from tilewright.sandbox.failure import FailureKind, Stage
from tilewright.tasks.spec import KernelTask


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with open_archive(tmp_path / "a.db", writable=True) as opened:
        yield opened


@pytest.fixture
def task() -> KernelTask:
    return make_task()


@pytest.fixture
def run_id(archive: Archive, task: KernelTask) -> str:
    return begin(archive, task)


def test_a_new_cell_is_filled_by_the_first_right_candidate(archive: Archive, run_id: str, task: KernelTask):
    one = make_candidate(task, 0)
    insertion = make_step(archive, right_step(key_of(run_id, task, 0), one, fitness=0.5))
    assert insertion == Insertion(
        status=InsertionStatus.NEW, cell="128-bit|block|one-pass", displaced=None, fitness=0.5, delta=3.5
    )
    elite = archive.elite(run_id, task.id, "128-bit|block|one-pass")
    assert (elite.candidate, elite.fitness) == (one, 0.5)
    assert elite.report.is_right


def test_a_faster_candidate_displaces_the_elite(archive: Archive, run_id: str, task: KernelTask):
    slow, fast = make_candidate(task, 0), make_candidate(task, 1)
    make_step(archive, right_step(key_of(run_id, task, 0), slow, fitness=0.5))
    insertion = make_step(archive, right_step(key_of(run_id, task, 1), fast, fitness=1.25))
    assert (insertion.status, insertion.displaced, insertion.delta) == (InsertionStatus.IMPROVED, slow.id, 0.75)
    assert archive.best(run_id, task.id).candidate.id == fast.id


def test_an_equally_fast_candidate_does_not_displace_the_elite(archive: Archive, run_id: str, task: KernelTask):
    first, second = make_candidate(task, 0), make_candidate(task, 1)
    make_step(archive, right_step(key_of(run_id, task, 0), first))
    assert make_step(archive, right_step(key_of(run_id, task, 1), second)).status is InsertionStatus.KEPT_OLD
    assert [row.candidate_id for row in archive.elites(run_id, task.id)] == [first.id]


def test_a_wrong_candidate_never_enters_the_map(archive: Archive, run_id: str, task: KernelTask):
    insertion = make_step(archive, wrong_step(key_of(run_id, task, 0), make_candidate(task, 0)))
    assert insertion == Insertion(status=InsertionStatus.REJECTED)
    assert archive.elites(run_id, task.id) == ()
    assert archive.best(run_id, task.id) is None


def test_a_done_step_with_a_wrong_report_is_rejected(archive: Archive, run_id: str, task: KernelTask):
    wrong = wrong_step(key_of(run_id, task, 0), make_candidate(task, 0))
    finished = structs.replace(wrong, state=StepState.DONE, failure=None)
    assert make_step(archive, finished).status is InsertionStatus.REJECTED
    assert len(archive.recent_failures(run_id, task.id, limit=5)) == 1


def test_candidates_that_leave_the_work_to_others_are_never_the_answer(archive: Archive, run_id: str, task: KernelTask):
    cell = "128-bit|block|foreign"
    make_step(archive, right_step(key_of(run_id, task, 0), make_candidate(task, 0), fitness=0.0, cell=cell))
    assert [row.cell for row in archive.elites(run_id, task.id)] == [cell]
    assert archive.best(run_id, task.id) is None


def test_finishing_a_finished_step_returns_the_same_insertion(archive: Archive, run_id: str, task: KernelTask):
    finished = right_step(key_of(run_id, task, 0), make_candidate(task, 0))
    first = make_step(archive, finished)
    spent = archive.spent(run_id, task.id)
    assert archive.finish_step(finished) == first
    assert archive.archive_seq(run_id, task.id) == 1
    assert archive.spent(run_id, task.id) == spent


def test_planning_and_proposing_again_change_nothing(archive: Archive, run_id: str, task: KernelTask):
    key, candidate = key_of(run_id, task, 0), make_candidate(task, 0)
    for _ in range(2):
        plan(archive, key)
        archive.propose_step(key, candidate)
    assert archive.steps_count(run_id, task.id) == 1


def test_another_plan_for_a_planned_step_is_refused(archive: Archive, run_id: str, task: KernelTask):
    plan(archive, key_of(run_id, task, 0), operator="sketch")
    with pytest.raises(StepConflictError, match="already planned"):
        plan(archive, key_of(run_id, task, 0), operator="tune")


def test_step_numbers_leave_no_gap(archive: Archive, run_id: str, task: KernelTask):
    with pytest.raises(StepConflictError, match="expected step 0"):
        plan(archive, key_of(run_id, task, 1))


def test_another_candidate_for_a_proposed_step_is_refused(archive: Archive, run_id: str, task: KernelTask):
    key = key_of(run_id, task, 0)
    plan(archive, key)
    archive.propose_step(key, make_candidate(task, 0))
    with pytest.raises(StepConflictError, match="proposed"):
        archive.propose_step(key, make_candidate(task, 1))


def test_a_report_on_another_candidate_is_refused(archive: Archive, run_id: str, task: KernelTask):
    finished = right_step(key_of(run_id, task, 0), make_candidate(task, 0))
    plan(archive, finished.key)
    with pytest.raises(StepConflictError, match="expected a report on"):
        archive.finish_step(structs.replace(finished, candidate=make_candidate(task, 1)))


def test_a_refused_finish_stores_nothing(archive: Archive, run_id: str, task: KernelTask):
    finished = right_step(key_of(run_id, task, 0), make_candidate(task, 0))
    plan(archive, finished.key)
    with pytest.raises(StepConflictError, match="a recording and a report"):
        archive.finish_step(structs.replace(finished, recording=None))
    assert [step.state for step in archive.open_steps(run_id, task.id)] == [StepState.PLANNED]


def test_a_step_may_be_finished_without_repeating_its_candidate(archive: Archive, run_id: str, task: KernelTask):
    key, candidate = key_of(run_id, task, 0), make_candidate(task, 0)
    plan(archive, key)
    archive.propose_step(key, candidate)
    insertion = archive.finish_step(structs.replace(right_step(key, candidate), candidate=None))
    assert archive.elite(run_id, task.id, insertion.cell).candidate == candidate


def test_a_failure_without_a_candidate_is_refused(archive: Archive, run_id: str, task: KernelTask):
    key = key_of(run_id, task, 0)
    with pytest.raises(StepConflictError, match="a candidate with a failure"):
        make_step(archive, FinishedStep(key=key, state=StepState.FAILED, arm="sketch", failure=make_failure()))


def test_open_steps_carry_their_candidates_and_parents(archive: Archive, run_id: str, task: KernelTask):
    parent, child = make_candidate(task, 0), make_candidate(task, 1)
    make_step(archive, right_step(key_of(run_id, task, 0), parent))
    link = ParentLink(role=ParentRole.PARENT, candidate_id=parent.id)
    plan(archive, key_of(run_id, task, 1), link)
    archive.propose_step(key_of(run_id, task, 1), child)
    plan(archive, key_of(run_id, task, 2))
    proposed, planned = archive.open_steps(run_id, task.id)
    assert (proposed.state, proposed.candidate, proposed.planned.parents) == (StepState.PROPOSED, child, (link,))
    assert (planned.state, planned.candidate, planned.planned.key.number) == (StepState.PLANNED, None, 2)


def test_a_known_candidate_is_found(archive: Archive, run_id: str, task: KernelTask):
    known = make_candidate(task, 0)
    make_step(archive, right_step(key_of(run_id, task, 0), known))
    assert archive.find_duplicate(run_id, task.id, candidate_id=known.id) == known.id
    assert archive.find_duplicate(run_id, task.id, candidate_id=make_candidate(task, 1).id) is None


def test_a_candidate_refused_before_recording_is_known_too(archive: Archive, run_id: str, task: KernelTask):
    candidate, failure = make_candidate(task, 0), make_failure(kind=FailureKind.SYNTAX, stage=Stage.STATIC)
    key = key_of(run_id, task, 0)
    make_step(
        archive,
        FinishedStep(key=key, state=StepState.FAILED, arm="sketch", candidate=candidate, failure=failure),
    )
    assert archive.find_duplicate(run_id, task.id, candidate_id=candidate.id) == candidate.id


def test_a_known_binary_is_found_under_another_source(archive: Archive, run_id: str, task: KernelTask):
    known, disguised = make_candidate(task, 0), make_candidate(task, 1)
    make_step(archive, right_step(key_of(run_id, task, 0), known, binary="same"))
    binary_id = make_recording(disguised, binary="same").binary_id
    assert archive.find_duplicate(run_id, task.id, candidate_id=disguised.id, binary_id=binary_id) == known.id


def test_other_runs_have_their_own_duplicates(archive: Archive, run_id: str, task: KernelTask):
    known = make_candidate(task, 0)
    make_step(archive, right_step(key_of(run_id, task, 0), known))
    other = archive.begin_run(RunSpec(name="second", seed=1, config_json="{}", code_version="0.1.0")).id
    assert archive.find_duplicate(other, task.id, candidate_id=known.id) is None
    assert make_step(archive, right_step(key_of(other, task, 0), known)).status is InsertionStatus.NEW


def test_a_candidate_that_we_could_not_judge_is_not_known(archive: Archive, run_id: str, task: KernelTask):
    candidate, key = make_candidate(task, 0), key_of(run_id, task, 0)
    make_step(archive, FinishedStep(key=key, state=StepState.FAILED, arm="sketch", candidate=candidate))
    assert archive.find_duplicate(run_id, task.id, candidate_id=candidate.id) is None
    assert make_step(archive, right_step(key_of(run_id, task, 1), candidate)).status is InsertionStatus.NEW


def test_two_judgements_of_one_binary_become_one_verdict_and_a_duplicate(
    archive: Archive, run_id: str, task: KernelTask
):
    first, second = make_candidate(task, 0), make_candidate(task, 1)
    plan(archive, key_of(run_id, task, 0))
    plan(archive, key_of(run_id, task, 1))
    archive.finish_step(right_step(key_of(run_id, task, 0), first, fitness=0.5, binary="same"))
    late = archive.finish_step(right_step(key_of(run_id, task, 1), second, fitness=0.9, binary="same"))
    assert late == Insertion(status=InsertionStatus.REJECTED)
    assert [one.state for one in archive.attempts(run_id, task.id)] == [StepState.DUPLICATE, StepState.DONE]


def test_a_duplicate_has_the_verdict_of_what_it_repeats(archive: Archive, run_id: str, task: KernelTask):
    known, again = make_candidate(task, 0), make_candidate(task, 1)
    make_step(archive, right_step(key_of(run_id, task, 0), known, fitness=1.0))
    key = key_of(run_id, task, 1)
    duplicate = FinishedStep(key=key, state=StepState.DUPLICATE, arm="tune", candidate=again, duplicate_of=known.id)
    make_step(archive, duplicate)
    newest = archive.attempts(run_id, task.id, limit=1)[0]
    assert (newest.candidate_id, newest.fitness) == (again.id, 1.0)
    assert newest.time_us == pytest.approx(50.0)
    assert archive.report(again.id) == archive.report(known.id)
    assert archive.recording(again.id) == archive.recording(known.id)


def test_a_duplicate_of_nothing_known_is_refused(archive: Archive, run_id: str, task: KernelTask):
    key, candidate = key_of(run_id, task, 0), make_candidate(task, 0)
    duplicate = FinishedStep(
        key=key, state=StepState.DUPLICATE, arm="tune", candidate=candidate, duplicate_of=make_candidate(task, 9).id
    )
    with pytest.raises(StepConflictError, match="no step of the task has candidate"):
        make_step(archive, duplicate)


def test_attempts_can_be_asked_for_one_source(archive: Archive, run_id: str, task: KernelTask):
    for number in range(4):
        candidate = make_candidate(task, number, source=f"# source {number % 2}\n")
        make_step(archive, right_step(key_of(run_id, task, number), candidate))
    sha = archive.attempts(run_id, task.id)[0].source_sha
    assert [one.number for one in archive.attempts(run_id, task.id, source_sha=sha)] == [3, 1]


def test_programs_are_ranked_by_their_best_time(archive: Archive, run_id: str, task: KernelTask):
    for number in range(4):
        candidate = make_candidate(task, number, source=f"# source {number % 2}\n")
        make_step(archive, right_step(key_of(run_id, task, number), candidate, fitness=float(number)))
    plan(archive, key_of(run_id, task, 4))
    archive.propose_step(key_of(run_id, task, 4), make_candidate(task, 4, source="# source 1\n"))
    first, second = archive.programs(run_id, task.id)
    assert (first.trials, second.trials) == (3, 2)
    assert (first.best_us, second.best_us) == (pytest.approx(12.5), pytest.approx(25.0))
    assert [one.number for one in archive.trials(run_id, task.id, first.source_sha)] == [4, 3, 1]
    assert archive.tried(run_id, task.id, (first.source_sha, "0" * 64)) == {first.source_sha}
    assert [knob.name for knob in archive.knob_table(run_id, task.id, first.source_sha)] == ["BLOCK"]


def test_points_that_do_not_fit_the_target_are_infeasible(archive: Archive, run_id: str, task: KernelTask):
    failure = make_failure(kind=FailureKind.RESOURCES, stage=Stage.COMPILE)
    make_step(archive, wrong_step(key_of(run_id, task, 0), make_candidate(task, 0), failure))
    make_step(archive, wrong_step(key_of(run_id, task, 1), make_candidate(task, 1)))
    assert [one.infeasible for one in archive.attempts(run_id, task.id)] == [False, True]


def test_failures_that_differ_in_numbers_only_are_one_kind(archive: Archive, run_id: str, task: KernelTask):
    messages = ("error 0.5 in row 3", "error 0.25 in row 77", "name 'foo' is unknown", "error 1e-3 in row 1")
    for number, message in enumerate(messages):
        make_step(
            archive, wrong_step(key_of(run_id, task, number), make_candidate(task, number), make_failure(message))
        )
    groups = archive.frequent_failures(run_id, task.id, limit=3)
    assert [(group.count, group.latest.failure.message) for group in groups] == [(3, messages[3]), (1, messages[2])]


def test_a_failure_is_returned_as_it_was_given(archive: Archive, run_id: str, task: KernelTask):
    failure = make_failure(hint="mask the tail")
    candidate = make_candidate(task, 0)
    make_step(archive, wrong_step(key_of(run_id, task, 0), candidate, failure))
    found = archive.recent_failures(run_id, task.id, limit=1)[0]
    assert (found.candidate, found.failure, found.number) == (candidate, failure, 0)


def test_costs_add_up_over_steps(archive: Archive, run_id: str, task: KernelTask):
    archive.add_budget(run_id, task.id, Budget(candidates=10))
    make_step(archive, right_step(key_of(run_id, task, 0), make_candidate(task, 0), binary="same"))
    make_step(archive, wrong_step(key_of(run_id, task, 1), make_candidate(task, 1)))
    make_step(archive, right_step(key_of(run_id, task, 2), make_candidate(task, 2), binary="same"))
    spent = archive.spent(run_id, task.id)
    assert (spent.candidates, spent.duplicates, spent.wall_s, spent.judge_s) == (2, 1, 0.75, 1.5)
    assert archive.budget(run_id, task.id) == Budget(candidates=10)


def test_tasks_of_a_run_keep_the_order_in_which_they_were_entered(archive: Archive, run_id: str):
    titles = ("zeta", "alpha", "mu")
    for title in titles:
        other = make_task(title)
        archive.add_task(other)
        archive.add_budget(run_id, other.id, Budget(wall_s=60.0))
    assert [archive.task(task_id).title for task_id in archive.run_tasks(run_id)] == list(titles)


def test_arms_are_credited_in_the_order_of_finishing(archive: Archive, run_id: str, task: KernelTask):
    for number in range(3):
        plan(archive, key_of(run_id, task, number))
    for number in (2, 0, 1):
        candidate = make_candidate(task, number, operator=f"arm{number}")
        archive.finish_step(right_step(key_of(run_id, task, number), candidate, fitness=float(number)))
    events = archive.arm_events(run_id, task.id, limit=2)
    assert [(one.number, one.arm, one.gain) for one in events] == [(0, "arm0", 0.0), (1, "arm1", 0.0)]


def test_a_parents_cell_counts_its_children(archive: Archive, run_id: str, task: KernelTask):
    parent = make_candidate(task, 0)
    make_step(archive, right_step(key_of(run_id, task, 0), parent))
    link = ParentLink(role=ParentRole.PARENT, candidate_id=parent.id)
    better = right_step(key_of(run_id, task, 1), make_candidate(task, 1), fitness=1.0)
    make_step(archive, better, link)
    make_step(archive, wrong_step(key_of(run_id, task, 2), make_candidate(task, 2)), link)
    (row,) = archive.elites(run_id, task.id)
    assert (row.picks, row.successes) == (2, 1)


def test_lineage_names_parents_and_inspirations_but_not_failures(archive: Archive, run_id: str, task: KernelTask):
    a, b, c, d = (make_candidate(task, number) for number in range(4))
    make_step(archive, right_step(key_of(run_id, task, 0), a))
    make_step(archive, wrong_step(key_of(run_id, task, 1), b))
    parent = ParentLink(role=ParentRole.PARENT, candidate_id=a.id)
    make_step(archive, right_step(key_of(run_id, task, 2), c, fitness=1.0), parent)
    links = (
        ParentLink(role=ParentRole.PARENT, candidate_id=c.id),
        ParentLink(role=ParentRole.INSPIRATION, candidate_id=a.id),
        ParentLink(role=ParentRole.FAILURE, candidate_id=b.id),
    )
    make_step(archive, right_step(key_of(run_id, task, 3), d, fitness=2.0), *links)
    found = archive.lineage(d.id[:8])
    assert [(one.candidate_id, one.depth) for one in found] == [(d.id, 0), (c.id, 1), (a.id, 1)]
    assert [one.fitness for one in found] == [2.0, 1.0, 0.0]


def test_a_candidate_is_found_by_the_first_digits_of_its_id(archive: Archive, run_id: str, task: KernelTask):
    candidate = make_candidate(task, 0)
    make_step(archive, right_step(key_of(run_id, task, 0), candidate))
    assert archive.candidate(candidate.id[:6]) == candidate


@pytest.mark.parametrize("prefix", ["", "zz", "0" * 16])
def test_an_unknown_candidate_is_named(archive: Archive, run_id: str, prefix: str):
    with pytest.raises(UnknownCandidateError, match="expected the id of a candidate"):
        archive.candidate(prefix)


def test_an_ambiguous_candidate_asks_for_more_digits(archive: Archive, run_id: str, task: KernelTask):
    ids = []
    for number in range(40):
        candidate = make_candidate(task, number)
        ids.append(candidate.id)
        make_step(archive, right_step(key_of(run_id, task, number), candidate))
    digit = next(one[0] for one in ids if sum(other[0] == one[0] for other in ids) > 1)
    with pytest.raises(UnknownCandidateError, match="give more digits"):
        archive.candidate(digit)


def test_an_empty_cell_is_named(archive: Archive, run_id: str, task: KernelTask):
    with pytest.raises(UnknownCellError, match="expected a filled cell"):
        archive.elite(run_id, task.id, "scalar|block|one-pass")


def test_a_run_is_found_by_name_and_by_id(archive: Archive, run_id: str):
    assert archive.run("first") == archive.run(run_id)
    archive.set_run_status(run_id, RunStatus.DONE)
    assert [run.status for run in archive.runs()] == [RunStatus.DONE]


def test_a_second_run_of_one_name_is_refused(archive: Archive, run_id: str):
    with pytest.raises(RunExistsError, match="tilewright resume first"):
        archive.begin_run(RunSpec(name="first", seed=1, config_json="{}", code_version="0.1.0"))


def test_values_come_back_as_they_were_given(archive: Archive, run_id: str, task: KernelTask):
    finished = right_step(key_of(run_id, task, 0), make_candidate(task, 0), fitness=0.5)
    make_step(archive, finished)
    candidate_id = finished.candidate.id
    assert archive.task(task.id) == task == archive.task("softmax")
    assert archive.tasks() == (task,)
    assert archive.environment(finished.report.environment_id) == make_environment()
    assert archive.report(candidate_id) == finished.report
    assert archive.reward(candidate_id) == finished.reward
    assert archive.recording(candidate_id) == finished.recording


def test_summaries_show_each_task_of_each_run(archive: Archive, run_id: str, task: KernelTask):
    make_step(archive, right_step(key_of(run_id, task, 0), make_candidate(task, 0), fitness=0.5))
    (summary,) = archive.summaries()
    assert (summary.run, summary.title, summary.cells, summary.spent.candidates) == ("first", "softmax", 1, 1)
    assert summary.best.speedup == pytest.approx(2**0.5)
