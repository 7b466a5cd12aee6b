"""Sums of work while programs are walked, and made-up memory that adds to them."""

import time

import numpy as np

from tilewright.sandbox.bounds import Addresses, Combine, Mask
from tilewright.sandbox.shims_numeric import Values

_SECTOR_SHIFT = np.uint64(5)
# Sectors that span less than this are told apart by a table of flags, others by sorting.
_MOST_FLAGS = 1 << 20
_ZEROS = np.zeros(16, dtype=np.uint8)


class BudgetSpentError(Exception):
    """Walking one launch took longer than it may."""


class Tally:
    """Work counted so far.

    Attributes:
        amounts: Sums by the names of `LaunchCount`'s fields.
        dot_dtype: Operand type of the last product, or empty.
        is_extrapolated: Whether a loop was cut short and scaled.
    """

    def __init__(self) -> None:
        self.amounts: dict[str, float] = {}
        self.dot_dtype = ""
        self.is_extrapolated = False

    def add(self, name: str, amount: float) -> None:
        """Add to one sum."""
        self.amounts[name] = self.amounts.get(name, 0.0) + amount

    def scale_since(self, before: dict[str, float], factor: float) -> None:
        """Multiply what came after a copy of `amounts` was taken."""
        for name, amount in self.amounts.items():
            known = before.get(name, 0.0)
            self.amounts[name] = known + (amount - known) * factor
        self.is_extrapolated = True


class Budget:
    """Seconds that walking one launch may take: loops are cut short after half, everything stops at the end."""

    def __init__(self, seconds: float) -> None:
        self._start = time.monotonic()
        self._seconds = seconds

    @property
    def spent(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start

    @property
    def is_half_spent(self) -> bool:
        """Whether loops should be cut short."""
        return self.spent > self._seconds / 2

    def check(self) -> None:
        """Raise BudgetSpentError if nothing is left."""
        if self.spent > self._seconds:
            raise BudgetSpentError


class CountingMemory:
    """Counts the bytes and sectors of each access; loads give zero and nothing is kept."""

    def __init__(self, tally: Tally, budget: Budget) -> None:
        self._tally = tally
        self._budget = budget

    def load(
        self, addresses: Addresses, mask: Mask | None, _other: Values | None, dtype: np.dtype[np.generic]
    ) -> Values:
        """Count a load and return zeros, masked lanes included."""
        self._tally.add("load_calls", 1)
        self._count("load", addresses, mask, dtype.itemsize)
        return zeros(addresses.shape, dtype)

    def store(self, addresses: Addresses, values: Values, mask: Mask | None) -> None:
        """Count a store."""
        self._count("store", addresses, mask, values.dtype.itemsize)

    def update(self, addresses: Addresses, values: Values, mask: Mask | None, _combine: Combine) -> Values:
        """Count atomic operations and return zeros."""
        self._budget.check()
        active = addresses.size if mask is None else int(np.count_nonzero(np.broadcast_to(mask, addresses.shape)))
        self._tally.add("atomic_operations", active)
        return zeros(addresses.shape, values.dtype)

    def _count(self, kind: str, addresses: Addresses, mask: Mask | None, size: int) -> None:
        self._budget.check()
        if mask is not None and not mask.all():
            addresses = addresses[np.broadcast_to(mask, addresses.shape)]
        self._tally.add(f"{kind}_bytes", addresses.size * size)
        self._tally.add(f"{kind}_sectors", _count_sectors(addresses))


def zeros(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Values:
    """Return zeros that take no memory: every element is the same one."""
    return spread(_ZEROS.view(dtype)[:1], shape)


def spread(value: Values, shape: tuple[int, ...]) -> Values:
    """Return an array of one element as an array of any shape, not copied."""
    array: Values = np.ndarray(shape, value.dtype, value, 0, (0,) * len(shape))
    return array


def is_uniform(array: Values) -> bool:
    """Return whether all elements are one element in memory."""
    return array.size == 1 or not any(array.strides)


def _count_sectors(addresses: Addresses) -> int:
    """Return how many distinct 32-byte sectors one access touches."""
    if not addresses.size:
        return 0
    sectors = addresses.reshape(-1) >> _SECTOR_SHIFT
    low = sectors.min()
    span = int(sectors.max() - low) + 1
    if span > _MOST_FLAGS:
        return int(np.unique(sectors).size)
    flags = np.zeros(span, dtype=bool)
    flags[(sectors - low).view(np.int64)] = True
    return int(np.count_nonzero(flags))
