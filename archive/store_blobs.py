"""Content-addressed texts and programs, and the pieces that prepared statements are made of.

Statements of the driver's every step are prepared once, at import: building one takes SQLAlchemy three
times as long as running it.
"""

import hashlib
from collections.abc import Callable

from sqlalchemy import (
    ColumnElement,
    Connection,
    Executable,
    Insert,
    Table,
    Update,
    and_,
    bindparam,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import InstrumentedAttribute

from tilewright.archive.columns import pack, unpack
from tilewright.archive.schema import Base, Blob, Program

CODEC = "zlib"

DialectInsert = sqlite.Insert | postgresql.Insert


def table_of(model: type[Base]) -> Table:
    """Return a model's table."""
    table = model.__table__
    assert isinstance(table, Table)
    return table


def adding(model: type[Base]) -> Insert:
    """Return a prepared insert of rows given as parameters."""
    return insert(table_of(model))


def changing(model: type[Base]) -> Update:
    """Return a prepared update of the columns given as parameters; needs a condition."""
    return update(table_of(model))


def upserting(model: type[Base], resolve: Callable[[DialectInsert], Executable]) -> dict[str, Executable]:
    """Return an insert that knows `on_conflict_do_*`, prepared for each dialect by its name."""
    table = table_of(model)
    return {"sqlite": resolve(sqlite.insert(table)), "postgresql": resolve(postgresql.insert(table))}


def in_scope(run_id: InstrumentedAttribute[str], task_id: InstrumentedAttribute[str]) -> ColumnElement[bool]:
    """Return the condition that a row belongs to the run's task named by parameters `of_run` and `of_task`."""
    return and_(run_id == bindparam("of_run"), task_id == bindparam("of_task"))


_FIND_PROGRAM = select(Program.sha).where(Program.sha == bindparam("of_sha"))
_ADD_PROGRAM = adding(Program)
_ADD_BLOB = upserting(Blob, lambda entry: entry.on_conflict_do_nothing())
_GET_BLOB = select(Blob.data).where(Blob.sha == bindparam("of_sha"))


def sha_of(text: str) -> str:
    """Return the name of a text: the SHA-256 of its UTF-8 bytes."""
    return hashlib.sha256(text.encode()).hexdigest()


def put_text(connection: Connection, text: str) -> str:
    """Store a text unless it is there; return its name."""
    sha, data = sha_of(text), text.encode()
    row = {"sha": sha, "text_bytes": len(data), "codec": CODEC, "data": pack(data)}
    connection.execute(_ADD_BLOB[connection.dialect.name], row)
    return sha


def get_text(connection: Connection, sha: str) -> str:
    """Return a stored text."""
    return unpack(connection.execute(_GET_BLOB, {"of_sha": sha}).scalar_one()).decode()


def put_program(connection: Connection, source: str) -> str:
    """Store a candidate's source unless it is there; return its name."""
    sha = sha_of(source)
    if connection.execute(_FIND_PROGRAM, {"of_sha": sha}).first() is None:
        put_text(connection, source)
        connection.execute(_ADD_PROGRAM, {"sha": sha, "lines": source.count("\n") + 1})
    return sha
