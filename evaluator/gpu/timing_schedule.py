"""How often and in which order a candidate and its baseline run: decided before the candidate is timed."""

import math
import random
from enum import StrEnum

import msgspec

# A replay of a graph shorter than this would be timed with the cost of starting it.
_SHORTEST_REPLAY_US = 120.0
_MOST_SETS = 64
# Where memory happens to lie moves a single set's time by about a percent: a mean over this many sets moves less, and
# they are taken as long as a replay stays this short.
_MEANT_SETS = 8
_MEANT_REPLAY_US = 600.0
# Input sets of a case cover this many times the second-level cache.
_CACHE_TIMES = 2
# The fewest pairs may stretch a budget by so much, down to so few.
_STRETCH = 4
_FEWEST_PAIRS = 6


class Side(StrEnum):
    """Who runs in a turn."""

    CANDIDATE = "candidate"
    BASELINE = "baseline"


class TimingBudget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much GPU time the timing of one bench case may take.

    Attributes:
        timed_ms: Milliseconds of the timed turns of both sides together, flushes and poison left out.
        warm_ms: Milliseconds of untimed turns before them.
        fewest_pairs: Pairs that are timed however long they take.
        most_pairs: Pairs that are timed at most.
        windows: How often a disturbed window is measured, in all.
        is_final: Whether every baseline is measured again beside the candidate, instead of the fastest alone.
    """

    timed_ms: float
    warm_ms: float
    fewest_pairs: int
    most_pairs: int
    windows: int
    is_final: bool = False

    @staticmethod
    def search() -> "TimingBudget":
        """Return the budget of a candidate among thousands: about 10 ms of GPU time, good to 2 %."""
        return TimingBudget(timed_ms=3.0, warm_ms=1.0, fewest_pairs=6, most_pairs=30, windows=2)

    @staticmethod
    def final() -> "TimingBudget":
        """Return the budget of a finalist: some tenths of a second, good to 0.3 %."""
        return TimingBudget(
            timed_ms=300.0, warm_ms=100.0, fewest_pairs=60, most_pairs=400, windows=4, is_final=True
        )  # fmt: skip


def count_sets(set_bytes: int, l2_bytes: int, shortest_us: float, free_bytes: int) -> int:
    """Return how many input sets, each with buffers of its own, one replay goes through.

    Together they cover twice the cache, so that no set finds its inputs there, and run long enough that the cost
    of starting a replay vanishes; and they are several, so that no single placement in memory decides.

    Args:
        set_bytes: Bytes of inputs, parameters and outputs of one set.
        l2_bytes: Size of the second-level cache.
        shortest_us: Least time that the device needs for one set: the task's, never the candidate's.
        free_bytes: Memory that the sets of one side may take.

    Returns:
        Between 2 and 64, unless less fits the memory: then at least 1.
    """
    for_cache = math.ceil(_CACHE_TIMES * l2_bytes / max(1, set_bytes))
    for_length = math.ceil(_SHORTEST_REPLAY_US / max(1.0, shortest_us))
    for_mean = min(_MEANT_SETS, math.ceil(_MEANT_REPLAY_US / max(1.0, shortest_us)))
    fitting = max(1, free_bytes // max(1, set_bytes))
    return min(max(2, for_cache, for_length, for_mean), _MOST_SETS, fitting)


def count_pairs(budget: TimingBudget, baseline_us: float, candidate_us: float) -> int:
    """Return how many pairs of turns fit a budget.

    Args:
        budget: What may be spent.
        baseline_us: Time of one turn of the baseline.
        candidate_us: Time of one turn of the candidate. It counts only where it is more than twice the baseline's:
            within that, the number of repeats is the same for every candidate of a task.
    """
    turn_us = max(2 * baseline_us, candidate_us) if candidate_us > 2 * baseline_us else baseline_us
    fitting = int(budget.timed_ms * 1e3 / (baseline_us + turn_us))
    # what is far slower than the budget foresees must not keep the watchdog waiting
    affordable = max(_FEWEST_PAIRS, int(_STRETCH * budget.timed_ms * 1e3 / (baseline_us + candidate_us)))
    even = max(min(budget.fewest_pairs, affordable), min(fitting, budget.most_pairs))
    return even + even % 2


def interleave(pairs: int, seed: int) -> tuple[Side, ...]:
    """Return the order of turns: blocks A/B/B/A or B/A/A/B at random, an odd pair left in random order.

    In a block each side comes first once, so a steady drift cancels; which block comes is not to be foreseen, so
    nothing with a period can favour one side. Turns 2i and 2i + 1 are pair i.

    Args:
        pairs: Turns of each side.
        seed: Of the order.
    """
    generator = random.Random(seed)
    turns: list[Side] = []
    for _ in range((pairs + 1) // 2):
        first, second = generator.sample((Side.CANDIDATE, Side.BASELINE), 2)
        turns += (first, second, second, first)
    return tuple(turns[: 2 * pairs])
