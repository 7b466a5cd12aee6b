"""One writer: an advisory lock that dies with its holder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, text

from tilewright.archive.errors import ArchiveBusyError, ArchiveError
from tilewright.archive.location import Location, read_only

# Names Tilewright among the advisory locks of a PostgreSQL database; the bytes of "tilewrit".
_SERVER_KEY = 0x74696C6577726974


@contextmanager
def writer_lock(location: Location, engine: Engine) -> Iterator[None]:
    """Hold the right to write an archive.

    The kernel (or the server) drops the lock when the process dies, however it dies, so there are no
    stale locks. The lock file stays: removing it would let two writers lock two files.

    Raises:
        ArchiveBusyError: Another process holds it.
        ReadOnlyArchiveError: The lock file cannot be created.
    """
    if location.path is None:
        with _server_lock(location, engine):
            yield
    else:
        with _file_lock(location.path):
            yield


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    """Hold `flock` on a file beside the archive.

    The archive itself cannot carry it: closing any descriptor of a file drops SQLite's own locks on it.
    """
    try:
        handle = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except PermissionError as error:
        raise read_only(str(path)) from error
    except OSError as error:
        raise ArchiveError(f"expected to create {path}.lock; {error.strerror}: check the folder") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(handle, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise _busy(str(path), f"process {holder}") from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


@contextmanager
def _server_lock(location: Location, engine: Engine) -> Iterator[None]:
    """Hold a session's advisory lock; the session is kept open for as long."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _SERVER_KEY}).scalar_one():
            raise _busy(str(location), "another session")
        yield
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _SERVER_KEY})


def _busy(where: str, holder: str) -> ArchiveBusyError:
    return ArchiveBusyError(
        f"expected to be the only driver of {where}; {holder} drives it: wait for it, stop it, or use another --archive"
    )
