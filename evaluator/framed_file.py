"""Files of framed, hashed, compressed messages: written once as a whole, or one message at a time for good.

The first line says in plain text what the file is and the version of its format. Frames follow: the length of the
payload (4 bytes, big-endian), a SHA-256 over the previous frame's SHA-256 and the payload, then the payload, which is
MessagePack packed with zlib. The chain finds bytes that were changed, frames that were left out or swapped, and a file
that was cut short. It finds damage; it is no signature.
"""

import hashlib
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec

from tilewright.tasks.errors import UserError

FORMAT_VERSION = 1

_HEAD = struct.Struct(">I32s")
FIRST_LINE_BYTES = 64
_LEVEL = 6
# Far beyond a plan or a binary: what claims more is damaged or malicious.
_MOST_PAYLOAD_BYTES = 1 << 28
_MOST_MESSAGE_BYTES = 1 << 30


class BundleError(UserError):
    """A bundle or a results file cannot be used; the message says what was expected, what came and what to do."""


class CutShortError(BundleError):
    """The file ends in the middle of a frame; all frames before it are whole."""


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """Where a payload lies: distance from the file's start and length, in bytes."""

    offset: int
    length: int


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """What a file holds.

    Attributes:
        frames: Every whole frame, in order.
        digest: SHA-256 that ends the chain, in hex: it names the file's contents.
        end: Length of the whole frames with the first line, in bytes.
        is_cut: Whether something follows that is no whole frame.
    """

    frames: tuple[Frame, ...]
    digest: str
    end: int
    is_cut: bool


def first_line(kind: str) -> bytes:
    """Return the first line of a file of a kind, such as `bundle`."""
    return f"tilewright {kind} {FORMAT_VERSION}\n".encode()


def pack(message: msgspec.Struct) -> bytes:
    """Return the payload of a message."""
    return zlib.compress(msgspec.msgpack.encode(message), _LEVEL)


def unpack(payload: bytes) -> bytes:
    """Return the encoded message of a payload.

    Raises:
        zlib.error: It was not packed by `pack`, or is far larger than any message of ours.
    """
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(payload, _MOST_MESSAGE_BYTES)
    if not unpacker.eof:
        raise zlib.error("the message is not whole, or too large")
    return data


class FramedReader:
    """Reads frames of a file whose chain was checked; use it as a context manager.

    Args:
        path: The file.
        kind: What its first line must say, such as `bundle`.

    Raises:
        BundleError: It cannot be read, is something else, was made by a newer version, or was altered.
    """

    def __init__(self, path: Path, kind: str) -> None:
        self.path = path
        try:
            self._file: BinaryIO = path.open("rb")
        except OSError as error:
            raise BundleError(f"expected a {kind} file at {path}; {error.strerror}: check the path") from error
        try:
            self.scan = scan_frames(self._file, path, kind)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "FramedReader":
        """Return the reader itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        self._file.close()

    def message(self, frame: Frame) -> bytes:
        """Return the encoded message of a frame.

        Raises:
            BundleError: It cannot be unpacked.
        """
        try:
            return unpack(os.pread(self._file.fileno(), frame.length, frame.offset))
        except zlib.error as error:
            raise altered(self.path) from error


class FramedWriter:
    """Appends frames to an open file and keeps the chain.

    Args:
        file: Open for writing in binary, at its end.
        digest: SHA-256 that ends the chain so far.
    """

    def __init__(self, file: BinaryIO, digest: bytes) -> None:
        self._file = file
        self._digest = digest
        self._frames = 0

    @property
    def digest(self) -> str:
        """SHA-256 that ends the chain, in hex."""
        return self._digest.hex()

    @property
    def frames(self) -> int:
        """Frames that this writer has added."""
        return self._frames

    def add(self, message: msgspec.Struct) -> None:
        """Append a message."""
        payload = pack(message)
        self._digest = _chained(self._digest, payload)
        self._file.write(_HEAD.pack(len(payload), self._digest) + payload)
        self._frames += 1

    def sync(self) -> None:
        """Wait until everything is on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())


@contextmanager
def whole_file(path: Path, kind: str) -> Iterator[FramedWriter]:
    """Write a file that appears under its name whole or not at all; one of its kind that is there is replaced.

    Raises:
        BundleError: It cannot be written, or would replace a file of another kind.
    """
    check_replaceable(path, kind)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("wb") as file:
            file.write(first_line(kind))
            writer = FramedWriter(file, hashlib.sha256(first_line(kind)).digest())
            yield writer
            writer.sync()
        unfinished.replace(path)
    except OSError as error:
        raise not_writable(path, error) from error
    finally:
        unfinished.unlink(missing_ok=True)


def check_replaceable(path: Path, kind: str) -> None:
    """Refuse a name that another kind of file has, such as an archive or a kernel.

    Raises:
        BundleError: It has, or the file cannot be read.
    """
    if not path.exists():
        return
    try:
        with path.open("rb") as file:
            head = file.read(FIRST_LINE_BYTES)
    except OSError as error:
        raise not_writable(path, error) from error
    if head and not head.startswith(f"tilewright {kind} ".encode()):
        raise BundleError(f"expected a new file or a {kind} to replace; {path} is something else: choose another -o")


def scan_frames(file: BinaryIO, path: Path, kind: str) -> Scan:
    """Check the first line and the chain of a file; return where its frames are."""
    line = _check_first_line(file, path, kind)
    size = os.fstat(file.fileno()).st_size
    digest, end = hashlib.sha256(line).digest(), len(line)
    frames: list[Frame] = []
    file.seek(end)
    while end < size:
        head = file.read(_HEAD.size)
        length, claimed = _HEAD.unpack(head) if len(head) == _HEAD.size else (0, b"")
        if len(head) < _HEAD.size or end + _HEAD.size + length > size:
            break
        if length > _MOST_PAYLOAD_BYTES or _chained(digest, payload := file.read(length)) != claimed:
            raise altered(path)
        digest = claimed
        frames.append(Frame(offset=end + _HEAD.size, length=len(payload)))
        end += _HEAD.size + length
    return Scan(frames=tuple(frames), digest=digest.hex(), end=end, is_cut=end < size)


def _check_first_line(file: BinaryIO, path: Path, kind: str) -> bytes:
    """Return the first line if it is this version's.

    Raises:
        BundleError: The file is something else, or was made by a newer version.
    """
    file.seek(0)
    line = file.read(FIRST_LINE_BYTES).partition(b"\n")[0] + b"\n"
    if line == first_line(kind):
        return line
    words = line.split()
    if words[:1] == [b"tilewright"] and len(words) == 3 and words[2].isdigit():
        if words[1] != kind.encode():
            raise BundleError(f"expected a {kind} file; {path} is a {words[1].decode('ascii', 'replace')} file")
        if int(words[2]) > FORMAT_VERSION:
            raise BundleError(
                f"expected a {kind} file of format {FORMAT_VERSION}; {path} has {int(words[2])}: upgrade Tilewright"
            )
    raise BundleError(f"expected a {kind} file of Tilewright; {path} is none, or its first line is damaged")


def _chained(digest: bytes, payload: bytes) -> bytes:
    return hashlib.sha256(digest + payload).digest()


def altered(path: Path) -> BundleError:
    """Return the error for a file whose contents are not what was written."""
    return BundleError(
        f"expected {path} as it was written; its hashes differ, so it was altered or damaged: copy it again"
    )


def not_writable(path: Path, error: OSError) -> BundleError:
    """Return the error for a file that cannot be written."""
    return BundleError(f"expected to write {path}; {error.strerror}: choose another place")
