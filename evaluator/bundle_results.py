"""Results of a bundle: reports, appended one by one while a judge works through it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tilewright.evaluator.bundle import Bundle, Ticket
from tilewright.evaluator.framed_file import (
    BundleError,
    CutShortError,
    Frame,
    FramedReader,
    FramedWriter,
    Scan,
    altered,
)
from tilewright.evaluator.growing_file import growing_file
from tilewright.evaluator.report import Environment, Report

KIND = "results"


class Origin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="origin"):
    """Which bundle the results are for.

    Attributes:
        bundle: Its digest.
        run: Name of the run.
        candidates: How many it holds.
    """

    bundle: str
    run: str
    candidates: int


class Session(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="session"):
    """A judge starts to work; the reports that follow are its.

    Attributes:
        environment: Where it judges.
        code_version: Version of Tilewright.
    """

    environment: Environment
    code_version: str


class Judged(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="judged"):
    """A candidate was judged."""

    ticket: Ticket
    report: Report


_Message = Origin | Session | Judged
_DECODER: msgspec.msgpack.Decoder[_Message] = msgspec.msgpack.Decoder(_Message)


class ResultsWriter:
    """Appends reports for good: what `add` has returned from survives any death of the process.

    Args:
        writer: At the end of the file.
        done: The reports that are there already.
    """

    def __init__(self, writer: FramedWriter, done: dict[Ticket, Report]) -> None:
        self._writer = writer
        self.done = done

    def begin(self, session: Session) -> None:
        """Say where the next reports come from."""
        self._writer.add(session)
        self._writer.sync()

    def add(self, judged: Judged) -> None:
        """Append a report and wait until it is on the disk."""
        self._writer.add(judged)
        self._writer.sync()


@contextmanager
def growing_results(path: Path, bundle: Bundle) -> Iterator[ResultsWriter]:
    """Open a results file to go on with it, or begin it; a report that was cut off is judged again.

    Raises:
        BundleError: It is something else, was altered, belongs to another bundle, or cannot be written.
    """
    origin = Origin(bundle=bundle.digest, run=bundle.header.run, candidates=len(bundle.places))
    with growing_file(path, KIND) as (writer, scan):
        done: dict[Ticket, Report] = {}
        if scan.frames:
            with FramedReader(path, KIND) as reader:
                stored = _origin(reader)
                done = {one.ticket: one.report for one in _messages(reader) if isinstance(one, Judged)}
            if stored != origin:
                raise BundleError(
                    f"expected the results of {bundle.path}; {path} holds those of another bundle: choose another -o"
                )
        else:
            writer.add(origin)
            writer.sync()
        yield ResultsWriter(writer, done)


class Results:
    """A results file that was checked from end to end; use it as a context manager.

    Args:
        path: The file; a report that was cut off at its end is left out.

    Raises:
        BundleError: It cannot be read, is something else, was made by a newer version, or was altered.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = FramedReader(path, KIND)
        try:
            self.origin = _origin(self._file)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "Results":
        """Return the results themselves."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._file.close()

    @property
    def scan(self) -> Scan:
        """What the file holds."""
        return self._file.scan

    def sessions(self) -> tuple[Session, ...]:
        """Return where the reports come from."""
        return tuple(one for one in _messages(self._file) if isinstance(one, Session))

    def judged(self) -> Iterator[Judged]:
        """Yield the reports, in the order in which they were made."""
        return (one for one in _messages(self._file) if isinstance(one, Judged))

    def check_end(self, counted: str) -> None:
        """Complain of a report that was cut off.

        Args:
            counted: What became of the whole ones.

        Raises:
            CutShortError: One was.
        """
        if self.scan.is_cut:
            raise CutShortError(
                f"expected whole results; {self.path} is cut short after {counted}: "
                "copy it again, or judge the bundle again with the same -o, which goes on from there"
            )


def _origin(reader: FramedReader) -> Origin:
    """Return the first message.

    Raises:
        BundleError: There is none.
    """
    first = next(_messages(reader), None)
    if first is None:
        raise BundleError(f"expected results; {reader.path} is cut short before the first: copy it again")
    if not isinstance(first, Origin):
        raise altered(reader.path)
    return first


def _messages(reader: FramedReader) -> Iterator[_Message]:
    return (_decoded(reader, frame) for frame in reader.scan.frames)


def _decoded(reader: FramedReader, frame: Frame) -> _Message:
    data = reader.message(frame)
    try:
        return _DECODER.decode(data)
    except msgspec.MsgspecError as error:
        raise BundleError(
            f"expected values of this version of Tilewright; {reader.path} was written by another: "
            "use one version on both machines"
        ) from error
