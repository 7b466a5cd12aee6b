"""Blocks of device memory: apart from each other, guarded, reused, and never more than the device has."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch

from tilewright.evaluator.gpu.arena import ALIGNMENT, Arena, ArenaFullError
from tilewright.evaluator.gpu.zones import find_damage

pytestmark = pytest.mark.gpu


@pytest.fixture
def arena() -> Iterator[Arena]:
    with Arena(seed=3) as one:
        yield one


def test_a_block_is_aligned_filled_and_of_its_size(arena: Arena) -> None:
    block = arena.take(1001)
    assert block.address % ALIGNMENT == 0
    assert block.bytes().tolist() == [0xFF] * 1001


@pytest.mark.parametrize("nbytes", [1, 16, 1000, 1 << 21])
def test_no_memory_follows_a_tight_block(arena: Arena, nbytes: int) -> None:
    block = arena.take(nbytes, is_tight=True)
    before, after, _ = block.zones()
    assert block.address % 16 == 0
    assert after.numel() < 16
    assert before.numel() > 0
    assert block.red_zone_damage() is None


def test_blocks_lie_a_gigabyte_apart(arena: Arena) -> None:
    addresses = sorted(arena.take(100).address for _ in range(20))
    assert min(b - a for a, b in pairwise(addresses)) > 1 << 30


def test_addresses_are_other_ones_in_another_arena(arena: Arena) -> None:
    with Arena() as other:
        assert arena.take(100).address != other.take(100).address


@pytest.mark.parametrize(("place", "offset"), [(0, -1), (1, 5000)])
def test_one_byte_in_a_red_zone_is_damage(arena: Arena, place: int, offset: int) -> None:
    block = arena.take(5000)
    zone = block.zones()[place]
    zone[-1 if place == 0 else 0] = 0
    assert block.red_zone_damage() == offset
    assert arena.check() is block
    assert find_damage([arena.take(10), block]) == 1


def test_red_zones_may_be_filled_with_another_byte(arena: Arena) -> None:
    block = arena.take(5000)
    block.guard(0x7F)
    assert block.red_zone_damage() is None
    assert find_damage([block]) is None
    assert block.bytes().unique().tolist() == [0xFF]


def test_a_released_block_is_used_again_with_nothing_of_it_left(arena: Arena) -> None:
    block = arena.take(5000)
    block.fill(1)
    arena.release(block)
    held = arena.mapped_bytes
    assert arena.take(5001).bytes().unique().tolist() == [0xFF]
    assert arena.mapped_bytes == held


def test_a_tensor_shares_the_blocks_memory(arena: Arena) -> None:
    block = arena.take(4 * 100)
    view = block.as_tensor(torch.float32, (9, 5), (10, 2), 3)
    view.fill_(1.0)
    flat = block.as_tensor(torch.float32, (100,), (1,))
    assert int((flat == 1).sum()) == 45
    assert float(flat[3]) == 1.0


def test_a_tensor_beyond_the_block_is_refused(arena: Arena) -> None:
    with pytest.raises(ValueError, match="expected a tensor within 400 bytes; it ends at byte 404"):
        arena.take(400).as_tensor(torch.float32, (100,), (1,), 1)


def test_more_than_the_device_has_is_said_and_kept_memory_is_given_back_first(arena: Arena) -> None:
    free, _ = torch.cuda.mem_get_info()
    arena.release(arena.take(free // 2))
    arena.release(arena.take(free // 3 * 2))
    with pytest.raises(ArenaFullError, match=r"expected [0-9]+ bytes of free device memory"):
        arena.take(2 * free)


def test_fingerprints_tell_any_changed_byte(arena: Arena) -> None:
    block = arena.take(80_003)
    before = arena.fingerprints.take((block.bytes(),))
    for place in (0, 40_000, 80_002):
        block.bytes()[place] = 7
        assert int(arena.fingerprints.take((block.bytes(),))) != int(before)
        block.bytes()[place] = 0xFF
    assert int(arena.fingerprints.take((block.bytes(),))) == int(before)


def test_fingerprints_tell_exchanged_stretches_of_large_memory(arena: Arena) -> None:
    block = arena.take(160 << 20)
    halves = block.bytes().view(torch.int64)
    halves[1], halves[(8 << 20) + 1] = 3, 4
    before = int(arena.fingerprints.take((block.bytes(),)))
    halves[1], halves[(8 << 20) + 1] = 4, 3
    assert int(arena.fingerprints.take((block.bytes(),))) != before
