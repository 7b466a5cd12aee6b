"""Commit the results of a bundle: as `step` would have committed them, each once, however often they are told."""

import msgspec

from tilewright.agent.outcome import judged
from tilewright.archive.errors import StepConflictError
from tilewright.archive.records import InsertionStatus, StepKey
from tilewright.archive.rejudging import Rejudgement
from tilewright.archive.store import Archive
from tilewright.archive.store_dossiers import RecordedStep
from tilewright.evaluator.bundle import Ticket
from tilewright.evaluator.bundle_results import Judged, Results
from tilewright.evaluator.framed_file import BundleError
from tilewright.evaluator.reward import score


class Imported(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What results did to an archive.

    Attributes:
        steps: Steps that they ended.
        right: Those whose candidate is right.
        gains: Those that filled or improved a cell.
        rejudged: Later judgements that they added.
        demoted: Elites that these have proved wrong.
        known: Results that were there already.
        waiting: Candidates of the bundle that the results do not answer yet.
    """

    steps: int = 0
    right: int = 0
    gains: int = 0
    rejudged: int = 0
    demoted: int = 0
    known: int = 0
    waiting: int = 0


class _Teller:
    """Commits one result after another and counts."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._open: dict[tuple[str, str], dict[int, RecordedStep]] = {}
        self._runs = {run.id for run in archive.runs()}
        self.unknown: list[Ticket] = []
        self.imported = Imported()

    def tell(self, one: Judged) -> None:
        """Commit a result, or count it as known or unknown."""
        ticket = one.ticket
        key = StepKey(run_id=ticket.run_id, task_id=ticket.task_id, number=ticket.number)
        if not self._is_there(key):
            self.unknown.append(ticket)
        elif ticket.round:
            self._rejudge(ticket, Rejudgement(key=key, round=ticket.round, report=one.report))
        else:
            self._end(key, one)

    def _is_there(self, key: StepKey) -> bool:
        return key.run_id in self._runs and key.number < self._archive.steps_count(key.run_id, key.task_id)

    def _end(self, key: StepKey, one: Judged) -> None:
        waiting = self._waiting(key).pop(key.number, None)
        if waiting is None:
            self._count_ended(key, one)
            return
        if waiting.candidate.id != one.report.candidate_id:
            self.unknown.append(one.ticket)
            return
        finished = judged(waiting.planned, waiting.candidate, waiting.recording, one.report, score(one.report))
        # no clock of this run was running while it was judged: what the workers took is what it cost
        insertion = self._archive.finish_step(msgspec.structs.replace(finished, wall_s=finished.judge_s))
        is_right = insertion.status is not InsertionStatus.REJECTED
        self._count(steps=1, right=int(is_right), gains=int(insertion.status.is_gain))

    def _count_ended(self, key: StepKey, one: Judged) -> None:
        """Count a result of a step that is over; runs of one name share their id, whatever their steps propose."""
        if self._archive.proposal(key) == one.report.candidate_id:
            self._count(known=1)
        else:
            self.unknown.append(one.ticket)

    def _rejudge(self, ticket: Ticket, found: Rejudgement) -> None:
        """Store a later judgement; where another report has taken its round, in the next free one."""
        later = [one for one in self._archive.rejudgements(found.key) if one.round >= found.round]
        # compared as stored: a measure that is no number differs from itself
        if msgspec.msgpack.encode(found.report) in {msgspec.msgpack.encode(one.report) for one in later}:
            self._count(known=1)
            return
        if any(one.round == found.round for one in later):
            found = msgspec.structs.replace(found, round=1 + later[-1].round)
        try:
            demotion = self._archive.add_rejudgement(found)
        except StepConflictError:
            self.unknown.append(ticket)
            return
        self._count(rejudged=1, right=int(found.report.is_right), demoted=int(demotion is not None))

    def _waiting(self, key: StepKey) -> dict[int, RecordedStep]:
        scope = (key.run_id, key.task_id)
        if scope not in self._open:
            self._open[scope] = {one.planned.key.number: one for one in self._archive.recorded_steps(*scope)}
        return self._open[scope]

    def _count(self, **more: int) -> None:
        sums = {name: getattr(self.imported, name) + count for name, count in more.items()}
        self.imported = msgspec.structs.replace(self.imported, **sums)


def import_results(archive: Archive, results: Results) -> Imported:
    """Commit every result of a file; what was committed before changes nothing.

    Args:
        archive: The archive that the bundle's candidates were recorded in.
        results: What a judge wrote.

    Raises:
        BundleError: Some results are for steps that the archive does not have, or the file is cut short. All others
            are committed.
        ArchiveError: The archive cannot be written; what was acknowledged before is kept.
    """
    for session in results.sessions():
        archive.add_environment(session.environment)
    teller = _Teller(archive)
    total = 0
    for one in results.judged():
        teller.tell(one)
        total += 1
    if teller.unknown:
        raise BundleError(_unknown(archive, results, teller.unknown, total))
    results.check_end(f"{total} of {results.origin.candidates} candidates")
    return msgspec.structs.replace(teller.imported, waiting=max(results.origin.candidates - total, 0))


def _unknown(archive: Archive, results: Results, unknown: list[Ticket], total: int) -> str:
    """Say which results have no step."""
    return (
        f"expected results of steps of {archive.location}; it lacks {len(unknown)} of the {total} steps of "
        f"{results.path} (run {results.origin.run}): name the archive that they were asked from with --archive"
    )
