"""Work through a bundle with a judge that has a GPU, and append each report as it comes."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from tilewright.evaluator.bundle import Bundle, Place
from tilewright.evaluator.bundle_results import Judged, ResultsWriter, Session, growing_results
from tilewright.evaluator.code_version import code_version
from tilewright.evaluator.dossier import Dossier
from tilewright.evaluator.framed_file import BundleError
from tilewright.evaluator.gpu.errors import JudgeFaultError
from tilewright.evaluator.report import Environment, Report

_LOG = logging.getLogger(__name__)


class DossierJudge(Protocol):
    """Judges recorded candidates on one GPU."""

    def environment(self) -> Environment:
        """Describe where candidates are judged."""
        ...

    def judge(self, dossier: Dossier) -> Report:
        """Run the stages and time the candidate.

        Raises:
            JudgeFaultError: The judge itself failed; the candidate was not judged.
        """
        ...

    def confirm(self, dossier: Dossier) -> Report:
        """Judge in a process that has met no other candidate; for the rest as `judge`."""
        ...


class Progress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a bundle is.

    Attributes:
        judged: Reports that this call has made.
        right: How many of them say that the candidate is right.
        known: Reports that were there before.
        candidates: How many the bundle holds.
        last: The candidate that was judged last; None before the first.
        report: Its report.
    """

    judged: int
    right: int
    known: int
    candidates: int
    last: Place | None = None
    report: Report | None = None

    @property
    def left(self) -> int:
        """Candidates without a report."""
        return self.candidates - self.known - self.judged

    def after(self, place: Place, report: Report) -> "Progress":
        """Return the progress after one more report."""
        return msgspec.structs.replace(
            self, judged=self.judged + 1, right=self.right + report.is_right, last=place, report=report
        )


def judge_bundle(
    bundle: Bundle, output: Path, judge: DossierJudge, tell: Callable[[Progress], None] = lambda _: None
) -> Progress:
    """Judge every candidate that has no report yet.

    Each report is on the disk before the next candidate is judged: a kill loses at most one, and the same call goes
    on where it stopped. A candidate on which the judge itself failed is left without a report, for the next call.

    Args:
        bundle: What to judge.
        output: The results file, which grows.
        judge: Judges on the GPU.
        tell: Told before the first candidate and after each.

    Raises:
        BundleError: The bundle is for another architecture, or the results file cannot be used.
    """
    with growing_results(output, bundle) as results:
        progress = Progress(judged=0, right=0, known=_known(bundle, results), candidates=len(bundle.places))
        tell(progress)
        todo = [place for place in bundle.places if place.ticket not in results.done]
        if not todo:
            return progress
        environment = judge.environment()
        check_target(bundle, environment)
        results.begin(Session(environment=environment, code_version=code_version()))
        for place in todo:
            ask = judge.confirm if place.ticket.round else judge.judge
            try:
                report = ask(bundle.dossier(place))
            except JudgeFaultError:
                _LOG.exception("candidate %s is left without a report", place.candidate_id)
                continue
            results.add(Judged(ticket=place.ticket, report=report))
            progress = progress.after(place, report)
            tell(progress)
    return progress


def check_target(bundle: Bundle, environment: Environment) -> None:
    """Refuse a bundle whose binaries this GPU cannot run.

    Raises:
        BundleError: It is for another architecture.
    """
    if bundle.header.target != environment.target:
        raise BundleError(
            f"expected a bundle for {environment.target} ({environment.device}); {bundle.path} is for "
            f"{bundle.header.target}: record it again with --target {environment.target}"
        )


def _known(bundle: Bundle, results: ResultsWriter) -> int:
    return sum(place.ticket in results.done for place in bundle.places)
