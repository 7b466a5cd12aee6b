"""Show outcomes: tables for people, JSON for programs, always saying measured or estimated."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from rich.console import Console
from rich.table import Table

from tilewright.agent.api import RunOutcome
from tilewright.agent.progress import LiveView, Observer, PlainLines
from tilewright.agent.results import ResultRow, summary_line
from tilewright.evaluator.report import Report, StageResult, Verdict
from tilewright.evaluator.timing import Timing

MARKS = {Verdict.PASSED: "[green]passed[/]", Verdict.FAILED: "[red]failed[/]", Verdict.SKIPPED: "[yellow]skipped[/]"}


@contextmanager
def observing(console: Console) -> Iterator[Observer]:
    """Yield a live view on a terminal, plain lines elsewhere."""
    if console.is_terminal:
        with LiveView(console) as view:
            yield view
    else:
        yield PlainLines(console)


def to_json(outcome: RunOutcome) -> str:
    """Return an outcome as `run --json` prints it: `{"run", "archive", "interrupted", "totals", "tasks"}`."""
    document = {
        "run": outcome.run,
        "archive": outcome.archive,
        "interrupted": outcome.was_interrupted,
        "kernel": str(outcome.kernel) if outcome.kernel else None,
        "totals": msgspec.to_builtins(outcome.totals),
        "tasks": msgspec.to_builtins(outcome.rows),
    }
    return json.dumps(document, indent=2)


def print_outcome(console: Console, outcome: RunOutcome, *, as_json: bool) -> None:
    """Print what a run found on standard output."""
    if as_json:
        console.file.write(to_json(outcome) + "\n")
        return
    console.print(_result_table(outcome.rows))
    totals = outcome.totals
    mean = "none" if totals.geomean_speedup is None else f"{totals.geomean_speedup:.2f}x"
    shares = "  ".join(f"{name} {share:.0%}" for name, share in totals.fast_p.items())
    console.print(f"right {totals.passed} of {totals.cases}  geometric mean {mean}  {shares}", highlight=False)
    for finding in outcome.findings:
        console.print(summary_line(finding), markup=False, highlight=False, soft_wrap=True)
    if outcome.kernel is not None:
        console.print(f"kernel: {outcome.kernel}  certificate: {outcome.kernel.with_suffix('.json')}", highlight=False)
    console.print(f"run {outcome.run} in {outcome.archive}", markup=False, highlight=False)
    if outcome.was_interrupted:
        console.print(f"interrupted: `tilewright resume {outcome.run}` goes on with it", markup=False, highlight=False)


def print_report(console: Console, report: Report, *, as_json: bool) -> None:
    """Print one candidate's five-stage report on standard output."""
    if as_json:
        document = msgspec.to_builtins(report)
        document["is_right"] = report.is_right
        console.file.write(json.dumps(document, indent=2) + "\n")
        return
    console.print(_stage_table(report.stages))
    if report.failure is not None:
        failure = report.failure
        place = f"{failure.stage.value}{f' on {failure.case}' if failure.case else ''}"
        console.print(f"[red]not right[/]: {failure.kind.value} in {place}", highlight=False)
        console.print(failure.message, markup=False, highlight=False)
        console.print(failure.hint, markup=False, highlight=False) if failure.hint else None
    for timing in report.timing:
        console.print(_timing_line(timing), markup=False, highlight=False)
    if report.profile is not None:
        console.print(
            f"bound: {report.profile.bound}; " + "; ".join(report.profile.notes), markup=False, highlight=False
        )
    console.print("[green]right[/]" if report.is_right else "[red]not right[/]")


def _result_table(rows: tuple[ResultRow, ...]) -> Table:
    table = Table()
    for heading in (
        "task",
        "case",
        "right",
        "best us",
        "baseline us",
        "speed-up",
        "of floor",
        "over start",
        "candidates",
    ):
        table.add_column(
            heading, justify="left" if heading in ("task", "case", "right") else "right", no_wrap=heading == "case"
        )
    for row in rows:
        if row.best_us is None or row.speedup is None or row.kind is None:
            table.add_row(row.task, row.case, "no", "-", "-", "-", "-", "-", str(row.candidates))
            continue
        mark = "" if row.kind.value == "measured" else " est."
        gain = "-" if row.start_us is None else f"{row.start_us / row.best_us:.2f}x"
        table.add_row(
            row.task,
            row.case,
            "yes" if row.correct else "no",
            f"{row.best_us:.1f}{mark}",
            f"{row.baseline_us:.1f}{mark} {row.baseline}",
            f"{row.speedup:.2f}x",
            f"{row.share_of_floor:.0%}",
            gain,
            str(row.candidates),
        )
    kinds = {f"{row.kind.value} on {row.device}" for row in rows if row.kind is not None}
    table.caption = "times are " + "; ".join(sorted(kinds)) if kinds else None
    return table


def _stage_table(stages: tuple[StageResult, ...]) -> Table:
    table = Table("stage", "verdict", "cases", "worst error / bound", "seconds")
    for stage in stages:
        ratios = [one.error.max_error / max(one.error.max_bound, 1e-300) for one in stage.cases if one.error]
        counts = [sum(case.verdict is verdict for case in stage.cases) for verdict in Verdict]
        spoken = ", ".join(f"{n} {v.value}" for n, v in zip(counts, Verdict, strict=True) if n)
        worst = f"{max(ratios):.2f}" if ratios else "-"
        table.add_row(
            stage.stage.value, MARKS[stage.verdict], spoken, worst, f"{sum(c.wall_s for c in stage.cases):.2f}"
        )
    return table


def _timing_line(timing: Timing) -> str:
    span = timing.candidate
    return (
        f"{timing.case}: {span.median_us:.1f} us ({span.low_us:.1f} to {span.high_us:.1f}) {timing.kind.value} "
        f"on {timing.device}; {timing.baseline.name} {timing.baseline.span.median_us:.1f} us, {timing.speedup:.2f}x, "
        f"{timing.share_of_floor:.0%} of the floor"
    )
