"""A planned step that was never proposed gets to see again what it saw."""

from pathlib import Path

from archive_samples import begin, key_of, make_candidate, make_step, make_task, plan, right_step, wrong_step

from tilewright.archive.recall import recall
from tilewright.archive.records import SelectionMode
from tilewright.archive.selection import select
from tilewright.archive.store import open_archive

TASK = make_task()


def test_a_planned_step_sees_what_it_saw_even_after_its_elites_are_displaced(tmp_path: Path):
    with open_archive(tmp_path / "a.db", writable=True) as archive:
        run_id = begin(archive, TASK)
        for number, cell in enumerate(("128-bit|block|one-pass", "128-bit|block|streaming")):
            make_step(archive, right_step(key_of(run_id, TASK, number), make_candidate(TASK, number), cell=cell))
        make_step(archive, wrong_step(key_of(run_id, TASK, 2), make_candidate(TASK, 2)))
        key = key_of(run_id, TASK, 3)
        seen = select(archive, key, 7)
        plan(archive, key, *seen.links)
        for number, cell in enumerate(("128-bit|block|one-pass", "128-bit|block|streaming"), start=4):
            finished = right_step(key_of(run_id, TASK, number), make_candidate(TASK, number), fitness=2.0, cell=cell)
            make_step(archive, finished)
        (step,) = archive.open_steps(run_id, TASK.id)
        again = recall(archive, step.planned)
        assert again.mode is SelectionMode.RECALLED
        assert (again.parent, again.inspirations) == (seen.parent, seen.inspirations)
        assert (again.failures, again.archive_seq) == (seen.failures, seen.archive_seq)
