import asyncio
import random

from tilewright.agent.turns import FreeTurns, OrderedTurns


async def _run(first: int, last: int, window: int, seed: int) -> tuple[list[int], dict[int, int]]:
    """Run steps that take random time; return the commit order and what each step saw when it chose."""
    turns = OrderedTurns(first=first, window=window)
    shuffle = random.Random(seed)
    committed: list[int] = []
    seen: dict[int, int] = {}

    async def one(number: int) -> None:
        async with turns.choosing(number):
            seen[number] = len(committed)
        for _ in range(shuffle.randrange(20)):
            await asyncio.sleep(0)
        async with turns.committing(number):
            committed.append(number)

    running: set[asyncio.Task[None]] = set()
    for number in range(first, last):
        running.add(asyncio.create_task(one(number)))
        if len(running) == window:
            _, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    await turns.end_at(last)
    await asyncio.gather(*running)
    return committed, seen


def test_ordered_steps_commit_in_order_and_see_what_the_window_says_whatever_finishes_first() -> None:
    for seed in range(10):
        committed, seen = asyncio.run(_run(3, 30, 4, seed))
        assert committed == list(range(3, 30))
        assert seen == {number: max(number - 3 - 3, 0) for number in range(3, 30)}


def test_free_steps_never_wait() -> None:
    async def scenario() -> int:
        turns = FreeTurns(window=2)
        async with turns.committing(7), turns.choosing(0):
            return turns.most_in_flight(0)

    assert asyncio.run(scenario()) == 2


def test_free_steps_go_one_at_a_time_while_there_is_nothing_to_try() -> None:
    assert FreeTurns(window=4).most_in_flight(idle_in_a_row=1) == 1
