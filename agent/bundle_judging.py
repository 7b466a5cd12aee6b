"""Judge a bundle on a machine with a GPU: needs torch, msgspec, numpy and this package, and loads nothing else.

`python -m tilewright.agent.bundle_judging x.bundle -o x.results` serves machines where the command line's own packages
are missing; `tilewright judge` is the same.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tilewright.agent.judging import cache_folder, missing_package
from tilewright.agent.second_look import KnownSeats, counting
from tilewright.evaluator.bundle import Bundle, Place, Seat
from tilewright.evaluator.bundle_judge import DossierJudge, Progress, judge_bundle
from tilewright.evaluator.dossier import Dossier
from tilewright.evaluator.gpu.settings import GpuSettings
from tilewright.evaluator.gpu.supervisor import GpuSupervisor
from tilewright.evaluator.occasion import Occasion
from tilewright.evaluator.redraw import redrawn
from tilewright.evaluator.report import Report
from tilewright.tasks.errors import UserError

_INTERVAL_S = 1.0  # between lines, so that thousands of quick reports do not flood a terminal
_DONE, _USER_MISTAKE, _OUR_FAILURE, _INTERRUPTED = 0, 2, 3, 130

Say = Callable[[str], None]


def judge_file(path: Path, output: Path, device: str, say: Say) -> Progress:
    """Judge a bundle on one device of this machine; a call that was stopped goes on where it was.

    Args:
        path: The bundle.
        output: The results file, which grows.
        device: Number or UUID of the GPU.
        say: Takes a line of progress.

    Raises:
        BundleError: The bundle or the results file cannot be used.
        DeviceGoneError: The device cannot be used, or not any more; what was judged is kept.
    """
    say(f"checking {path} ...")
    with Bundle(path) as bundle:
        if missing := missing_package():
            raise UserError(f"expected what a judge with a GPU needs; {missing}")
        say(f"starting the judge on GPU {device} for {len(bundle.places)} candidates of run {bundle.header.run} ...")
        settings = GpuSettings(recorder=bundle.header.recorder, cache=str(cache_folder()))
        with GpuSupervisor(device, settings) as supervisor:
            return judge_all(bundle, output, supervisor, say)


def judge_all(bundle: Bundle, output: Path, judge: DossierJudge, say: Say) -> Progress:
    """Judge a bundle with a judge that is there, and say how it goes."""
    return judge_bundle(bundle, output, judge, Verdicts(bundle.header.seats), _Lines(say).tell)


class Verdicts:
    """Judges as a run in place does: what is right and would take a cell is judged again, on other inputs.

    Args:
        seats: The maps when the bundle was written.
    """

    def __init__(self, seats: tuple[Seat, ...]) -> None:
        self._seats = KnownSeats(seats)

    def known(self, dossier: Dossier, report: Report) -> None:
        """Take in a report that an earlier call made."""
        self._seats.enter(dossier, report)

    def find(self, judge: DossierJudge, place: Place, dossier: Dossier) -> Report:
        """Return the report that counts.

        Raises:
            JudgeFaultError: The judge itself failed; the candidate was not judged.
        """
        if place.ticket.round:
            return judge.judge(dossier, Occasion.FINAL)
        report = judge.judge(dossier)
        if self._seats.would_gain(dossier, report):
            report = counting(report, judge.judge(redrawn(dossier, "elite"), Occasion.ELITE))
            self._seats.enter(dossier, report)
        return report


def closing_line(progress: Progress, output: Path) -> str:
    """Say what became of a bundle."""
    line = f"{progress.judged} judged, {progress.right} right, {progress.known} known before -> {output}"
    if progress.left:
        line += f"; {progress.left} could not be judged by our own failure: the same command tries them again"
    return line


def to_json(progress: Progress, output: Path) -> str:
    """Return what became of a bundle as `judge --json` prints it."""
    counts = {
        "judged": progress.judged,
        "right": progress.right,
        "known": progress.known,
        "left": progress.left,
        "candidates": progress.candidates,
        "results": str(output),
    }
    return json.dumps(counts, indent=2)


class _Lines:
    """Says how a bundle goes: the first line at once, then at most one a second."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._last_s = -_INTERVAL_S
        self._started_s = time.monotonic()

    def tell(self, progress: Progress) -> None:
        """Say where the bundle is."""
        now_s = time.monotonic()
        if now_s - self._last_s < _INTERVAL_S and progress.left:
            return
        self._last_s = now_s
        done = f"[{progress.known + progress.judged}/{progress.candidates}]"
        rate = progress.judged / max(now_s - self._started_s, 1e-3)
        self._say(f"{done} {_last(progress)}right {progress.right} of {progress.judged}  {rate:.1f}/s")


def _last(progress: Progress) -> str:
    """Return the last report in a few words."""
    place, report = progress.last, progress.report
    if place is None or report is None:
        return ""
    name = f"{place.task} {place.candidate_id}"
    if report.failure is not None:
        return f"{name} {report.failure.kind.value} in {report.failure.stage.value}  "
    us = report.geomean_us
    return f"{name} right{'' if us is None else f' {us:.1f} us'}  "


def main() -> None:
    """Judge the bundle that the arguments name; exit codes as the command line's."""
    parser = argparse.ArgumentParser(prog="python -m tilewright.agent.bundle_judging", description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--device", default="0")
    chosen = parser.parse_args()
    try:
        progress = judge_file(chosen.bundle, chosen.output, chosen.device, _to_stderr)
    except UserError as error:
        _to_stderr(f"tilewright: {error}")
        sys.exit(_USER_MISTAKE)
    except KeyboardInterrupt:
        _to_stderr(f"tilewright: {interruption(chosen.output)}")
        sys.exit(_INTERRUPTED)
    _to_stderr(closing_line(progress, chosen.output))
    sys.exit(_OUR_FAILURE if progress.left else _DONE)


def interruption(output: Path) -> str:
    """Say what an interrupted call leaves."""
    return f"interrupted; every finished report is in {output}, and the same command goes on from there"


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
