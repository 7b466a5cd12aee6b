import numpy
import pytest

from tilewright.agent.bandit import FLOOR, choose, probabilities
from tilewright.archive.records import ArmEvent, InsertionStatus


def _event(number: int, arm: str, gain: float, cost_s: float = 1.0) -> ArmEvent:
    return ArmEvent(number=number, arm=arm, status=InsertionStatus.NEW, gain=gain, cost_s=cost_s)


def test_without_events_every_arm_is_as_likely() -> None:
    assert probabilities(("a", "b"), ()) == pytest.approx((0.5, 0.5))


def test_the_arm_with_more_gain_per_second_is_likelier() -> None:
    events = tuple(_event(i, "ab"[i % 2], gain=1.0, cost_s=(1.0, 5.0)[i % 2]) for i in range(40))
    first, second = probabilities(("a", "b"), events)
    assert first > second


def test_no_arm_falls_below_the_floor() -> None:
    events = (*(_event(i, "a", gain=5.0) for i in range(500)), _event(500, "b", gain=0.0, cost_s=100.0))
    shares = probabilities(("a", "b", "c"), events)
    assert min(shares) >= FLOOR
    assert sum(shares) == pytest.approx(1.0)


def test_a_loss_costs_an_arm_no_more_than_no_gain() -> None:
    loss, nothing = ((_event(0, "a", gain),) for gain in (-3.0, 0.0))
    assert probabilities(("a", "b"), loss) == probabilities(("a", "b"), nothing)


def test_the_same_draws_choose_the_same_arm() -> None:
    picks = {choose(("a", "b"), (), numpy.random.default_rng(7)) for _ in range(5)}
    assert len(picks) == 1
