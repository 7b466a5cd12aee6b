"""Hands a kernel over as a file: its evidence in the docstring, its certificate beside it."""

import ast
import os
import textwrap
from pathlib import Path

import msgspec

from tilewright.archive.certificate import Certificate, StageEvidence, TimeEvidence, certificate
from tilewright.archive.errors import ArchiveError
from tilewright.archive.reader import ArchiveReader
from tilewright.evaluator.report import Report
from tilewright.tasks.candidate import Knob


def write_kernel(
    archive: ArchiveReader,
    prefix: str,
    path: Path,
    *,
    confirmation: Report | None = None,
    run_id: str | None = None,
) -> Certificate:
    """Write a right candidate to a file and its certificate, as JSON, beside it.

    Args:
        archive: Where it is stored.
        prefix: Its id, or the first digits of it.
        path: The Python file; the certificate takes the same name with `.json`. Both are replaced if present.
        confirmation: A second judgement of it, on other secret cases.
        run_id: The run whose judgement counts; the newest of all runs if absent.

    Raises:
        UnknownCandidateError: No id starts so, or several do.
        UnfitCandidateError: It is not right, or was never judged.
        ArchiveError: The file cannot be written.
    """
    evidence = certificate(archive, prefix, confirmation, run_id=run_id)
    source = archive.candidate(evidence.candidate_id).source
    document = msgspec.json.format(msgspec.json.encode(evidence), indent=2)
    try:
        _replace(path.with_suffix(".json"), document + b"\n")
        _replace(path, export_source(evidence, source).encode())
    except OSError as error:
        raise ArchiveError(f"expected to write {path}; {error.strerror}: choose another place") from error
    return evidence


def _replace(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: a killed process leaves the old one."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(data)
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


def export_source(evidence: Certificate, source: str) -> str:
    """Return a candidate's source with its evidence as docstring and its chosen knobs as defaults.

    The chosen value of each knob is moved to the front of the `KNOBS` table, and a literal `knobs` takes the
    chosen values, so that the file runs by itself as it was judged. The candidate's own docstring is kept
    below the evidence.
    """
    module = ast.parse(source)
    own = ast.get_docstring(module) or ""
    edits = [_edit(node, evidence.knobs) for node in module.body]
    if own:
        edits[0] = ""
    lines = source.splitlines(keepends=True)
    # From the end, so that the line numbers of the statements above stay right.
    for node, text in reversed(tuple(zip(module.body, edits, strict=True))):
        if text is not None and node.end_lineno is not None:
            lines[node.lineno - 1 : node.end_lineno] = [f"{text}\n"] if text else []
    return f'"""{_docstring(evidence, own)}\n"""\n\n' + "".join(lines).lstrip("\n")


def _edit(node: ast.stmt, chosen: tuple[Knob, ...]) -> str | None:
    """Return the new text of a statement that sets `KNOBS` or a literal `knobs`; None to keep it."""
    if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(node.value, ast.Dict):
        return None
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    if not isinstance(target, ast.Name) or target.id not in {"KNOBS", "knobs"}:
        return None
    try:
        table = ast.literal_eval(node.value)
    except ValueError:
        return None
    values = {knob.name: knob.value for knob in chosen}
    if target.id == "knobs":
        return f"knobs = { ({name: values.get(name, value) for name, value in table.items()})!r}"
    moved = {name: _first(values[name], row) if name in values else tuple(row) for name, row in table.items()}
    return f"KNOBS = {moved!r}"


def _first(value: int, row: tuple[int, ...]) -> tuple[int, ...]:
    """Return a row of the table with one value in front."""
    return (value, *(other for other in row if other != value))


def _docstring(evidence: Certificate, own: str) -> str:
    """Return the evidence in words."""
    slowest = min(evidence.timing, key=lambda timing: timing.speedup, default=None)
    head = f"{evidence.task}: a Triton kernel found by Tilewright {evidence.code_version}."
    if slowest is not None:
        head = f"{evidence.task}: {slowest.speedup:.2f}x over {slowest.baseline} or better ({slowest.kind})."
    knobs = ", ".join(f"{knob.name} = {knob.value}" for knob in evidence.knobs) or "none"
    place = evidence.environment
    parts = [
        head,
        "",
        f"Checked against an fp64 oracle: {_stages(evidence.stages)}.",
        *([f"Confirmed on other secret cases: {_stages(evidence.confirmation)}."] if evidence.confirmation else []),
        "",
        *(_time(timing) for timing in evidence.timing),
        "",
        f"Knobs: {knobs}. Cell: {evidence.cell}.",
        f"Judged with torch {place.torch}, triton {place.triton}, ptxas {place.ptxas} for {place.target}.",
        f"Candidate {evidence.candidate_id} of task {evidence.task_id}; run {evidence.run}, seed {evidence.seed}, "
        f"step {evidence.step}, by {evidence.model or evidence.operator}, {len(evidence.ancestors)} ancestors.",
        *(["", own] if own else []),
    ]
    wrapped = "\n".join(textwrap.fill(part, 110) if part is not own else part for part in parts)
    return wrapped.replace("\\", "\\\\").replace('"""', r"\"\"\"")


def _stages(stages: tuple[StageEvidence, ...]) -> str:
    return ", ".join(f"{one.stage} {one.passed} of {one.passed + one.failed + one.skipped}" for one in stages)


def _time(timing: TimeEvidence) -> str:
    return (
        f"{timing.case}: {timing.median_us:.1f} us {timing.kind} on {timing.device} "
        f"({timing.low_us:.1f} to {timing.high_us:.1f}), {timing.baseline} {timing.baseline_us:.1f} us, "
        f"{timing.speedup:.2f}x, {timing.share_of_floor:.0%} of the floor."
    )
