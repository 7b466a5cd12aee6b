"""Turns a database's errors into the archive's, by their codes."""

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from sqlalchemy.exc import DBAPIError

from tilewright.archive.errors import (
    ArchiveBusyError,
    ArchiveError,
    ArchiveFullError,
    CorruptArchiveError,
    MissingArchiveError,
    NotAnArchiveError,
    ReadOnlyArchiveError,
)
from tilewright.archive.location import Location

_DAMAGED = (
    "expected a sound archive; {where} is damaged: restore a copy, or save what `sqlite3 FILE .recover` still reads"
)
_FULL = "expected room for the archive; no space is left for {where}: free some and resume, nothing is lost"
_BUSY = "expected {where} to be free within 30 s; another process keeps it locked: stop that process"
_READ_ONLY = "expected an archive that can be written; {where} is read-only: copy it elsewhere"
_FOREIGN = "expected a Tilewright archive; {where} is no SQLite database: check --archive"
_CLOSED = "expected to open {where}; it cannot be reached: check --archive, its folder or its server"

Kind = tuple[type[ArchiveError], str]

_SQLITE: dict[int, Kind] = {
    sqlite3.SQLITE_CORRUPT: (CorruptArchiveError, _DAMAGED),
    sqlite3.SQLITE_NOTADB: (NotAnArchiveError, _FOREIGN),
    sqlite3.SQLITE_FULL: (ArchiveFullError, _FULL),
    sqlite3.SQLITE_BUSY: (ArchiveBusyError, _BUSY),
    sqlite3.SQLITE_READONLY: (ReadOnlyArchiveError, _READ_ONLY),
    sqlite3.SQLITE_CANTOPEN: (MissingArchiveError, _CLOSED),
    sqlite3.SQLITE_IOERR: (CorruptArchiveError, _DAMAGED),
}
# https://www.postgresql.org/docs/current/errcodes-appendix.html; the first two characters are the class.
_POSTGRES: dict[str, Kind] = {
    "53100": (ArchiveFullError, _FULL),
    "25006": (ReadOnlyArchiveError, _READ_ONLY),
    "42501": (ReadOnlyArchiveError, _READ_ONLY),
    "XX001": (CorruptArchiveError, _DAMAGED),
    "XX002": (CorruptArchiveError, _DAMAGED),
    "08": (MissingArchiveError, _CLOSED),
    "28": (MissingArchiveError, _CLOSED),
    "3D": (MissingArchiveError, _CLOSED),
    "57": (MissingArchiveError, _CLOSED),
}


@contextmanager
def translated(location: Location) -> Iterator[None]:
    """Raise the archive's errors in place of the database's.

    Errors that are no state of the user's machine (a broken constraint, wrong SQL) are ours and pass unchanged.

    Raises:
        ArchiveError: The subclass that says what the user can do.
    """
    try:
        yield
    except DBAPIError as error:
        kind = _classify(error)
        if kind is None:
            raise
        raise kind[0](kind[1].format(where=location)) from error
    except (zlib.error, msgspec.MsgspecError) as error:
        raise CorruptArchiveError(_DAMAGED.format(where=location)) from error


def _classify(error: DBAPIError) -> Kind | None:
    """Return the archive's error and its message, or None if the error is ours."""
    original = error.orig
    if isinstance(original, sqlite3.Error):
        # The low byte is the primary code; the rest says which of its variants.
        return _SQLITE.get(getattr(original, "sqlite_errorcode", 0) & 0xFF)
    state = getattr(original, "sqlstate", None)
    if state is None:
        # psycopg reports a server that it cannot reach without a code.
        return (MissingArchiveError, _CLOSED) if error.connection_invalidated or not error.statement else None
    return _POSTGRES.get(state) or _POSTGRES.get(state[:2])
