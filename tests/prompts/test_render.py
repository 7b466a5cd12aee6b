from pathlib import Path

import pytest
from archive_samples import make_candidate, make_failure, make_report, make_reward, make_task

from tilewright.archive.records import Elite, FailedAttempt, Selection, SelectionMode
from tilewright.prompts.render import render_improve
from tilewright.sandbox.targets import find_target

GOLDEN = Path(__file__).parent / "golden"
TASK = make_task()


def _elite(number: int, cell: str) -> Elite:
    candidate = make_candidate(TASK, number)
    return Elite(cell=cell, candidate=candidate, report=make_report(candidate), reward=make_reward(0.5), fitness=0.5)


def _selection(*, has_parent: bool) -> Selection:
    failure = FailedAttempt(candidate=make_candidate(TASK, 9), failure=make_failure(), number=9)
    return Selection(
        mode=SelectionMode.CURIOSITY if has_parent else SelectionMode.EMPTY,
        parent=_elite(1, "128-bit|block|one-pass") if has_parent else None,
        inspirations=(_elite(2, "async|block|streaming"),) if has_parent else (),
        failures=(failure,) if has_parent else (),
        archive_seq=12,
    )


@pytest.mark.parametrize(("name", "has_parent"), [("improve", True), ("first", False)])
def test_a_prompt_is_the_golden_file(name: str, has_parent: bool) -> None:
    prompt = render_improve(TASK, find_target("cuda:90"), _selection(has_parent=has_parent))
    path = GOLDEN / f"{name}.md"
    text = f"{prompt.system}\n=====\n{prompt.user}"
    assert text == path.read_text(), f"if the change is meant, write the new text to {path}"


def test_the_stable_part_does_not_change_with_the_parent() -> None:
    first, second = (
        render_improve(TASK, find_target("cuda:90"), _selection(has_parent=has_parent)) for has_parent in (True, False)
    )
    assert first.system == second.system
    assert first.digest != second.digest
