"""Show what bundles held, what their results did, and how candidates and certificates have fared since."""

import json
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from tilewright.agent.bundle_import import Imported
from tilewright.agent.bundling import Asked
from tilewright.agent.rejudge import Comparison
from tilewright.archive.recheck import Rechecked
from tilewright.evaluator.bundle import BundleSize


def print_asked(console: Console, asked: Asked, *, as_json: bool) -> None:
    """Print what a bundle was filled with, and what to do with it."""
    if as_json:
        _print_json(console, asked)
        return
    for refusal in asked.refusals:
        _print(console, f"not recorded: {refusal}")
    _print(console, f"run {asked.run}: {asked.ended} steps ended here, refused or known already")
    print_size(console, asked.size, Path(asked.bundle), as_json=False)


def print_size(console: Console, size: BundleSize, path: Path, *, as_json: bool) -> None:
    """Print what a bundle takes, and what to do with it."""
    if as_json:
        _print_json(console, size)
        return
    each = size.bytes / max(size.candidates, 1) / 1e3
    _print(console, f"{path}: {size.candidates} candidates, {size.bytes / 1e6:.2f} MB, {each:.0f} kB each")
    if size.candidates:
        results = path.with_suffix(".results")
        _print(console, f"where there is a GPU: tilewright judge {path} -o {results}")
        _print(console, f"then here: tilewright tell {results}")


def print_imported(console: Console, imported: Imported, *, as_json: bool) -> None:
    """Print what results did to an archive."""
    if as_json:
        _print_json(console, imported)
        return
    parts = [f"{imported.steps} steps ended", f"{imported.right} right", f"{imported.gains} gained a cell"]
    if imported.rejudged:
        parts += [f"{imported.rejudged} judged again", f"{imported.demoted} demoted"]
    parts += [f"{imported.known} known before", f"{imported.waiting} still without a report"]
    _print(console, ", ".join(parts))


def print_comparisons(console: Console, comparisons: tuple[Comparison, ...], *, as_json: bool) -> None:
    """Print candidates before and after."""
    if as_json:
        _print_json(console, comparisons)
        return
    table = Table("task", "candidate", "right", "before", "now", "change")
    for one in comparisons:
        both = one.us_before and one.us_after and one.kind_before == one.kind_after
        change = f"{one.us_after / one.us_before:.3f}x" if both and one.us_after and one.us_before else "-"
        table.add_row(
            one.task,
            one.candidate_id,
            "yes" if one.is_right else f"no: {one.reason}",
            _time(one.us_before, one.kind_before, one.device_before),
            _time(one.us_after, one.kind_after, one.device_after),
            change,
        )
    console.print(table)


def print_rechecked(console: Console, rechecked: tuple[Rechecked, ...], *, as_json: bool) -> None:
    """Print what differs from certificates."""
    if as_json:
        _print_json(console, rechecked)
        return
    table = Table("task", "candidate", "what", "certified", "today", "no longer certified")
    for one in rechecked:
        for difference in one.differences:
            row = (difference.what, difference.certified, difference.today, difference.meaning)
            table.add_row(one.task, one.candidate_id, *row)
    if table.row_count:
        console.print(table)
    holding = sum(not one.differences for one in rechecked)
    _print(console, f"{holding} of {len(rechecked)} certificates hold on this machine")


def _time(us: float | None, kind: str | None, device: str) -> str:
    return "-" if us is None else f"{us:.1f} us {kind or ''} on {device}"


def _print(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _print_json(console: Console, value: object) -> None:
    console.file.write(json.dumps(msgspec.to_builtins(value), indent=2) + "\n")
