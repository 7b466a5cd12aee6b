"""Compare certificates with a machine: does what they say still hold there?"""

import msgspec

from tilewright.archive.certificate import Certificate
from tilewright.archive.errors import UnknownCandidateError, UnknownTaskError
from tilewright.archive.export import export_source
from tilewright.archive.reader import ArchiveReader
from tilewright.evaluator.timing import TimeKind
from tilewright.tasks.candidate import Candidate, Origin


class Machine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a certificate's environment is compared with; empty texts stand for what is not there."""

    python: str
    torch: str
    triton: str
    ptxas: str
    machine: str
    target: str
    device: str
    driver: str
    code_version: str


class Difference(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that is not as it was certified.

    Attributes:
        what: What differs, such as `driver`.
        certified: As the certificate says.
        today: As it is.
        meaning: What is not certified any more, and the verb that finds it out again.
    """

    what: str
    certified: str
    today: str
    meaning: str


class Rechecked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A certificate and what differs from it; nothing for one that holds."""

    task: str
    candidate_id: str
    differences: tuple[Difference, ...]


_TIMES = "times: `archive rejudge`"
_CODE = "machine code, times: `record`"
_ANSWERS = "answers: `archive rejudge`"
_IDENTITY = "anything: not what was judged"
_COMPILER = (("triton", _CODE), ("ptxas", _CODE))
_JUDGE = (("python", _ANSWERS), ("torch", _ANSWERS), ("code_version", _ANSWERS))
_CLOCK = (("target", _CODE), ("device", _TIMES), ("driver", _TIMES), ("machine", _TIMES))


def recheck(certificate: Certificate, today: Machine) -> tuple[Difference, ...]:
    """Return what differs between a certificate's environment and a machine.

    Where the certificate's times are estimates, the GPU and its driver play no part; where there is no GPU, that is
    all that is said of it.
    """
    environment = certificate.environment
    clock: tuple[tuple[str, str], ...] = ()
    if environment.kind is TimeKind.MEASURED:
        clock = _CLOCK if today.device else (("device", _TIMES),)
    found = []
    for name, meaning in (*_COMPILER, *_JUDGE, *clock):
        holder = certificate if name == "code_version" else environment
        certified, now = str(getattr(holder, name)), str(getattr(today, name))
        if certified != now:
            found.append(Difference(what=name, certified=certified, today=now or "none", meaning=meaning))
    return tuple(found)


def recheck_hashes(archive: ArchiveReader, certificate: Certificate) -> tuple[Difference, ...]:
    """Return what differs between a certificate's hashes and what an archive holds under its candidate's id."""
    try:
        candidate = archive.candidate(certificate.candidate_id)
        task = archive.task(certificate.task_id)
    except (UnknownCandidateError, UnknownTaskError):
        return ()
    computed = Candidate(task_id=task.id, source=candidate.source, knobs=certificate.knobs, origin=Origin(operator=""))
    recording = archive.recording(candidate.id)
    kernels = tuple(build.facts.sass_sha for build in recording.builds) if recording else ()
    pairs = (
        ("task", certificate.task_id, task.id),
        ("source", certificate.source_sha, candidate.source_sha),
        ("candidate", certificate.candidate_id, computed.id),
        ("machine code", ", ".join(one.sass_sha for one in certificate.kernels), ", ".join(kernels)),
    )
    wrong = [Difference(what=what, certified=a, today=b, meaning=_IDENTITY) for what, a, b in pairs if a != b]
    if disproofs := archive.disproofs(candidate.id):
        failure = disproofs[0].failure
        today = failure.message if failure else "a stage did not pass"
        wrong.append(Difference(what="verdict", certified="right", today=today, meaning="that it is right"))
    return tuple(wrong)


def recheck_file(archive: ArchiveReader, certificate: Certificate, text: str) -> tuple[Difference, ...]:
    """Return whether an exported kernel file is not as it was written, for an archive that knows its candidate."""
    try:
        source = archive.candidate(certificate.candidate_id).source
    except UnknownCandidateError:
        return ()
    if export_source(certificate, source) == text:
        return ()
    return (Difference(what="kernel file", certified="as exported", today="changed", meaning=_IDENTITY),)
