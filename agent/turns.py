"""When a step may look at the archive and when it may write to it.

A free-running search does both at once. A deterministic one fixes what each step sees: with a window of W,
step n chooses when exactly the steps up to n - W are in the archive, and steps are written in their order.
Then the same seed and the same answers give the same archive, whatever finishes first.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from tilewright.agent.config import RunConfig


class Turns(Protocol):
    """The order in which steps choose and commit."""

    def choosing(self, number: int) -> AbstractAsyncContextManager[None]:
        """Wait for the step's turn to look at the archive."""
        ...

    def committing(self, number: int) -> AbstractAsyncContextManager[None]:
        """Wait for the step's turn to write to it."""
        ...

    def most_in_flight(self, idle_in_a_row: int) -> int:
        """Return how many steps may be in flight after so many that found nothing to try."""
        ...

    async def end_at(self, number: int) -> None:
        """Say that no step of this number or above will be started."""
        ...


class FreeTurns:
    """No order: every step chooses and commits at once."""

    def __init__(self, *, window: int) -> None:
        self._window = window

    @asynccontextmanager
    async def choosing(self, number: int) -> AsyncIterator[None]:  # noqa: ARG002 - no order is kept
        """Enter at once."""
        yield

    @asynccontextmanager
    async def committing(self, number: int) -> AsyncIterator[None]:  # noqa: ARG002 - no order is kept
        """Enter at once."""
        yield

    def most_in_flight(self, idle_in_a_row: int) -> int:
        """Return the window, or 1 while nothing new can be tried: only a result can change that."""
        return self._window if idle_in_a_row == 0 else 1

    async def end_at(self, number: int) -> None:
        """Do nothing: no step waits for another."""


class OrderedTurns:
    """Steps choose and commit in the order of their numbers, a fixed distance apart.

    Args:
        first: Number of the first step that is not yet committed.
        window: Steps in flight at once.
    """

    def __init__(self, *, first: int, window: int) -> None:
        self._next_commit = first
        self._next_choice = first
        self._end: int | None = None
        self._window = window
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def choosing(self, number: int) -> AsyncIterator[None]:
        """Wait until every step before `number` has chosen and all up to `number - window` are committed."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: self._next_choice == number and self._next_commit > number - self._window
            )
            yield
            self._next_choice = number + 1
            self._changed.notify_all()

    @asynccontextmanager
    async def committing(self, number: int) -> AsyncIterator[None]:
        """Wait until every step before `number` is committed and all before `number + window` have chosen."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: self._next_commit == number and self._next_choice >= self._ahead(number)
            )
            yield
            self._next_commit = number + 1
            self._changed.notify_all()

    def most_in_flight(self, idle_in_a_row: int) -> int:  # noqa: ARG002 - the distance never changes
        """Return the window: a commit waits for all choices that come before it."""
        return self._window

    async def end_at(self, number: int) -> None:
        """Say that no step of this number or above will be started, so that nobody waits for its choice."""
        async with self._changed:
            self._end = number
            self._changed.notify_all()

    def _ahead(self, number: int) -> int:
        last = number + self._window
        return last if self._end is None else min(last, self._end)


def make_turns(config: RunConfig, *, first: int) -> Turns:
    """Return the order that a run was asked for; `first` is its first step that is not committed."""
    if config.is_deterministic:
        return OrderedTurns(first=first, window=config.window)
    return FreeTurns(window=config.window)
