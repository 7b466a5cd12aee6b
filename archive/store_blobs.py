"""Content-addressed texts, bytes and programs."""

import hashlib

from sqlalchemy import Connection, bindparam, select

from tilewright.archive.columns import pack, unpack
from tilewright.archive.schema import Blob, Program
from tilewright.archive.statements import Upsert, adding
from tilewright.tasks.candidate import source_sha

CODEC = "zlib"

_FIND_PROGRAM = select(Program.sha).where(Program.sha == bindparam("of_sha"))
_ADD_PROGRAM = adding(Program)
_ADD_BLOB = Upsert(Blob, lambda entry: entry.on_conflict_do_nothing())
_GET_BLOB = select(Blob.data).where(Blob.sha == bindparam("of_sha"))


def put_text(connection: Connection, text: str) -> str:
    """Store a text unless it is there; return its name."""
    return put_bytes(connection, text.encode())


def get_text(connection: Connection, sha: str) -> str:
    """Return a stored text."""
    return get_bytes(connection, sha).decode()


def put_bytes(connection: Connection, data: bytes) -> str:
    """Store bytes unless they are there; return their name, the SHA-256 of them."""
    sha = hashlib.sha256(data).hexdigest()
    row = {"sha": sha, "text_bytes": len(data), "codec": CODEC, "data": pack(data)}
    connection.execute(_ADD_BLOB.within(connection), row)
    return sha


def get_bytes(connection: Connection, sha: str) -> bytes:
    """Return stored bytes."""
    return unpack(connection.execute(_GET_BLOB, {"of_sha": sha}).scalar_one())


def put_program(connection: Connection, source: str) -> str:
    """Store a candidate's source unless it is there; return its name."""
    sha = source_sha(source)
    if connection.execute(_FIND_PROGRAM, {"of_sha": sha}).first() is None:
        put_text(connection, source)
        connection.execute(_ADD_PROGRAM, {"sha": sha, "lines": source.count("\n") + 1})
    return sha
