"""Places that are given to whoever waits with the lowest rank, not to whoever came first."""

import asyncio
import heapq
import itertools
from typing import Generic, TypeVar

Place = TypeVar("Place")


class RankedPlaces(Generic[Place]):
    """Free places and those who wait for one; of equal ranks the first to come is served first.

    Not thread-safe: for one event loop, as `asyncio.Queue` is.
    """

    def __init__(self) -> None:
        self._free: list[Place] = []
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def put_nowait(self, place: Place) -> None:
        """Give a place back, and wake whoever is next."""
        self._free.append(place)
        self._wake()

    def get_nowait(self) -> Place:
        """Take a free place.

        Raises:
            asyncio.QueueEmpty: There is none.
        """
        if not self._free:
            raise asyncio.QueueEmpty
        return self._free.pop(0)

    def empty(self) -> bool:
        """Whether no place is free."""
        return not self._free

    async def get(self, rank: float = 0.0) -> Place:
        """Wait for a place.

        Args:
            rank: Lower goes first.
        """
        while not self._free:
            turn = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (rank, next(self._numbers), turn))
            try:
                await turn
            except asyncio.CancelledError:
                turn.cancel()
                self._wake()  # the place that this turn was for is the next one's
                raise
        return self.get_nowait()

    def _wake(self) -> None:
        while self._free and self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
