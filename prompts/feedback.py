"""Reports and failures in words that a model can act on."""

from tilewright.archive.records import FailedAttempt
from tilewright.evaluator.report import Report
from tilewright.evaluator.timing import Timing


def describe_report(report: Report) -> tuple[str, ...]:
    """Return the facts of a right candidate, one a line: times first, then what bounds them."""
    lines = [_timing_line(timing) for timing in report.timing]
    if report.profile is not None:
        lines.append(f"bound by {report.profile.bound}; own kernels take {report.profile.own_share:.0%} of the time")
        lines.extend(report.profile.notes)
    return tuple(lines)


def describe_attempt(attempt: FailedAttempt) -> str:
    """Return a refused attempt in one line: what was wrong, where, and what to do about it."""
    failure = attempt.failure
    place = f" on {failure.case}" if failure.case else ""
    hint = f" {failure.hint}" if failure.hint else ""
    return f"{failure.kind.value} in {failure.stage.value}{place}: {failure.message}{hint}"


def _timing_line(timing: Timing) -> str:
    return (
        f"{timing.case}: {timing.candidate.median_us:.1f} us ({timing.kind.value}), {timing.speedup:.2f}x over "
        f"{timing.baseline.name}, {timing.share_of_floor:.0%} of the floor of {timing.floor_us:.1f} us"
    )
