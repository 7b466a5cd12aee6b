"""Places go to whoever waits with the lowest rank."""

import asyncio

import pytest

from tilewright.evaluator.ranked_places import RankedPlaces


def order_of(ranks: list[float], *, cancelled: int | None = None, places: int = 1) -> list[int]:
    """Return in which order waiters of some ranks, started in turn, get a place."""

    async def run() -> list[int]:
        free: RankedPlaces[str] = RankedPlaces()
        served: list[int] = []

        async def wait(number: int, rank: float) -> None:
            place = await free.get(rank)
            served.append(number)
            await asyncio.sleep(0)
            free.put_nowait(place)

        tasks = [asyncio.create_task(wait(number, rank)) for number, rank in enumerate(ranks)]
        await asyncio.sleep(0)
        if cancelled is not None:
            tasks[cancelled].cancel()
        for number in range(places):
            free.put_nowait(f"place {number}")
        await asyncio.gather(*tasks, return_exceptions=True)
        return served

    return asyncio.run(run())


def test_the_lowest_rank_is_served_first() -> None:
    assert order_of([3.0, 1.0, 2.0]) == [1, 2, 0]


def test_of_equal_ranks_the_first_to_come_is_served_first() -> None:
    assert order_of([0.0, 0.0, -1.0, 0.0]) == [2, 0, 1, 3]


def test_whoever_gives_up_passes_its_turn_on() -> None:
    assert order_of([2.0, 1.0, 3.0], cancelled=1) == [0, 2]


def test_two_places_serve_two_at_once() -> None:
    assert sorted(order_of([1.0, 2.0], places=2)) == [0, 1]


def test_a_free_place_is_given_at_once() -> None:
    free: RankedPlaces[int] = RankedPlaces()
    free.put_nowait(7)
    assert not free.empty()
    assert asyncio.run(free.get()) == 7
    with pytest.raises(asyncio.QueueEmpty):
        free.get_nowait()
