"""Device memory for replays: blocks at random addresses, red zones around each, nothing mapped beyond.

A kernel may compute any address. Within a block's red zones a write is seen afterwards and a read gives the fill byte
(NaN by default); beyond them lies at least a gigabyte with nothing behind it, where any access ends the context.
torch's own allocations, and with them every expected answer, lie outside of the arena's reserved addresses.
"""

import random
from collections import defaultdict
from types import TracebackType
from typing import Self

import torch

from tilewright.evaluator.gpu.device_memory import (
    Mapping,
    free_addresses,
    granularity,
    map_memory,
    reserve_addresses,
    unmap_memory,
)
from tilewright.evaluator.gpu.driver import DriverError, fill, open_device, synchronize
from tilewright.evaluator.gpu.fingerprints import Fingerprints

FRESH = 0xFF  # fills new blocks and their red zones: NaN in every floating type
ALIGNMENT = 512  # of every block's start: what torch's allocator promises
_LEAST_ALIGNMENT = 16  # of a tight block: what Triton specialises pointers on, and what tensor descriptors need
_ZONE_BYTES = 16 << 10  # least red zone on either side
_GAP_BYTES = 1 << 30
_SPACES = (1 << 44, 1 << 42, 1 << 40, 1 << 38)  # sizes of the reserved range, tried in this order
_USABLE_SHARE = 0.8  # of a device's memory; contexts, libraries and whatever the judge keeps need the rest
_NO_MEMORY = "CUDA_ERROR_OUT_OF_MEMORY"


class ArenaFullError(Exception):
    """The device has too little free memory, or the arena too few free addresses, for a block."""


class _Span:
    """Memory as torch takes it from other libraries."""

    def __init__(self, address: int, count: int) -> None:
        self.__cuda_array_interface__ = {
            "shape": (count,), "typestr": "|u1", "data": (address, False), "strides": None, "version": 3,
        }  # fmt: skip


class Block:
    """A buffer of the device with red zones around it.

    Attributes:
        address: Where it starts; a multiple of 512, or of 16 if it is tight.
        nbytes: Its size.
    """

    __slots__ = ("_fill", "_mapping", "_whole", "address", "nbytes")

    def __init__(self, mapping: Mapping, whole: torch.Tensor, nbytes: int, *, is_tight: bool) -> None:
        self._mapping = mapping
        self._whole = whole
        self._fill = -1
        zone, alignment = (0, _LEAST_ALIGNMENT) if is_tight else (_ZONE_BYTES, ALIGNMENT)
        last = mapping.address + mapping.bytes - zone - nbytes
        # near the end of what is mapped: running past the end meets unmapped addresses soon
        self.address = last // alignment * alignment
        self.nbytes = nbytes

    @property
    def _offset(self) -> int:
        return self.address - self._mapping.address

    def bytes(self) -> torch.Tensor:
        """Return the block as a flat uint8 tensor that shares its memory."""
        return self._whole[self._offset : self._offset + self.nbytes]

    def as_tensor(
        self, dtype: torch.dtype, shape: tuple[int, ...], strides: tuple[int, ...], offset_elements: int = 0
    ) -> torch.Tensor:
        """Return a tensor of this layout that shares the block's memory.

        Raises:
            ValueError: It would not lie within the block.
        """
        last = offset_elements + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
        end = (last + 1) * dtype.itemsize if 0 not in shape else offset_elements * dtype.itemsize
        if min((offset_elements, *strides)) < 0 or end > self.nbytes:
            raise ValueError(f"expected a tensor within {self.nbytes} bytes; it ends at byte {end}")
        whole = self.nbytes // dtype.itemsize * dtype.itemsize
        flat = self.bytes()[:whole].view(dtype)
        # as_strided counts from the start of what is mapped
        return flat.as_strided(shape, strides, flat.storage_offset() + offset_elements)

    def fill(self, byte: int, stream: int = 0) -> None:
        """Enqueue filling the block, red zones left alone."""
        fill(self.address, byte, self.nbytes, stream)

    def guard(self, byte: int, stream: int = 0) -> None:
        """Enqueue filling the red zones; later checks expect this byte."""
        before, after = self._offset, self.address + self.nbytes
        fill(self._mapping.address, byte, before, stream)
        fill(after, byte, self._mapping.address + self._mapping.bytes - after, stream)
        self._fill = byte

    def zones(self) -> tuple[torch.Tensor, torch.Tensor, int]:
        """Return the red zones before and after the block as flat uint8 tensors, and the byte that fills them."""
        return self._whole[: self._offset], self._whole[self._offset + self.nbytes :], self._fill

    def red_zone_damage(self) -> int | None:
        """Return the offset from the block's start of a damaged byte, the nearest to the block; None if all is well."""
        before, after, byte = self.zones()
        damaged = (before != byte).nonzero()
        if damaged.numel():
            return int(damaged[-1].item()) - self._offset
        damaged = (after != byte).nonzero()
        return self.nbytes + int(damaged[0].item()) if damaged.numel() else None


class Arena:
    """A pool of blocks on one device; opens the device's context, which is torch's.

    Attributes:
        device: Index of the device.
        fingerprints: Tell whether memory changed; one object for all, since its weights take memory.

    Args:
        device: Index of the device.
        seed: Of the addresses, for tests; drawn from the system by default.

    Raises:
        CudaMissingError: There is no such device.
        DriverError: The driver reserves no addresses.
    """

    def __init__(self, device: int = 0, seed: int | None = None) -> None:
        open_device(device)
        torch.cuda.set_device(device)
        self.device = device
        self.fingerprints = Fingerprints(device)
        self._random = random.SystemRandom() if seed is None else random.Random(seed)
        self._page = granularity(device)
        self._start, self._size = _reserve()
        self._taken: dict[int, tuple[Block, Mapping]] = {}
        self._free: defaultdict[int, list[tuple[Mapping, torch.Tensor]]] = defaultdict(list)
        self._places: list[tuple[int, int]] = []

    def __enter__(self) -> Self:
        """Return the arena itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give all memory back."""
        self.close()

    @property
    def mapped_bytes(self) -> int:
        """Device memory that the arena holds, in blocks or kept for the next ones."""
        return sum(count for _, count in self._places)

    def take(self, nbytes: int, *, is_tight: bool = False) -> Block:
        """Return a block of its own memory, every byte 0xFF.

        Args:
            nbytes: Its size.
            is_tight: Whether mapped memory ends within 15 bytes of the block's end, so that no read beyond it lands
                in a red zone, where it would go unseen.

        Raises:
            ArenaFullError: There is no memory left, not even after giving kept blocks back.
        """
        count = -(-(nbytes + 2 * _ZONE_BYTES + ALIGNMENT) // self._page) * self._page
        mapping, whole = self._free[count].pop() if self._free[count] else self._map(count)
        block = Block(mapping, whole, nbytes, is_tight=is_tight)
        self._taken[block.address] = block, mapping
        block.guard(FRESH)
        block.fill(FRESH)
        return block

    def release(self, block: Block) -> None:
        """Take a block back; its memory is kept for the next one of its size.

        Raises:
            KeyError: It was not taken, or was released before.
        """
        _, mapping = self._taken.pop(block.address)
        self._free[mapping.bytes].append((mapping, block._whole))

    def could_hold(self, nbytes: int) -> bool:
        """Return whether an otherwise empty device of this size would have room for so many bytes."""
        _, total = torch.cuda.mem_get_info(self.device)
        return nbytes <= _USABLE_SHARE * total

    def check(self) -> Block | None:
        """Return a taken block whose red zones are damaged, or None."""
        return next((block for block, _ in self._taken.values() if block.red_zone_damage() is not None), None)

    def trim(self) -> None:
        """Give kept memory back to the device."""
        synchronize()
        for kept in self._free.values():
            while kept:
                mapping, _ = kept.pop()
                unmap_memory(mapping)
                self._places.remove((mapping.address, mapping.bytes))

    def close(self) -> None:
        """Give all memory and addresses back; blocks and their tensors are gone."""
        for block, _ in tuple(self._taken.values()):
            self.release(block)
        self.trim()
        if self._size:
            free_addresses(self._start, self._size)
            self._size = 0

    def _map(self, count: int) -> tuple[Mapping, torch.Tensor]:
        address = self._place(count)
        try:
            mapping = self._map_at(address, count)
        except DriverError as error:
            if error.name != _NO_MEMORY:
                raise
            raise ArenaFullError(f"expected {count} bytes of free device memory; {error}") from error
        self._places.append((address, count))
        return mapping, torch.as_tensor(_Span(address, count), device=torch.device("cuda", self.device))

    def _map_at(self, address: int, count: int) -> Mapping:
        """Map memory; what the arena and torch only keep is given back first if there is too little."""
        try:
            return map_memory(self.device, address, count)
        except DriverError as error:
            if error.name != _NO_MEMORY:
                raise
        self.trim()
        torch.cuda.empty_cache()
        return map_memory(self.device, address, count)

    def _place(self, count: int) -> int:
        """Draw an address with nothing mapped within a gigabyte on either side."""
        pages = (self._size - count - 2 * _GAP_BYTES) // self._page
        for _ in range(10_000):
            address = self._start + _GAP_BYTES + self._random.randrange(max(1, pages)) * self._page
            low, high = address - _GAP_BYTES, address + count + _GAP_BYTES
            if pages > 0 and all(high <= place or place + size <= low for place, size in self._places):
                return address
        raise ArenaFullError(f"expected free addresses for {count} bytes among {self._size}; all are taken")


def _reserve() -> tuple[int, int]:
    """Reserve as wide a range of addresses as the driver gives."""
    for size in _SPACES[:-1]:
        try:
            return reserve_addresses(size), size
        except DriverError:
            continue
    return reserve_addresses(_SPACES[-1]), _SPACES[-1]
