"""Bundles: recorded candidates in one file, to be judged on a machine that has a GPU and little else.

What candidates share (tasks, trials, binaries) is stored once and found by its SHA-256. An index ends the file, so
that a bundle that was cut short is found, and one candidate is read without the others.
"""

import lzma
from collections.abc import Iterable
from pathlib import Path

import msgspec

from tilewright.evaluator.dossier import Dossier
from tilewright.evaluator.dossier_parts import (
    Owned,
    Parts,
    Sheet,
    name_of,
    pack_binaries,
    put_together,
    take_apart,
    unpack_binaries,
)
from tilewright.evaluator.framed_file import BundleError, FramedReader, FramedWriter, altered, whole_file
from tilewright.evaluator.recording import Recording
from tilewright.evaluator.report import Environment
from tilewright.tasks.candidate import Candidate
from tilewright.tasks.spec import KernelTask

KIND = "bundle"


class Ticket(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which step of which run a judgement is for.

    Attributes:
        run_id: The run.
        task_id: Its task.
        number: The step.
        round: 0 for the judgement that ends the step; later ones judge it again.
    """

    run_id: str
    task_id: str
    number: int
    round: int = 0


class Seat(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A filled cell of a task's map, and its elite's fitness."""

    task_id: str
    cell: str
    fitness: float


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="header"):
    """What a bundle is.

    Attributes:
        run: Name of the run that its candidates belong to.
        target: The GPU that they are compiled for.
        code_version: Version of Tilewright that wrote it.
        recorder: Where its candidates were recorded.
        seats: The maps of its tasks: what would take a cell is judged again before it does.
    """

    run: str
    target: str
    code_version: str
    recorder: Environment
    seats: tuple[Seat, ...] = ()


class Ticketed(msgspec.Struct, frozen=True, kw_only=True):
    """A dossier on its way to a judge."""

    ticket: Ticket
    dossier: Dossier


class Place(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A candidate of a bundle: whose it is, and the number of its frame."""

    ticket: Ticket
    candidate_id: str
    task: str
    frame: int


class BundleSize(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a bundle takes.

    Attributes:
        candidates: How many it holds.
        bytes: Length of the file.
        binaries: Distinct binaries.
    """

    candidates: int
    bytes: int
    binaries: int


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="part"):
    data: bytes


class _Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="entry"):
    task: str
    candidate: Candidate
    recording: Recording
    sheet: Sheet


class _Index(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="index"):
    """Frames of tasks and trials by name, of the packs of binaries by the name of each, and of candidates."""

    parts: dict[str, int]
    packs: dict[str, int]
    places: tuple[Place, ...]


_Message = Header | _Part | _Entry | _Index


def write_bundle(path: Path, header: Header, dossiers: Iterable[Ticketed]) -> BundleSize:
    """Write a bundle; the file appears whole or not at all.

    Raises:
        BundleError: It cannot be written.
    """
    with whole_file(path, KIND) as writer:
        writer.add(header)
        filling = _Filling(writer)
        for one in dossiers:
            filling.add(one)
        index = filling.index()
        writer.add(index)
    return BundleSize(candidates=len(index.places), bytes=path.stat().st_size, binaries=len(index.packs))


class _Filling:
    """A bundle while it is written: knows which parts are in it."""

    def __init__(self, writer: FramedWriter) -> None:
        self._writer = writer
        self._parts: dict[str, int] = {}
        self._packs: dict[str, int] = {}
        self._places: list[Place] = []

    def add(self, one: Ticketed) -> None:
        """Append a candidate after those of its parts that are not there yet."""
        dossier, apart = one.dossier, take_apart(one.dossier)
        task = msgspec.msgpack.encode(dossier.task)
        for data in (task, apart.trials):
            if name_of(data) not in self._parts:
                self._parts[name_of(data)] = self._append(_Part(data=data))
        fresh = {sha: data for sha, data in apart.binaries.items() if sha not in self._packs}
        if fresh:
            self._packs |= dict.fromkeys(fresh, self._append(_Part(data=pack_binaries(fresh.values()))))
        entry = _Entry(task=name_of(task), candidate=dossier.candidate, recording=dossier.recording, sheet=apart.sheet)
        frame = self._append(entry)
        place = Place(ticket=one.ticket, candidate_id=dossier.candidate.id, task=dossier.task.title, frame=frame)
        self._places.append(place)

    def index(self) -> _Index:
        """Return where everything is."""
        return _Index(parts=self._parts, packs=self._packs, places=tuple(self._places))

    def _append(self, message: _Message) -> int:
        """Append a message; return the number of its frame."""
        self._writer.add(message)
        return self._writer.frames - 1


class Bundle:
    """A bundle that was checked from end to end; use it as a context manager.

    Args:
        path: The file.

    Raises:
        BundleError: It cannot be read, is something else, was made by a newer version, was altered or cut short.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._decoder: msgspec.msgpack.Decoder[_Message] = msgspec.msgpack.Decoder(_Message)
        self._writer = "another Tilewright"
        self._tasks: dict[str, KernelTask] = {}
        self._file = FramedReader(path, KIND)
        try:
            self._open()
        except BaseException:
            self._file.close()
            raise

    def _open(self) -> None:
        scan = self._file.scan
        if not scan.frames:
            raise self._cut_short()
        header = self._message(0)
        if not isinstance(header, Header):
            raise altered(self.path)
        self.header = header
        self._writer = f"Tilewright {header.code_version}"
        index = None if scan.is_cut else self._message(len(scan.frames) - 1)
        if not isinstance(index, _Index):
            raise self._cut_short()
        self._index = index

    def __enter__(self) -> "Bundle":
        """Return the bundle itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._file.close()

    @property
    def digest(self) -> str:
        """SHA-256 that names its contents, in hex."""
        return self._file.scan.digest

    @property
    def places(self) -> tuple[Place, ...]:
        """Its candidates, in order."""
        return self._index.places

    def dossier(self, place: Place) -> Dossier:
        """Read one candidate.

        Raises:
            BundleError: It, or a part that it names, is not what it was.
        """
        entry = self._message(place.frame)
        if not isinstance(entry, _Entry):
            raise altered(self.path)
        try:
            if entry.task not in self._tasks:
                self._tasks[entry.task] = msgspec.msgpack.decode(self._part(entry.task), type=KernelTask)
            owned = Owned(task=self._tasks[entry.task], candidate=entry.candidate, recording=entry.recording)
            binaries = self._binaries(entry.sheet)
            return put_together(owned, entry.sheet, Parts(trials=self._part, binary=binaries.__getitem__))
        except msgspec.MsgspecError as error:
            raise self._other_version() from error

    def _part(self, sha: str) -> bytes:
        """Return a task or trials, encoded."""
        data = self._data(self._index.parts.get(sha, -1))
        if name_of(data) != sha:
            raise altered(self.path)
        return data

    def _binaries(self, sheet: Sheet) -> dict[str, bytes]:
        """Return a candidate's binaries by name; each pack is unpacked once."""
        wanted = {one.sha for one in sheet.binaries}
        found: dict[str, bytes] = {}
        try:
            for frame in {self._index.packs.get(sha, -1) for sha in wanted}:
                found |= unpack_binaries(self._data(frame))
        except lzma.LZMAError as error:
            raise altered(self.path) from error
        if not wanted <= found.keys():
            raise altered(self.path)
        return found

    def _data(self, number: int) -> bytes:
        part = self._message(number)
        if not isinstance(part, _Part):
            raise altered(self.path)
        return part.data

    def _message(self, number: int) -> _Message:
        if not 0 <= number < len(self._file.scan.frames):
            raise altered(self.path)
        data = self._file.message(self._file.scan.frames[number])
        try:
            return self._decoder.decode(data)
        except msgspec.MsgspecError as error:
            raise self._other_version() from error

    def _cut_short(self) -> BundleError:
        return BundleError(f"expected a whole bundle; {self.path} is cut short: copy it again, or record it again")

    def _other_version(self) -> BundleError:
        return BundleError(
            f"expected values of this version of Tilewright; {self.path} was written by {self._writer}: "
            "use one version on both machines"
        )
