"""Shows an archive: rows for tables, a candidate's story, the difference of two, the map of cells.

Values are made first and drawn second, so that `--json` and a table say the same. Times always say whether
they are measured or estimated.
"""

import difflib
from typing import TYPE_CHECKING

import msgspec

from tilewright.archive.certificate import StageEvidence, TimeEvidence, to_stage, to_time
from tilewright.archive.descriptors import Cooperation, MemoryPath, Structure
from tilewright.archive.lineage import Ancestor
from tilewright.archive.reader import ArchiveReader
from tilewright.archive.records import EliteRow, StepKey
from tilewright.archive.runs import TaskSummary
from tilewright.evaluator.timing import TimeKind
from tilewright.sandbox.failure import Failure
from tilewright.tasks.candidate import Candidate, Knob

if TYPE_CHECKING:
    from rich.table import Table

_NOTHING = "-"


class Listing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table in words: a title, a header and rows of text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class CandidateView(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `archive show` says of a candidate.

    Attributes:
        candidate: The candidate.
        home: The step that first proposed it.
        fitness: Its fitness; None if it is not right.
        stages: The stages that ran; empty if it was never judged.
        timing: Its times; empty if it is not right.
        failure: Why it was refused.
    """

    candidate: Candidate
    home: StepKey
    fitness: float | None
    stages: tuple[StageEvidence, ...]
    timing: tuple[TimeEvidence, ...]
    failure: Failure | None


def view_candidate(archive: ArchiveReader, prefix: str) -> CandidateView:
    """Return what is known of a candidate.

    Raises:
        UnknownCandidateError: No id starts so, or several do.
    """
    with archive.snapshot():
        candidate = archive.candidate(prefix)
        report, reward = archive.report(candidate.id), archive.reward(candidate.id)
        return CandidateView(
            candidate=candidate,
            home=archive.home(candidate.id),
            fitness=reward.fitness if reward else None,
            stages=tuple(to_stage(stage) for stage in report.stages) if report else (),
            timing=tuple(to_time(timing) for timing in report.timing) if report else (),
            failure=archive.failure(candidate.id),
        )


def diff(archive: ArchiveReader, first: str, second: str) -> str:
    """Return the unified difference of two candidates, knobs first; empty if they are the same.

    Raises:
        UnknownCandidateError: No id starts so, or several do.
    """
    with archive.snapshot():
        old, new = archive.candidate(first), archive.candidate(second)
    lines = difflib.unified_diff(_text(old), _text(new), old.id, new.id, lineterm="")
    return "\n".join(lines)


def _text(candidate: Candidate) -> list[str]:
    return [f"# knobs: {_knobs(candidate.knobs)}", *candidate.source.splitlines()]


def list_tasks(summaries: tuple[TaskSummary, ...]) -> Listing:
    """Return a row for each task of each run."""
    columns = ("run", "status", "task", "candidates", "duplicates", "cells", "best", "speed-up", "candidate")
    rows = tuple(
        (
            one.run,
            one.status.value,
            one.title,
            f"{one.spent.candidates:,}",
            f"{one.spent.duplicates:,}",
            str(one.cells),
            *(_best(one.best) if one.best else (_NOTHING,) * 3),
        )
        for one in summaries
    )
    return Listing(title="runs", columns=columns, rows=rows)


def list_elites(elites: tuple[EliteRow, ...], title: str) -> Listing:
    """Return a row for each filled cell, the fastest first."""
    columns = ("cell", "best", "speed-up", "candidate", "fitness", "operator", "step", "picks", "successes")
    rows = tuple(
        (
            one.cell,
            *_best(one),
            f"{one.fitness:+.2f}",
            one.operator,
            str(one.number),
            str(one.picks),
            str(one.successes),
        )
        for one in sorted(elites, key=lambda one: (-one.fitness, one.cell))
    )
    return Listing(title=title, columns=columns, rows=rows)


def list_lineage(ancestors: tuple[Ancestor, ...]) -> Listing:
    """Return a row for each ancestor, nearest first."""
    columns = ("generation", "as", "candidate", "operator", "step", "state", "fitness")
    rows = tuple(
        (
            str(-one.depth) if one.depth else "0",
            one.role.value if one.depth else "itself",
            one.candidate_id,
            one.operator,
            str(one.number),
            one.state.value,
            _NOTHING if one.fitness is None else f"{one.fitness:+.2f}",
        )
        for one in ancestors
    )
    return Listing(title="lineage", columns=columns, rows=rows)


def list_candidate(view: CandidateView) -> Listing:
    """Return what is known of a candidate, a line each."""
    origin = view.candidate.origin
    facts = [
        ("candidate", view.candidate.id),
        ("task", view.home.task_id),
        ("step", str(view.home.number)),
        ("proposed by", origin.model or origin.operator),
        ("parents", ", ".join(origin.parent_ids) or _NOTHING),
        ("knobs", _knobs(view.candidate.knobs)),
        ("fitness", _NOTHING if view.fitness is None else f"{view.fitness:+.2f}"),
    ]
    for stage in view.stages:
        skipped = f", {stage.skipped} skipped" if stage.skipped else ""
        facts.append((stage.stage.value, f"{stage.verdict}: {stage.passed} passed, {stage.failed} failed{skipped}"))
    for time in view.timing:
        value = f"{time.median_us:.1f} us {time.kind} on {time.device}, {time.speedup:.2f}x over {time.baseline}"
        facts.append((time.case, f"{value}, {time.share_of_floor:.0%} of the floor"))
    if view.failure is not None:
        facts.append((f"failed: {view.failure.kind}", f"{view.failure.stage}: {view.failure.message}"))
    return Listing(title=view.candidate.id, columns=("what", "value"), rows=tuple(facts))


def list_map(elites: tuple[EliteRow, ...], title: str) -> Listing:
    """Return the 64 cells: a row for each structure and memory path, a column for each cooperation.

    A filled cell shows its elite's speed-up, marked `e` if estimated and `m` if measured.
    """
    filled = {one.cell: one for one in elites}
    columns = ("structure", "memory path", *Cooperation)
    rows = tuple(
        (structure, memory, *(_mark(filled.get(f"{memory}|{one}|{structure}")) for one in Cooperation))
        for structure in Structure
        for memory in MemoryPath
    )
    return Listing(title=f"{title}: {len(filled)} of 64 cells (e estimated, m measured)", columns=columns, rows=rows)


def to_table(listing: Listing) -> "Table":
    """Return a listing as Rich draws it; numbers to the right."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(listing.title), title_justify="left", header_style="bold")
    for index, column in enumerate(listing.columns):
        is_number = bool(listing.rows) and all(row[index][:1] in "+-0123456789" for row in listing.rows)
        table.add_column(column, justify="right" if is_number else "left", overflow="fold")
    for row in listing.rows:
        # Text, not markup: a kernel's failure may hold square brackets.
        table.add_row(*(Text(cell) for cell in row))
    return table


def to_text(listing: Listing) -> str:
    """Return a listing as plain text, a line each, columns aligned."""
    table = (listing.columns, *listing.rows)
    widths = [max(len(row[index]) for row in table) for index in range(len(listing.columns))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    return "\n".join((listing.title, *lines))


def _best(elite: EliteRow) -> tuple[str, str, str]:
    """Return time, speed-up and candidate of an elite."""
    kind = f" {elite.kind}" if elite.kind else ""
    time = _NOTHING if elite.time_us is None else f"{elite.time_us:.1f} us{kind}"
    return time, _NOTHING if elite.speedup is None else f"{elite.speedup:.2f}x", elite.candidate_id


def _mark(elite: EliteRow | None) -> str:
    """Return what a cell of the map shows."""
    if elite is None:
        return "."
    if elite.speedup is None:
        return f"F {elite.fitness:+.2f}"
    return f"{elite.speedup:.2f}x {'m' if elite.kind is TimeKind.MEASURED else 'e'}"


def _knobs(knobs: tuple[Knob, ...]) -> str:
    return ", ".join(f"{knob.name}={knob.value}" for knob in knobs) or _NOTHING
