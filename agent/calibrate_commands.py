"""`tilewright archive calibrate`: fit the cost model to the times that an archive holds."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from tilewright.agent.consoles import results_console

if TYPE_CHECKING:
    from tilewright.archive.browse import Listing
    from tilewright.evaluator.calibration import Calibration
    from tilewright.evaluator.calibration_ranks import Ranks

DEFAULT_ARCHIVE = "tilewright.db"


def calibrate(
    device: Annotated[str | None, typer.Option(help="Device, if the archive has times of several.")] = None,
    archive: Annotated[str, typer.Option("--archive", help="Database file or URL.")] = DEFAULT_ARCHIVE,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Fit the cost model's constants to a device's times; later runs on this archive estimate with them."""
    from tilewright.agent.calibrations import calibrate_device, calibration_path
    from tilewright.archive.browse import to_table
    from tilewright.archive.store import open_archive
    from tilewright.evaluator.calibration_file import keep_calibration

    with open_archive(archive, writable=False) as opened:
        found = calibrate_device(opened, device)
        path = calibration_path(opened.location)
    keep_calibration(path, found)
    console = results_console()
    if as_json:
        import msgspec

        console.file.write(json.dumps(msgspec.to_builtins(found), indent=2) + "\n")
        return
    console.print(to_table(_listing(found)))
    console.print(f"{_verdict(found)} -> {path}", markup=False, highlight=False)


def _listing(found: "Calibration") -> "Listing":
    from tilewright.archive.browse import Listing

    rows = tuple((one.group, str(one.times), *_cells(one.before), *_cells(one.after)) for one in found.groups)
    columns = ("task, case", "kernels", "tau before", "rho", "est./time", "tau after", "rho", "est./time")
    return Listing(title=f"order of kernels on {found.device}: estimates against times", columns=columns, rows=rows)


def _cells(ranks: "Ranks") -> tuple[str, str, str]:
    return _number(ranks.kendall), _number(ranks.spearman), f"{ranks.ratio:.2f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _verdict(found: "Calibration") -> str:
    held_out = f"Kendall's tau of held-out kernels {found.held_out_before:.3f} -> {found.held_out_after:.3f}"
    if not found.is_fitted:
        return f"shipped constants kept: no fit orders kernels better that it did not see ({held_out})"
    return f"constants fitted to {found.times} kernels: {held_out}, estimates within {found.band:.0%}"
