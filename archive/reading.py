"""Reading transactions of an open archive: each sees one state."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, Engine

from tilewright.archive.location import Location
from tilewright.archive.translation import translated


class Reading:
    """An open archive that reading verbs share; closes what it was given when it is left.

    Any number of readers may look at an archive while one driver writes. Instances are not thread-safe.
    """

    def __init__(self, location: Location, engine: Engine, resources: ExitStack) -> None:
        self.location = location
        self._engine = engine
        self._resources = resources
        self._snapshot: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database and let go of the lock; closing twice is fine."""
        self._resources.close()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open one reading transaction, or join the snapshot's; for the modules of this package."""
        if self._snapshot is not None:
            yield self._snapshot
            return
        with translated(self.location), self._engine.connect() as connection:
            yield connection.execution_options(is_reading=True)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let every verb within read the same state, in one transaction. Nothing can be written meanwhile."""
        with self.reading() as connection:
            outer, self._snapshot = self._snapshot, connection
            try:
                yield
            finally:
                self._snapshot = outer
