"""Where an archive lies: a SQLite file, or a PostgreSQL database by URL."""

import os
import sqlite3
from pathlib import Path

import msgspec
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from tilewright.archive.errors import ArchiveError, MissingArchiveError, NotAnArchiveError, ReadOnlyArchiveError

_BUSY_S = 30.0  # how long to wait for another process's transaction


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """Where an archive lies.

    Attributes:
        path: The SQLite file; None for a server.
        url: The server's URL; None for a file.
    """

    path: Path | None = None
    url: URL | None = None

    def __str__(self) -> str:
        """The path, or the URL without its password."""
        return str(self.path) if self.url is None else self.url.render_as_string(hide_password=True)


def parse_location(location: str | Path) -> Location:
    """Return where a path or URL points.

    Raises:
        ArchiveError: The URL is malformed or names a database that is not supported.
    """
    if isinstance(location, Path) or "://" not in location:
        return Location(path=Path(location))
    try:
        url = make_url(location)
    except ArgumentError as error:
        raise ArchiveError(f"expected a file or a URL such as postgresql://host/database; got {location!r}") from error
    backend = url.get_backend_name()
    if backend == "sqlite" and url.database:
        return Location(path=Path(url.database))
    if backend not in {"postgresql", "postgres"}:
        raise ArchiveError(f"expected a SQLite file or a postgresql:// URL; got {backend}://")
    return Location(url=url.set(drivername="postgresql+psycopg"))


def check_file(path: Path, *, writable: bool) -> None:
    """Refuse a file that cannot be opened, before a database is made of it.

    Raises:
        MissingArchiveError: It, or the folder to create it in, does not exist.
        NotAnArchiveError: It is a folder.
        ReadOnlyArchiveError: It is to be written and cannot be.
    """
    if path.is_dir():
        raise NotAnArchiveError(f"expected an archive file; {path} is a folder: name a file in it")
    if not path.exists():
        if not writable:
            raise MissingArchiveError(f"expected an archive at {path}; there is no such file: check --archive")
        if not path.absolute().parent.is_dir():
            raise MissingArchiveError(f"expected a folder to create {path} in; there is none: create it first")
        return
    if writable and not os.access(path, os.W_OK, effective_ids=True):
        raise read_only(str(path))


def read_only(where: str) -> ReadOnlyArchiveError:
    """Return the error for a location that cannot be written."""
    return ReadOnlyArchiveError(f"expected an archive that can be written; {where} is read-only: copy it elsewhere")


def make_engine(location: Location, *, writable: bool, survives_power_loss: bool) -> Engine:
    """Return an engine whose transactions are immediate when they write.

    Args:
        location: The file or server.
        writable: Whether transactions may change anything.
        survives_power_loss: Whether each commit waits for the disk. Without it a killed process
            loses nothing either, but a power cut may lose the last commits.
    """
    if location.path is None:
        return _server_engine(location, writable=writable)
    uri = _file_uri(location.path, writable=writable)

    def connect() -> sqlite3.Connection:
        # Transactions are begun by the listener below, so sqlite3's own are off (isolation_level None).
        return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_BUSY_S, check_same_thread=False)

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool)

    def begin(connection: Connection) -> None:
        is_reading = not writable or connection.get_execution_options().get("is_reading", False)
        connection.exec_driver_sql("BEGIN" if is_reading else "BEGIN IMMEDIATE")

    event.listen(engine, "begin", begin)

    def configure(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:  # noqa: ARG001 - SQLAlchemy's signature
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys = ON")
        if writable:
            cursor.execute(f"PRAGMA synchronous = {'FULL' if survives_power_loss else 'NORMAL'}")
        cursor.close()

    event.listen(engine, "connect", configure)
    return engine


def keep_log(engine: Engine) -> None:
    """Have SQLite write ahead into a log from now on, so that readers and the driver never wait for each other.

    The mode stays with the file, so it is set only once the file is known to be an archive.
    """
    if engine.dialect.name == "sqlite":
        connection = engine.raw_connection()
        try:
            connection.cursor().execute("PRAGMA journal_mode = WAL")
        finally:
            connection.close()


def _file_uri(path: Path, *, writable: bool) -> str:
    """Return SQLite's URI of a file."""
    uri = path.absolute().as_uri()
    if writable:
        return f"{uri}?mode=rwc"
    # A reader of a WAL file needs the folder for its shared index; on a read-only medium nobody can be writing.
    has_log = Path(f"{path}-wal").exists()
    can_share = os.access(path.absolute().parent, os.W_OK, effective_ids=True)
    return f"{uri}?mode=ro" if has_log or can_share else f"{uri}?mode=ro&immutable=1"


def _server_engine(location: Location, *, writable: bool) -> Engine:
    """Return an engine for a PostgreSQL server.

    Raises:
        ArchiveError: The driver is not installed.
    """
    assert location.url is not None
    options = {} if writable else {"options": "-c default_transaction_read_only=on"}
    try:
        # a verb's statements see one state, as in a file
        return create_engine(location.url, connect_args=options, isolation_level="REPEATABLE READ")
    except (ImportError, NoSuchModuleError) as error:
        message = "expected the PostgreSQL driver for this --archive; it is missing: pip install 'psycopg[binary]'"
        raise ArchiveError(message) from error
