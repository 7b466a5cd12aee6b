"""A framed file that grows, one message at a time for good, however often its writer is stopped."""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tilewright.evaluator.framed_file import (
    FIRST_LINE_BYTES,
    BundleError,
    FramedWriter,
    Scan,
    first_line,
    not_writable,
    scan_frames,
)

# The place is full: other errors while a file grows may be of the work that fills it.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def growing_file(path: Path, kind: str) -> Iterator[tuple[FramedWriter, Scan]]:
    """Open a file to append to, made if it is not there; an unfinished frame at its end is moved to `<name>.cut`.

    Yields the writer and what the file held before.

    Raises:
        BundleError: It is something else, was altered, cannot be written, or another process appends to it.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise not_writable(path, error) from error
    try:
        with os.fdopen(handle, "r+b") as file:
            _lock(file, path)
            if first_line(kind).startswith(file.read(FIRST_LINE_BYTES)):
                file.seek(0)
                file.truncate()
                file.write(first_line(kind))
                os.fsync(handle)
            scan = scan_frames(file, path, kind)
            _cut(file, path, scan)
            yield FramedWriter(file, bytes.fromhex(scan.digest)), scan
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise not_writable(path, error) from error


def _lock(file: BinaryIO, path: Path) -> None:
    """Hold the right to append to a file until it is closed.

    Raises:
        BundleError: Another process holds it.
    """
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        message = f"expected to be the only one to write {path}; another process does: wait for it, or choose -o"
        raise BundleError(message) from error


def _cut(file: BinaryIO, path: Path, scan: Scan) -> None:
    """Take off what follows the whole frames and stand at their end.

    It is kept beside the file: a frame whose length was damaged looks unfinished, and whole ones may follow it.
    """
    file.seek(scan.end)
    if scan.is_cut:
        with path.with_name(f"{path.name}.cut").open("ab") as rest:
            shutil.copyfileobj(file, rest)
            rest.flush()
            os.fsync(rest.fileno())
        file.seek(scan.end)
        file.truncate()
