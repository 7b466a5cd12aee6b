"""The asynchronous steady-state loop: as many steps in flight as the window allows, no generation barrier."""

import asyncio
from enum import StrEnum

from tilewright.agent.evolution import step
from tilewright.agent.search import Search
from tilewright.archive.records import Insertion


class Ending(StrEnum):
    """Why a task's search ended."""

    BUDGET = "budget spent"
    EXHAUSTED = "nothing left to try"
    INTERRUPTED = "interrupted"


async def drive(search: Search, stop: asyncio.Event) -> Ending:
    """Run steps until the budget is spent, every operator is exhausted or `stop` is set.

    Steps that `stop` cancels stay open in the archive.

    Raises:
        ArchiveError: The archive cannot be written; the other steps are cancelled and stay open.
    """
    numbers = search.numbers()
    running: set[asyncio.Task[Insertion]] = set()
    stopping = asyncio.create_task(stop.wait())
    try:
        while not stop.is_set():
            is_ending = False
            while not is_ending and len(running) < search.turns.most_in_flight(search.idle_in_a_row):
                is_ending = search.is_exhausted or search.is_spent(len(running))
                if not is_ending:
                    running.add(asyncio.create_task(step(search, next(numbers))))
            if is_ending:
                await search.turns.end_at(search.numbered)
            if not running:
                return Ending.EXHAUSTED if search.is_exhausted else Ending.BUDGET
            await asyncio.wait({*running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            done = {task for task in running if task.done()}
            running -= done
            for task in done:
                task.result()
        return Ending.INTERRUPTED
    finally:
        stopping.cancel()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
