"""Stored dossiers: what a judge with a GPU replays, with binaries kept once however many candidates share them."""

import lzma

import msgspec
from sqlalchemy import Connection, bindparam, select

from tilewright.archive.errors import StepConflictError, UnknownEntryError
from tilewright.archive.records import PlannedStep, StepKey, StepState
from tilewright.archive.schema import Build, Evaluation, Step
from tilewright.archive.schema_dossiers import DossierRow, KernelBinary
from tilewright.archive.statements import Upsert, adding, changing
from tilewright.archive.store_blobs import get_bytes, put_bytes
from tilewright.archive.store_entries import find_task
from tilewright.archive.store_facts import put_build
from tilewright.archive.store_steps import candidate_of, find_step, open_steps
from tilewright.evaluator.dossier import Dossier
from tilewright.evaluator.dossier_parts import (
    Owned,
    Parts,
    Sheet,
    pack_binaries,
    put_together,
    take_apart,
    unpack_binaries,
)
from tilewright.evaluator.recording import Recording
from tilewright.tasks.candidate import Candidate


class RecordedStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An open step whose dossier is stored: it waits for a judgement."""

    planned: PlannedStep
    candidate: Candidate
    recording: Recording


_ADD_DOSSIER = adding(DossierRow)
_ADD_BINARY = Upsert(KernelBinary, lambda entry: entry.on_conflict_do_nothing())
_RECORDED = changing(Step).where(Step.id == bindparam("of_step")).values(state=StepState.RECORDED)


def put_dossier(connection: Connection, key: StepKey, dossier: Dossier) -> None:
    """Store a step's dossier; an open step is RECORDED from then on. Storing another one changes nothing.

    Raises:
        StepConflictError: The step is unknown, or has another candidate.
    """
    step = find_step(connection, key)
    if step.candidate_id != dossier.candidate.id:
        raise StepConflictError(
            f"step {key.number}: expected the dossier of {step.candidate_id}; got one of {dossier.candidate.id}"
        )
    if has_dossier(connection, step.id):
        return
    apart = take_apart(dossier)
    _put_binaries(connection, apart.binaries)
    row = {
        "step_id": step.id,
        "build_id": put_build(connection, dossier.recording),
        "trials_sha": put_bytes(connection, apart.trials),
        "sheet": apart.sheet,
    }
    connection.execute(_ADD_DOSSIER, row)
    if not step.state.is_final:
        connection.execute(_RECORDED, {"of_step": step.id})


def has_dossier(connection: Connection, step_id: int) -> bool:
    """Tell whether a step's dossier is stored."""
    return connection.execute(select(DossierRow.step_id).where(DossierRow.step_id == step_id)).first() is not None


def get_dossier(connection: Connection, key: StepKey) -> Dossier:
    """Return a step's dossier.

    Raises:
        UnknownEntryError: None is stored.
    """
    step = find_step(connection, key)
    row = connection.execute(
        select(DossierRow.sheet, Build.recording)
        .join(Build, Build.id == DossierRow.build_id)
        .where(DossierRow.step_id == step.id)
    ).one_or_none()
    candidate = candidate_of(connection, step.id)
    if row is None or candidate is None:
        raise UnknownEntryError(
            f"expected stored plans of {step.candidate_id}; there are none: `tilewright record` records it again"
        )
    owned = Owned(task=find_task(connection, key.task_id), candidate=candidate, recording=row.recording)
    binaries = _binaries(connection, row.sheet)
    parts = Parts(trials=lambda sha: get_bytes(connection, sha), binary=binaries.__getitem__)
    return put_together(owned, row.sheet, parts)


def recorded_steps(connection: Connection, run_id: str, task_id: str) -> tuple[RecordedStep, ...]:
    """Return the open steps of a run's task whose dossiers are stored, by number."""
    query = (
        select(Step.number, Build.recording)
        .join(DossierRow, DossierRow.step_id == Step.id)
        .join(Build, Build.id == DossierRow.build_id)
        .where(Step.run_id == run_id, Step.task_id == task_id, Step.finished_seq.is_(None))
    )
    recordings = {row.number: row.recording for row in connection.execute(query)}
    return tuple(
        RecordedStep(planned=one.planned, candidate=one.candidate, recording=recordings[one.planned.key.number])
        for one in open_steps(connection, run_id, task_id)
        if one.candidate is not None and one.planned.key.number in recordings
    )


def recorded_step(connection: Connection, candidate_id: str) -> StepKey | None:
    """Return the newest step that judged a candidate and whose dossier is stored, or None if there is none."""
    row = connection.execute(
        select(Step.run_id, Step.task_id, Step.number)
        .join(DossierRow, DossierRow.step_id == Step.id)
        .join(Evaluation, Evaluation.step_id == Step.id)
        .where(Step.candidate_id == candidate_id)
        .order_by(Step.id.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else StepKey(run_id=row.run_id, task_id=row.task_id, number=row.number)


def _put_binaries(connection: Connection, binaries: dict[str, bytes]) -> None:
    """Store those binaries that are not there yet, packed together."""
    query = select(KernelBinary.sha).where(KernelBinary.sha.in_(binaries))
    known = set(connection.execute(query).scalars())
    fresh = {sha: data for sha, data in binaries.items() if sha not in known}
    if fresh:
        pack_sha = put_bytes(connection, pack_binaries(fresh.values()))
        rows = [{"sha": sha, "pack_sha": pack_sha} for sha in fresh]
        connection.execute(_ADD_BINARY.within(connection), rows)


def _binaries(connection: Connection, sheet: Sheet) -> dict[str, bytes]:
    """Return a dossier's binaries by name.

    Raises:
        msgspec.DecodeError: A pack is damaged, or lacks one.
    """
    wanted = {one.sha for one in sheet.binaries}
    packs = connection.execute(select(KernelBinary.pack_sha).distinct().where(KernelBinary.sha.in_(wanted))).scalars()
    found: dict[str, bytes] = {}
    try:
        for pack_sha in packs.all():
            found |= unpack_binaries(get_bytes(connection, pack_sha))
    except lzma.LZMAError as error:
        raise msgspec.DecodeError("expected a pack of binaries") from error
    if not wanted <= found.keys():
        raise msgspec.DecodeError("expected every binary of a dossier in the archive")
    return found
