import pytest

from tilewright.agent.budget import Budget, BudgetError, parse_budget
from tilewright.archive.runs import Spent


def _spent(candidates: int = 0, wall_s: float = 0.0) -> Spent:
    return Spent(candidates=candidates, wall_s=wall_s, judge_s=0.0, cost_usd=0.0)


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("120s", Budget(wall_s=120.0)),
        ("500c", Budget(candidates=500)),
        ("60s-per-task", Budget(task_wall_s=60.0)),
        ("10m+200c", Budget(wall_s=600.0, candidates=200)),
        ("1h+50c-per-task", Budget(wall_s=3600.0, task_candidates=50)),
    ],
)
def test_a_budget_is_read_from_its_text(text: str, budget: Budget) -> None:
    assert parse_budget(text) == budget


@pytest.mark.parametrize("text", ["", "120", "s", "12x", "120s+130s", "0s", "1.5c", "-3s", "60s per task"])
def test_a_text_that_is_no_budget_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(BudgetError, match="expected"):
        parse_budget(text)


def test_candidates_in_flight_count_against_the_cap() -> None:
    budget = Budget(task_candidates=10)
    assert not budget.is_reached(_spent(candidates=7), in_flight=2)
    assert budget.is_reached(_spent(candidates=7), in_flight=3)


def test_seconds_of_earlier_sessions_count_against_the_cap() -> None:
    assert Budget(task_wall_s=60.0).is_reached(_spent(wall_s=60.0))


def test_what_a_task_leaves_is_shared_among_those_that_follow() -> None:
    share = Budget(wall_s=100.0, candidates=30).share_for(_spent(candidates=10, wall_s=40.0), tasks_left=2)
    assert share == Budget(task_wall_s=30.0, task_candidates=10)


def test_the_tighter_of_two_caps_holds() -> None:
    assert Budget(wall_s=100.0, task_wall_s=60.0).share_for(_spent(), tasks_left=4).task_wall_s == 25.0
