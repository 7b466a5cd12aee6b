"""The pieces that prepared statements are made of.

Statements of the driver's every step are prepared once: building one takes SQLAlchemy three times as long as
running it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, Connection, Executable, Insert, Table, Update, and_, bindparam, insert, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.orm import InstrumentedAttribute

from tilewright.archive.schema import Base

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql


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


class Upsert:
    """An insert that knows `on_conflict_do_*`, prepared for a dialect when it is first run there."""

    def __init__(self, model: type[Base], resolve: Callable[["sqlite.Insert | postgresql.Insert"], Executable]) -> None:
        self._table = table_of(model)
        self._resolve = resolve
        self._prepared: dict[str, Executable] = {}

    def within(self, connection: Connection) -> Executable:
        """Return the statement in the dialect of a connection."""
        name = connection.dialect.name
        if name not in self._prepared:
            self._prepared[name] = self._resolve(self._begin(name))
        return self._prepared[name]

    def _begin(self, name: str) -> "sqlite.Insert | postgresql.Insert":
        if name == "sqlite":
            return sqlite.insert(self._table)
        # Its drivers take a twentieth of a second to import, which readers of files need not spend.
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(self._table)


def in_scope(run_id: InstrumentedAttribute[str], task_id: InstrumentedAttribute[str]) -> ColumnElement[bool]:
    """Return the condition that a row belongs to the run's task named by parameters `of_run` and `of_task`."""
    return and_(run_id == bindparam("of_run"), task_id == bindparam("of_task"))
