import pytest

from tilewright.evaluator.gpu.timing_schedule import Side, TimingBudget, count_pairs, count_sets, interleave

MIB = 1 << 20
A, B = Side.CANDIDATE, Side.BASELINE


def test_turns_come_in_blocks_that_are_their_own_mirror_image() -> None:
    order = interleave(40, seed=2)
    blocks = {order[at : at + 4] for at in range(0, 80, 4)}
    assert blocks == {(A, B, B, A), (B, A, A, B)}


def test_turns_2i_and_2i_plus_1_are_a_pair() -> None:
    order = interleave(7, seed=1)
    assert len(order) == 14
    assert all({order[at], order[at + 1]} == {A, B} for at in range(0, 14, 2))


def test_a_steady_drift_favours_neither_side() -> None:
    order = interleave(20, seed=9)
    places = {side: sum(at for at, one in enumerate(order) if one is side) for side in Side}
    assert places[A] == places[B] == sum(range(40)) / 2


def test_the_order_follows_from_the_seed_alone() -> None:
    assert interleave(30, seed=4) == interleave(30, seed=4)
    assert interleave(30, seed=4) != interleave(30, seed=5)


def test_repeats_are_the_same_for_every_candidate_that_is_not_slower() -> None:
    budget = TimingBudget.search()
    # 3 ms over turns of 120 + 120 us: 12.5 pairs
    assert {count_pairs(budget, 120, one) for one in (1, 80, 120, 200, 240)} == {12}
    # over turns of 100 + 100 us: 15, made even
    assert count_pairs(budget, 100, 100) == 16


def test_a_much_slower_candidate_gets_fewer_repeats_but_never_too_few() -> None:
    budget = TimingBudget.search()
    assert count_pairs(budget, 60, 240) == 10  # 3 ms over 300 us
    assert count_pairs(budget, 60, 1e6) == budget.fewest_pairs


def test_repeats_have_an_upper_limit() -> None:
    assert count_pairs(TimingBudget.search(), 1, 1) == TimingBudget.search().most_pairs


def test_sets_cover_twice_the_cache_and_run_long_enough() -> None:
    # 120 MiB of cache twice covered by 64 MiB each: 2; at 16 us each, 120 us take 8
    assert count_sets(64 * MIB, 60 * MIB, 16, 1 << 37) == 8
    assert count_sets(8 * MIB, 60 * MIB, 1000, 1 << 37) == 15
    assert count_sets(1 << 30, 60 * MIB, 1e4, 1 << 37) == 2


def test_several_sets_are_taken_while_a_replay_stays_short() -> None:
    assert count_sets(128 * MIB, 60 * MIB, 31, 1 << 37) == 8
    assert count_sets(96 * MIB, 60 * MIB, 172, 1 << 37) == 4  # 600 us over 172


@pytest.mark.parametrize(("free_bytes", "expected"), [(1 << 40, 64), (5 * 1024, 5), (0, 1)])
def test_sets_are_limited_by_their_number_and_by_memory(free_bytes: int, expected: int) -> None:
    assert count_sets(1024, 60 * MIB, 0.1, free_bytes) == expected


def test_a_final_budget_measures_every_baseline_again() -> None:
    assert TimingBudget.final().is_final
    assert not TimingBudget.search().is_final
