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
from tilewright.evaluator.occasion import Occasion
from tilewright.evaluator.report import Environment, Report

_LOG = logging.getLogger(__name__)


class DossierJudge(Protocol):
    """Judges recorded candidates on one GPU."""

    def environment(self) -> Environment:
        """Describe where candidates are judged."""
        ...

    def judge(self, dossier: Dossier, occasion: Occasion = Occasion.SEARCH) -> Report:
        """Run the stages and time the candidate.

        Raises:
            JudgeFaultError: The judge itself failed; the candidate was not judged.
        """
        ...


class Verdict(Protocol):
    """How one candidate of a bundle is judged: once, or again if the first report asks for it."""

    def known(self, dossier: Dossier, report: Report) -> None:
        """Take in a report that an earlier call made."""
        ...

    def find(self, judge: DossierJudge, place: Place, dossier: Dossier) -> Report:
        """Return the report that counts.

        Raises:
            JudgeFaultError: The judge itself failed; the candidate was not judged.
        """
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
    bundle: Bundle,
    output: Path,
    judge: DossierJudge,
    verdict: Verdict,
    tell: Callable[[Progress], None] = lambda _: None,
) -> Progress:
    """Judge every candidate that has no report yet.

    Each report is on the disk before the next candidate is judged: a kill loses at most one, and the same call goes
    on where it stopped. A candidate on which the judge itself failed is left without a report, for the next call.

    Args:
        bundle: What to judge.
        output: The results file, which grows.
        judge: Judges on the GPU.
        verdict: How one candidate is judged.
        tell: Told before the first candidate and after each.

    Raises:
        BundleError: The bundle is for another architecture, or the results file cannot be used.
    """
    with growing_results(output, bundle) as results:
        todo = [place for place in bundle.places if place.ticket not in results.done]
        known = len(bundle.places) - len(todo)
        progress = Progress(judged=0, right=0, known=known, candidates=len(bundle.places))
        tell(progress)
        if not todo:
            return progress
        _recall(bundle, results, verdict)
        environment = judge.environment()
        check_target(bundle, environment)
        results.begin(Session(environment=environment, code_version=code_version()))
        for place in todo:
            try:
                report = verdict.find(judge, place, bundle.dossier(place))
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


def _recall(bundle: Bundle, results: ResultsWriter, verdict: Verdict) -> None:
    """Tell what earlier calls have found."""
    for place in bundle.places:
        report = results.done.get(place.ticket)
        if report is not None and report.is_right:
            verdict.known(bundle.dossier(place), report)
