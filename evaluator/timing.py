"""Times and what they are compared with; measured and estimated ones never mix."""

from enum import StrEnum

import msgspec


class TimeKind(StrEnum):
    """Whether a time was read off a clock or computed from a model."""

    MEASURED = "measured"
    ESTIMATED = "estimated"


class TimeSpan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A time and its spread: median, 10th and 90th percentile for measured times, the model's band for estimates."""

    median_us: float
    low_us: float
    high_us: float


class Baseline(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a candidate is compared with, such as `eager`."""

    name: str
    span: TimeSpan


class CostTerm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One term of an estimate, in microseconds, with the numbers that it comes from."""

    name: str
    us: float
    reason: str


class PairedRatio(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fastest baseline's time over the candidate's, from interleaved replays of both.

    Attributes:
        median: Median of the paired ratios.
        low: Lower end of the bootstrap's 95 % interval.
        high: Upper end.
        pairs: Pairs of replays.
    """

    median: float
    low: float
    high: float
    pairs: int


class Timing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Time of a candidate on one bench case.

    Attributes:
        case: Name of the bench case.
        kind: Measured or estimated.
        device: The device measured on, or the part that the estimate is for.
        candidate: The candidate's time.
        baselines: Times of what it is compared with.
        floor_us: Least time that the device needs for the task's bytes and flops.
        terms: Where an estimate comes from; empty for measured times.
        paired: Paired comparison with the fastest baseline; None for estimates.
        host_us: What the host spends on launching the plan once, never part of a time; None for estimates.
        notes: What a reader of the time must know, such as why it was not captured in a graph.
    """

    case: str
    kind: TimeKind
    device: str
    candidate: TimeSpan
    baselines: tuple[Baseline, ...]
    floor_us: float
    terms: tuple[CostTerm, ...] = ()
    paired: PairedRatio | None = None
    host_us: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def baseline(self) -> Baseline:
        """The fastest baseline."""
        return min(self.baselines, key=lambda one: one.span.median_us)

    @property
    def speedup(self) -> float:
        """Fastest baseline's median over the candidate's, paired where both were measured side by side."""
        if self.paired is not None:
            return self.paired.median
        return self.baseline.span.median_us / self.candidate.median_us

    @property
    def lower_bound(self) -> float:
        """Cautious speed-up: the paired interval's lower end, else the baseline over the spread's upper end."""
        if self.paired is not None:
            return self.paired.low
        return self.baseline.span.median_us / self.candidate.high_us

    @property
    def share_of_floor(self) -> float:
        """Floor over the candidate's time, 0 to 1; 1 means nothing is left to win."""
        return self.floor_us / self.candidate.median_us
