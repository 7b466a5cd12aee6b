"""What repeated times say: percentiles, the paired ratio with its interval, and whether it drifted. NumPy only."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tilewright.evaluator.timing import PairedRatio, TimeSpan

Samples = npt.NDArray[np.float64]

_RESAMPLES = 1000
_CONFIDENCE = 0.95


def to_span(samples_us: Sequence[float]) -> TimeSpan:
    """Return the median and the 10th and 90th percentile of times.

    Raises:
        ValueError: There are none.
    """
    low, middle, high = np.percentile(_checked(samples_us), (10, 50, 90))
    return TimeSpan(median_us=float(middle), low_us=float(low), high_us=float(high))


def relative_spread(samples_us: Sequence[float]) -> float:
    """Return (p90 - p10) / median of times.

    Raises:
        ValueError: There are none.
    """
    span = to_span(samples_us)
    return (span.high_us - span.low_us) / span.median_us


def pair(baseline_us: Sequence[float], candidate_us: Sequence[float], seed: int) -> PairedRatio:
    """Return the median of baseline over candidate, pair by pair, with its bootstrap interval.

    The statistic is the median of log(baseline_i / candidate_i); the interval is the percentile bootstrap's, which
    draws whole pairs with replacement, so whatever slows both members of a pair alike (clock, power) cancels.
    It covers the scatter of one window, not what differs from one process to the next.

    Args:
        baseline_us: Time of the baseline in each pair.
        candidate_us: Time of the candidate in the same pair.
        seed: Of the resampling; the same times and seed give the same interval.

    Raises:
        ValueError: The lengths differ, there is no pair, or a time is not positive and finite.
    """
    ratios = log_ratios(baseline_us, candidate_us)
    chosen = np.random.default_rng(seed).integers(0, ratios.size, size=(_RESAMPLES, ratios.size))
    medians = np.median(ratios[chosen], axis=1)
    tail = 100 * (1 - _CONFIDENCE) / 2
    low, high = np.percentile(medians, (tail, 100 - tail))
    return PairedRatio(
        median=math.exp(float(np.median(ratios))), low=math.exp(low), high=math.exp(high), pairs=int(ratios.size)
    )


def ratio_drift(baseline_us: Sequence[float], candidate_us: Sequence[float]) -> float:
    """Return by what share the median paired ratio of the second half of a window differs from the first half's.

    Raises:
        ValueError: As `pair`.
    """
    ratios = log_ratios(baseline_us, candidate_us)
    half = ratios.size // 2
    if half == 0:
        return 0.0
    return abs(math.expm1(float(np.median(ratios[half:])) - float(np.median(ratios[:half]))))


def log_ratios(baseline_us: Sequence[float], candidate_us: Sequence[float]) -> Samples:
    """Return log(baseline / candidate), pair by pair.

    Raises:
        ValueError: As `pair`.
    """
    baseline, candidate = _checked(baseline_us), _checked(candidate_us)
    if baseline.size != candidate.size:
        raise ValueError(f"expected as many times of the baseline as of the candidate, got {baseline.size} and "
                         f"{candidate.size}")  # fmt: skip
    ratios: Samples = np.log(baseline / candidate)
    return ratios


def _checked(samples_us: Sequence[float]) -> Samples:
    samples: Samples = np.asarray(samples_us, dtype=np.float64)
    if samples.size == 0 or not (np.isfinite(samples) & (samples > 0)).all():
        raise ValueError(f"expected positive, finite times, got {samples_us!r:.200}")
    return samples
