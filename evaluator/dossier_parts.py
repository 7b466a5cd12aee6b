"""A dossier in parts: what is its own, and what it shares with others, named by SHA-256.

Binaries of one candidate are variants of the same kernels, so they are packed together: 15 to 77 kB for 19 to 30
binaries of 176 to 536 kB, less than half of what they take one by one.
"""

import hashlib
import lzma
from collections.abc import Callable, Iterable

import msgspec

from tilewright.evaluator.dossier import Binary, Dossier, Trials
from tilewright.evaluator.recording import CaseCount, Recording
from tilewright.evaluator.report import StageResult
from tilewright.evaluator.timing import Timing
from tilewright.sandbox.plan import LaunchPlan
from tilewright.tasks.candidate import Candidate
from tilewright.tasks.spec import KernelTask

_MOST_PACK_BYTES = 1 << 28  # far beyond a candidate's binaries: what claims more is damaged or malicious


class BinaryName(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which binary a launch's PTX became.

    Attributes:
        ptx_sha: SHA-256 of the PTX, by which launches name it.
        sha: SHA-256 of the binary.
    """

    ptx_sha: str
    sha: str


class Sheet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A dossier's own part, beside its task, its candidate and its recording.

    Attributes:
        trials: SHA-256 of its trials, which all candidates of a task and seed share.
        plans: Plans of the trials' cases.
        binaries: Its kernels, by name.
        interpreted: The five stages as the interpreter ran them.
        counts: Counted work of each bench case.
        estimate: The cost model's time of each bench case.
    """

    trials: str
    plans: tuple[LaunchPlan, ...]
    binaries: tuple[BinaryName, ...]
    interpreted: tuple[StageResult, ...] = ()
    counts: tuple[CaseCount, ...] = ()
    estimate: tuple[Timing, ...] = ()


class Apart(msgspec.Struct, frozen=True, kw_only=True):
    """A dossier taken apart: its sheet, and what the sheet names."""

    sheet: Sheet
    trials: bytes
    binaries: dict[str, bytes]


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """Where the shared parts of dossiers are fetched by name."""

    trials: Callable[[str], bytes]
    binary: Callable[[str], bytes]


class Owned(msgspec.Struct, frozen=True, kw_only=True):
    """Whose dossier it is."""

    task: KernelTask
    candidate: Candidate
    recording: Recording


def name_of(data: bytes) -> str:
    """Return the name of a part: the SHA-256 of its bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def take_apart(dossier: Dossier) -> Apart:
    """Return a dossier's sheet and its shared parts."""
    trials = msgspec.msgpack.encode(dossier.trials)
    names = tuple(BinaryName(ptx_sha=one.ptx_sha, sha=name_of(one.data)) for one in dossier.binaries)
    sheet = Sheet(
        trials=name_of(trials),
        plans=dossier.plans,
        binaries=names,
        interpreted=dossier.interpreted,
        counts=dossier.counts,
        estimate=dossier.estimate,
    )
    binaries = {name.sha: one.data for name, one in zip(names, dossier.binaries, strict=True)}
    return Apart(sheet=sheet, trials=trials, binaries=binaries)


def put_together(owned: Owned, sheet: Sheet, parts: Parts) -> Dossier:
    """Return a dossier whose shared parts are fetched by name.

    Raises:
        msgspec.MsgspecError: The trials are of another version.
    """
    return Dossier(
        task=owned.task,
        candidate=owned.candidate,
        recording=owned.recording,
        trials=msgspec.msgpack.decode(parts.trials(sheet.trials), type=Trials),
        plans=sheet.plans,
        binaries=tuple(Binary(ptx_sha=one.ptx_sha, data=parts.binary(one.sha)) for one in sheet.binaries),
        interpreted=sheet.interpreted,
        counts=sheet.counts,
        estimate=sheet.estimate,
    )


def pack_binaries(binaries: Iterable[bytes]) -> bytes:
    """Return binaries packed together."""
    return lzma.compress(msgspec.msgpack.encode(tuple(binaries)), check=lzma.CHECK_NONE)


def unpack_binaries(pack: bytes) -> dict[str, bytes]:
    """Return the binaries of a pack, by name.

    Raises:
        lzma.LZMAError: The pack is damaged, or far larger than any of ours.
        msgspec.MsgspecError: It is none.
    """
    unpacker = lzma.LZMADecompressor(memlimit=_MOST_PACK_BYTES)
    data = unpacker.decompress(pack, _MOST_PACK_BYTES)
    if not unpacker.eof:
        raise lzma.LZMAError("the pack is not whole, or too large")
    found = msgspec.msgpack.decode(data, type=tuple[bytes, ...])
    return {name_of(data): data for data in found}
