"""Rank correlations against values that were computed by hand or published, ties included."""

import itertools
import math

import numpy
import pytest

from tilewright.evaluator.calibration_ranks import kendall, spearman


def pairs_kendall(left: list[float], right: list[float]) -> float:
    """Kendall's tau-b by its definition, pair by pair."""
    together = apart = left_ties = right_ties = 0
    for (a, b), (c, d) in itertools.combinations(zip(left, right, strict=True), 2):
        together += (a - c) * (b - d) > 0
        apart += (a - c) * (b - d) < 0
        left_ties += a == c
        right_ties += b == d
    pairs = len(left) * (len(left) - 1) // 2
    return (together - apart) / math.sqrt((pairs - left_ties) * (pairs - right_ties))


def test_equal_orders_correlate_perfectly_and_opposite_ones_inversely() -> None:
    rising = numpy.array([1.0, 2.0, 3.0, 5.0, 8.0])
    assert kendall(rising, numpy.exp(rising)) == pytest.approx(1.0)
    assert spearman(rising, numpy.exp(rising)) == pytest.approx(1.0)
    assert kendall(rising, -rising) == pytest.approx(-1.0)
    assert spearman(rising, -rising) == pytest.approx(-1.0)


def test_correlations_without_ties_are_those_worked_out_by_hand() -> None:
    # of the 10 pairs 8 are in the same order; the squared differences of the ranks add up to 4
    left, right = numpy.array([1.0, 2.0, 3.0, 4.0, 5.0]), numpy.array([2.0, 1.0, 3.0, 5.0, 4.0])
    assert kendall(left, right) == pytest.approx((8 - 2) / 10)
    assert spearman(left, right) == pytest.approx(1 - 6 * 4 / (5 * 24))


def test_ties_are_counted_as_tau_b_and_mean_ranks_count_them() -> None:
    # pairs: 4 together, 1 apart, 1 tied left; ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4
    left, right = numpy.array([1.0, 2.0, 2.0, 3.0]), numpy.array([10.0, 20.0, 30.0, 25.0])
    assert kendall(left, right) == pytest.approx((4 - 1) / math.sqrt(5 * 6))
    # centred ranks -1.5, 0, 0, 1.5 and -1.5, -0.5, 1.5, 0.5
    assert spearman(left, right) == pytest.approx((2.25 + 0.75) / math.sqrt(4.5 * 5.0))


def test_tau_b_with_many_ties_equals_its_definition_pair_by_pair() -> None:
    draws = numpy.random.default_rng(3)
    left, right = draws.integers(0, 6, 37).astype(float), draws.integers(0, 4, 37).astype(float)
    assert kendall(left, right) == pytest.approx(pairs_kendall(left.tolist(), right.tolist()))


def test_what_orders_nothing_has_no_correlation() -> None:
    flat, rising = numpy.ones(4), numpy.arange(4.0)
    assert kendall(flat, rising) is None
    assert spearman(rising, flat) is None
    assert kendall(numpy.ones(1), numpy.ones(1)) is None
