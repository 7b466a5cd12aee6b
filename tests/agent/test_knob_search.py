import itertools
import math

import numpy

from tilewright.agent.operators.knob_search import Trial, next_knobs
from tilewright.sandbox.failure import FailureKind
from tilewright.tasks.candidate import Knob, KnobRange

TABLE = (
    KnobRange(name="BLOCK", values=(64, 128, 256, 512, 1024, 2048)),
    KnobRange(name="ROWS", values=(1, 2, 4, 8)),
    KnobRange(name="num_warps", values=(4, 1, 2, 8, 16)),
)


def _time_us(knobs: tuple[Knob, ...]) -> float:
    """A smooth bowl in log space with its least at BLOCK 512, ROWS 2, 8 warps."""
    value = {knob.name: math.log2(knob.value) for knob in knobs}
    return 50.0 * 2 ** (
        0.2 * (value["BLOCK"] - 9) ** 2 + 0.3 * (value["ROWS"] - 1) ** 2 + 0.1 * (value["num_warps"] - 3) ** 2
    )


def _search(steps: int, seed: int) -> list[Trial]:
    trials: list[Trial] = []
    for number in range(steps):
        knobs = next_knobs(TABLE, tuple(trials), numpy.random.default_rng((seed, number)))
        assert knobs is not None
        trials.append(Trial(knobs=knobs, time_us=_time_us(knobs), failure=None))
    return trials


def test_the_default_setting_comes_first() -> None:
    knobs = next_knobs(TABLE, (), numpy.random.default_rng(0))
    assert knobs == (Knob(name="BLOCK", value=64), Knob(name="ROWS", value=1), Knob(name="num_warps", value=4))


def test_no_setting_is_tried_twice_and_the_end_is_said() -> None:
    small = (KnobRange(name="A", values=(1, 2, 3)), KnobRange(name="B", values=(1, 2)))
    trials: list[Trial] = []
    while (knobs := next_knobs(small, tuple(trials), numpy.random.default_rng(len(trials)))) is not None:
        trials.append(Trial(knobs=knobs, time_us=1.0 + len(trials), failure=None))
    assert len({trial.knobs for trial in trials}) == len(trials) == 6


def test_the_best_of_120_settings_is_found_in_25_trials() -> None:
    best = min(
        _time_us(tuple(Knob(name=row.name, value=value) for row, value in zip(TABLE, point, strict=True)))
        for point in itertools.product(*(row.values for row in TABLE))
    )
    found = [min(trial.time_us or math.inf for trial in _search(25, seed)) for seed in range(5)]
    assert max(found) <= 1.02 * best


def test_a_setting_that_needs_more_than_one_that_did_not_fit_is_never_proposed() -> None:
    limit = (Knob(name="BLOCK", value=256), Knob(name="ROWS", value=2), Knob(name="num_warps", value=4))
    trials = [Trial(knobs=limit, time_us=None, failure=FailureKind.RESOURCES)]
    while (knobs := next_knobs(TABLE, tuple(trials), numpy.random.default_rng(len(trials)))) is not None:
        value = {knob.name: knob.value for knob in knobs}
        assert not (value["num_warps"] == 4 and value["BLOCK"] >= 256 and value["ROWS"] >= 2)
        trials.append(Trial(knobs=knobs, time_us=_time_us(knobs), failure=None))


def test_a_setting_in_flight_is_not_proposed_again() -> None:
    first = next_knobs(TABLE, (), numpy.random.default_rng(0))
    assert first is not None
    second = next_knobs(TABLE, (Trial(knobs=first, time_us=None, failure=None),), numpy.random.default_rng(0))
    assert second != first
