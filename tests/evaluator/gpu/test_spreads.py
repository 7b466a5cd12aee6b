import numpy as np
import pytest

from tilewright.evaluator.gpu.spreads import log_ratios, pair, ratio_drift, relative_spread, to_span


def test_a_span_is_the_median_with_the_tenth_and_ninetieth_percentile() -> None:
    span = to_span([11, 1, 2, 10, 3, 9, 4, 8, 5, 7, 6])
    assert (span.low_us, span.median_us, span.high_us) == (2, 6, 10)
    assert relative_spread([11, 1, 2, 10, 3, 9, 4, 8, 5, 7, 6]) == pytest.approx(8 / 6)


def test_what_slows_both_members_of_a_pair_alike_cancels() -> None:
    candidate = [10.0, 30.0, 12.0, 17.0]
    found = pair([2 * one for one in candidate], candidate, seed=0)
    assert (found.median, found.low, found.high, found.pairs) == pytest.approx((2, 2, 2, 4))


def test_the_median_of_an_odd_number_of_pairs_is_one_of_them() -> None:
    found = pair([10, 30, 20], [10, 10, 10], seed=3)
    assert found.median == pytest.approx(2)
    assert 1 <= found.low <= 2 <= found.high <= 3.0000001


def test_the_same_times_and_seed_give_the_same_interval() -> None:
    times = np.random.default_rng(1).lognormal(sigma=0.05, size=(2, 30))
    assert pair(times[0], times[1], seed=5) == pair(times[0], times[1], seed=5)


def test_the_interval_holds_the_true_ratio_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(7)
    covered = 0
    for trial in range(300):
        common = generator.lognormal(sigma=0.05, size=26)  # clocks: both members of a pair
        baseline = 1.1 * common * generator.lognormal(sigma=0.01, size=26)
        candidate = common * generator.lognormal(sigma=0.01, size=26)
        found = pair(baseline, candidate, seed=trial)
        covered += found.low <= 1.1 <= found.high
    assert 0.90 <= covered / 300 <= 0.99


def test_more_pairs_narrow_the_interval_as_the_root_of_their_number() -> None:
    generator = np.random.default_rng(11)
    widths = []
    for count in (25, 400):
        found = [pair(generator.lognormal(sigma=0.02, size=count), np.ones(count), seed=one) for one in range(20)]
        widths.append(float(np.mean([one.high - one.low for one in found])))
    assert 3 < widths[0] / widths[1] < 5.3


def test_a_drift_of_the_ratio_is_seen_and_a_drift_of_both_is_not() -> None:
    rising = np.linspace(10, 20, 20)
    assert ratio_drift(2 * rising, rising) == pytest.approx(0)
    assert ratio_drift([1, 1, 1.05, 1.05], [1, 1, 1, 1]) == pytest.approx(0.05)
    assert ratio_drift([1.0], [1.0]) == 0


@pytest.mark.parametrize("times", [[], [1.0, 0.0], [1.0, -2.0], [1.0, float("nan")], [float("inf")]])
def test_times_must_be_positive_and_finite(times: list[float]) -> None:
    with pytest.raises(ValueError, match="expected positive, finite times"):
        to_span(times)


def test_a_turn_without_its_partner_is_refused() -> None:
    with pytest.raises(ValueError, match="as many times"):
        log_ratios([1.0, 2.0], [1.0])
