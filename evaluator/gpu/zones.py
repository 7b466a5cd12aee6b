"""One look at the red zones of many blocks."""

from collections.abc import Sequence

import torch

from tilewright.evaluator.gpu.arena import Block


def find_damage(blocks: Sequence[Block]) -> int | None:
    """Return the index of the first block whose red zones are not as they were filled; waits for the device once."""
    zones = [block.zones() for block in blocks]
    fills = sorted({byte for _, _, byte in zones})
    flags = [_is_damaged([zone for zone in zones if zone[2] == byte], byte) for byte in fills]
    if not flags or not bool(torch.stack(flags).any()):
        return None
    return next(index for index, block in enumerate(blocks) if block.red_zone_damage() is not None)


def _is_damaged(zones: list[tuple[torch.Tensor, torch.Tensor, int]], byte: int) -> torch.Tensor:
    """Return a flag on the device: whether any zone holds another byte. Few launches for any number of zones."""
    # a zone before starts and ends at multiples of 16 bytes, one after starts anywhere
    word = int.from_bytes(bytes([byte]) * 8, "little", signed=True)
    before = torch.cat([zone.view(torch.int64) for zone, _, _ in zones])
    after = torch.cat([zone for _, zone, _ in zones])
    return (before != word).any() | (after != byte).any()
