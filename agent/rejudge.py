"""Judge stored candidates again from their stored plans: no source, no sandbox, other inputs, today's machine."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from tilewright.agent.places import Place
from tilewright.archive.errors import UnknownEntryError
from tilewright.archive.reader import ArchiveReader
from tilewright.archive.records import StepKey
from tilewright.evaluator.bundle import BundleSize, Header, Ticket, Ticketed, write_bundle
from tilewright.evaluator.code_version import code_version
from tilewright.evaluator.redraw import redrawn
from tilewright.evaluator.report import Environment, Report
from tilewright.evaluator.timing import TimeKind
from tilewright.tasks.errors import UserError


class Retrial(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate that can be judged again."""

    key: StepKey
    candidate_id: str
    task: str
    round: int


class Retrials(msgspec.Struct, frozen=True, kw_only=True):
    """What can be judged again, and how many candidates cannot because no plans of them are stored."""

    run: str
    target: str
    recorder: Environment
    chosen: tuple[Retrial, ...]
    without_plans: int


class Comparison(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A candidate before and after; times are geometric means of the medians over the bench cases."""

    candidate_id: str
    task: str
    is_right: bool
    reason: str
    kind_before: TimeKind | None
    us_before: float | None
    device_before: str
    kind_after: TimeKind | None
    us_after: float | None
    device_after: str


def choose_retrials(archive: ArchiveReader, places: tuple[Place, ...], candidate: str | None) -> Retrials:
    """Return the elites of some tasks, or one candidate, as far as their plans are stored.

    Raises:
        UserError: No plans of any of them are stored.
        UnknownCandidateError: No id starts so, or several do.
    """
    found: list[Retrial] = []
    target, without_plans = "", 0
    for key, candidate_id, task in _chosen(archive, places, candidate):
        try:
            target = archive.dossier(key).recording.target
        except UnknownEntryError:
            without_plans += 1
            continue
        round_ = len(archive.rejudgements(key)) + 1
        found.append(Retrial(key=key, candidate_id=candidate_id, task=task, round=round_))
    if not found:
        raise UserError(
            f"expected stored plans of {without_plans} candidates; there are none: "
            f"`tilewright record --elites {places[0].run}` records them again"
        )
    report = archive.report(found[0].candidate_id, found[0].key.run_id)
    assert report is not None
    return Retrials(
        run=places[0].run,
        target=target,
        recorder=archive.environment(report.environment_id),
        chosen=tuple(found),
        without_plans=without_plans,
    )


def _chosen(
    archive: ArchiveReader, places: tuple[Place, ...], candidate: str | None
) -> Iterator[tuple[StepKey, str, str]]:
    """Yield step, candidate and task of what is to be judged again."""
    if candidate is not None:
        known = archive.candidate(candidate)
        key = archive.recorded_step(known.id) or archive.home(known.id)
        yield key, known.id, archive.task(known.task_id).title
        return
    for place in places:
        for row in archive.elites(place.run_id, place.task_id):
            key = StepKey(run_id=place.run_id, task_id=place.task_id, number=row.number)
            yield key, row.candidate_id, place.task


def write_retrials(archive: ArchiveReader, retrials: Retrials, path: Path) -> BundleSize:
    """Write a bundle of stored plans with other inputs.

    Raises:
        BundleError: It cannot be written.
    """
    header = Header(run=retrials.run, target=retrials.target, code_version=code_version(), recorder=retrials.recorder)
    return write_bundle(path, header, (_ticketed(archive, one) for one in retrials.chosen))


def _ticketed(archive: ArchiveReader, one: Retrial) -> Ticketed:
    key = one.key
    ticket = Ticket(run_id=key.run_id, task_id=key.task_id, number=key.number, round=one.round)
    # what the interpreter found long ago says nothing of today: only what runs again counts
    dossier = msgspec.structs.replace(archive.dossier(key), interpreted=())
    return Ticketed(ticket=ticket, dossier=redrawn(dossier, f"round {one.round}"))


def compare(archive: ArchiveReader, retrials: Retrials) -> tuple[Comparison, ...]:
    """Return what judging again found, for the candidates that it reached."""
    found = []
    for one in retrials.chosen:
        before = archive.report(one.candidate_id, one.key.run_id)
        later = [again.report for again in archive.rejudgements(one.key) if again.round == one.round]
        if before is not None and later:
            found.append(_comparison(one, before, later[0]))
    return tuple(found)


def _comparison(one: Retrial, before: Report, after: Report) -> Comparison:
    old, new = next(iter(before.timing), None), next(iter(after.timing), None)
    return Comparison(
        candidate_id=one.candidate_id,
        task=one.task,
        is_right=after.is_right,
        reason=after.failure.message if after.failure else "",
        kind_before=old.kind if old else None,
        us_before=before.geomean_us,
        device_before=old.device if old else "",
        kind_after=new.kind if new else None,
        us_after=after.geomean_us,
        device_after=new.device if new else "",
    )
