"""Write a run's report to a file: JSON, CSV or Markdown, by the file's ending."""

import csv
import io
from pathlib import Path

import msgspec

from tilewright.agent.api import RunOutcome
from tilewright.agent.results import ResultRow
from tilewright.agent.views import to_json
from tilewright.tasks.errors import UserError


def check_report_path(path: Path) -> None:
    """Refuse a report path before a run starts that could not be written after it.

    Raises:
        UserError: The ending is unknown, or the folder does not exist.
    """
    if path.suffix not in (".json", ".csv", ".md"):
        raise UserError(f"expected a report that ends in .json, .csv or .md; got {path}")
    if not path.parent.is_dir():
        raise UserError(f"expected an existing folder for the report; got {path.parent}: create it first")


def write_report(outcome: RunOutcome, path: Path) -> None:
    """Write what a run found to `path`.

    Raises:
        UserError: The file cannot be written.
    """
    writers = {".json": to_json, ".csv": to_csv, ".md": to_markdown}
    try:
        path.write_text(writers[path.suffix](outcome), encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"expected to write the report to {path}; got {error.strerror}: choose another place"
        ) from error


def to_csv(outcome: RunOutcome) -> str:
    """Return one line a bench case; stages as `stage=verdict` pairs."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(ResultRow.__struct_fields__)
    for row in outcome.rows:
        values = msgspec.to_builtins(row)
        values["stages"] = " ".join(f"{stage}={verdict}" for stage, verdict in row.stages.items())
        writer.writerow(values.values())
    return buffer.getvalue()


def to_markdown(outcome: RunOutcome) -> str:
    """Return a table with a row for each bench case, and the totals."""
    lines = [
        f"# Run {outcome.run}",
        "",
        "| task | case | right | kind | best us | baseline us | speed-up | of floor | over start | candidates |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [_markdown_row(row) for row in outcome.rows]
    totals = outcome.totals
    mean = "none" if totals.geomean_speedup is None else f"{totals.geomean_speedup:.3f}"
    lines += ["", f"Right: {totals.passed} of {totals.cases}. Geometric mean of the speed-ups: {mean}.", ""]
    lines += [f"{name}: {share:.3f}  " for name, share in totals.fast_p.items()]
    return "\n".join(lines) + "\n"


def _markdown_row(row: ResultRow) -> str:
    if row.best_us is None or row.kind is None:
        cells = [row.task, row.case, "no", "-", "-", "-", "-", "-", "-", str(row.candidates)]
    else:
        start = "-" if row.start_us is None else f"{row.start_us / row.best_us:.2f}"
        cells = [
            row.task,
            row.case,
            "yes" if row.correct else "no",
            row.kind.value,
            f"{row.best_us:.1f}",
            f"{row.baseline_us:.1f} ({row.baseline})",
            f"{row.speedup:.2f}",
            f"{row.share_of_floor:.2f}",
            start,
            str(row.candidates),
        ]
    return "| " + " | ".join(cells) + " |"
