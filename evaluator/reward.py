"""What a report is worth: named terms with weights and reasons; correctness multiplies all of them."""

import math

from tilewright.evaluator.report import CaseResult, ErrorMeasure, Report, Reward, RewardTerm, StageResult, Verdict
from tilewright.sandbox.failure import Stage

# Fitness is log2 of the speed-up, clipped: one absurd case must not rule a run.
_LOWEST_LOG2 = -3.0
_HIGHEST_LOG2 = 4.0
# Speed counts only as far as the candidate's own kernels do the work.
_OWN_SHARE_START = 0.3
_OWN_SHARE_WIDTH = 0.1

_SPEED_WEIGHT = 1.0
_FLOOR_WEIGHT = 0.5
_OWN_SHARE_WEIGHT = 0.2
_RESOURCES_WEIGHT = 0.1
_ROBUSTNESS_WEIGHT = 0.1
_SIMPLICITY_WEIGHT = 0.05

_STAGES = tuple(Stage)
_WASTEFUL_TERMS = frozenset(("spills", "atomics"))


def score(report: Report) -> Reward:
    """Return the reward of a report.

    A candidate that is not right keeps its terms, but its total is 0 and it has no fitness.
    """
    is_right = report.is_right and bool(report.timing)
    return Reward(
        is_right=is_right,
        fitness=fitness(report) if is_right else None,
        terms=(
            _speed(report),
            _floor(report),
            _own_share(report),
            _resources(report),
            _robustness(report),
            _simplicity(report),
        ),
    )


def fitness(report: Report) -> float:
    """Return F = min(l, 0) + g max(l, 0), in log2 of the cautious speed-up, -3 to 4.

    l is log2 of the geometric mean over the bench cases of the lower bound of the speed-up, clipped;
    g rises from 0 to 1 while the share of the time in the candidate's own kernels goes from 0.3 to 0.4.

    Raises:
        ValueError: The report has no times.
    """
    if not report.timing:
        raise ValueError("expected a report with times, got none: only right candidates have a fitness")
    logs = [math.log2(one.lower_bound) for one in report.timing]
    log2_speedup = min(_HIGHEST_LOG2, max(_LOWEST_LOG2, math.fsum(logs) / len(logs)))
    return min(log2_speedup, 0.0) + own_share_gate(report) * max(log2_speedup, 0.0)


def own_share_gate(report: Report) -> float:
    """Return g, 0 to 1; 0 without a profile."""
    share = report.profile.own_share if report.profile is not None else 0.0
    return min(1.0, max(0.0, (share - _OWN_SHARE_START) / _OWN_SHARE_WIDTH))


def repair_utility(report: Report) -> float:
    """Return how near a refused candidate came to being right, 0 to 1; it orders what to repair and is no reward.

    Each stage reached counts one, the failing stage by the share of its cases that passed.
    """
    if report.failure is None:
        return 1.0
    reached = _STAGES.index(report.failure.stage)
    passed = next((_passed_share(one) for one in report.stages if one.stage is report.failure.stage), 0.0)
    return (reached + passed) / len(_STAGES)


def _passed_share(stage: StageResult) -> float:
    """Return the share of a stage's executed cases that passed."""
    executed = [case for case in stage.cases if case.verdict is not Verdict.SKIPPED]
    return sum(case.verdict is Verdict.PASSED for case in executed) / len(executed) if executed else 0.0


def _speed(report: Report) -> RewardTerm:
    """Return the fitness as a term."""
    if not report.timing:
        return RewardTerm(name="speed", value=0.0, weight=_SPEED_WEIGHT, reason="no times")
    ratio = 2.0 ** (math.fsum(math.log2(one.lower_bound) for one in report.timing) / len(report.timing))
    kind = report.timing[0].kind
    reason = f"{ratio:.2f}x the best baseline at the lower bound ({kind}), geometric mean of {len(report.timing)} cases"
    return RewardTerm(name="speed", value=fitness(report), weight=_SPEED_WEIGHT, reason=reason)


def _floor(report: Report) -> RewardTerm:
    """Return the share of the hardware's floor that is reached."""
    if not report.timing:
        return RewardTerm(name="floor", value=0.0, weight=_FLOOR_WEIGHT, reason="no times")
    shares = [min(1.0, max(one.share_of_floor, 1e-6)) for one in report.timing]
    share = math.exp(math.fsum(map(math.log, shares)) / len(shares))
    reason = f"{share:.0%} of what the device allows"
    return RewardTerm(name="floor", value=share, weight=_FLOOR_WEIGHT, reason=reason)


def _own_share(report: Report) -> RewardTerm:
    """Return the share of the time in the candidate's own kernels."""
    share = report.profile.own_share if report.profile is not None else 0.0
    reason = f"{share:.0%} of the time in its own kernels"
    return RewardTerm(name="own_share", value=share, weight=_OWN_SHARE_WEIGHT, reason=reason)


def _resources(report: Report) -> RewardTerm:
    """Return the share of the time that spills and atomics do not take."""
    total = math.fsum(one.candidate.median_us for one in report.timing)
    wasted = math.fsum(
        term.us for one in report.timing for term in one.terms if term.name.rsplit(" ", 1)[-1] in _WASTEFUL_TERMS
    )
    share = max(0.0, 1.0 - wasted / total) if total else 0.0
    reason = f"{1 - share:.0%} of the time in spills and atomics" if total else "no times"
    return RewardTerm(name="resources", value=share, weight=_RESOURCES_WEIGHT, reason=reason)


def _robustness(report: Report) -> RewardTerm:
    """Return how much of the allowed error is left at the worst case."""
    worst, case = 0.0, ""
    for one in _compared(report):
        if one.error is not None and _used(one.error) >= worst:
            worst, case = _used(one.error), one.case
    if not case:
        return RewardTerm(name="robustness", value=0.0, weight=_ROBUSTNESS_WEIGHT, reason="nothing was compared")
    reason = f"at most {worst:.0%} of the allowed error, in {case}"
    return RewardTerm(name="robustness", value=max(0.0, 1.0 - worst), weight=_ROBUSTNESS_WEIGHT, reason=reason)


def _compared(report: Report) -> tuple[CaseResult, ...]:
    """Return the cases whose outputs were compared with the oracle."""
    return tuple(case for stage in report.stages for case in stage.cases if case.error is not None)


def _used(error: ErrorMeasure) -> float:
    """Return the largest share of a bound that an error takes."""
    pairs = (
        (error.max_error, error.max_bound),
        (error.p999_error, error.p999_bound),
        (error.rms_error, error.rms_bound),
    )
    return max((got / bound if bound else float(got > 0) for got, bound in pairs), default=0.0)


def _simplicity(report: Report) -> RewardTerm:
    """Return one over the number of steps of the busiest case."""
    steps = len(report.profile.steps_us) if report.profile is not None else 0
    reason = f"{steps} steps on the GPU"
    value = 1.0 / steps if steps else 0.0
    return RewardTerm(name="simplicity", value=value, weight=_SIMPLICITY_WEIGHT, reason=reason)
