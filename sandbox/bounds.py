"""Device memory for the interpreter: made-up addresses, every access checked before memory is touched."""

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from tilewright.sandbox.plan import Buffer, BufferOrigin
from tilewright.sandbox.shims_numeric import Values

_Element = TypeVar("_Element", bound=np.generic)

Addresses = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]
Lanes = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
# Takes the old values and the lanes that they belong to, gives the new values.
Combine = Callable[[Values, Lanes], Values]

# Buffers lie this far apart, so an address that is off by less than half a terabyte still names its buffer.
_REGION_BITS = 40
_REGION = 1 << _REGION_BITS
# Backing arrays are a little longer than the buffer, so that they can be viewed as any element type.
_PADDING = 16


class OutOfBoundsError(Exception):
    """A kernel touched memory outside the buffers that it was given."""


class Access(msgspec.Struct, frozen=True):
    """One checked group of addresses: a buffer and the elements inside it."""

    buffer: int
    elements: Lanes


class Memory(Protocol):
    """What the interpreter asks of device memory; addresses are those of unmasked and masked lanes alike."""

    def load(
        self, addresses: Addresses, mask: Mask | None, other: Values | None, dtype: np.dtype[np.generic]
    ) -> Values:
        """Return the values at the addresses; `other`, or zero, where masked off."""

    def store(self, addresses: Addresses, values: Values, mask: Mask | None) -> None:
        """Write values to the addresses of unmasked lanes."""

    def update(self, addresses: Addresses, values: Values, mask: Mask | None, combine: Combine) -> Values:
        """Replace each value atomically by what `combine` makes of it; return the old ones."""


def base_address(buffer: int) -> int:
    """Return the made-up address of a buffer's first byte; the same in every plan."""
    return (buffer + 1) << _REGION_BITS


class CheckedMemory:
    """The buffers of one plan, filled before the first step.

    Attributes:
        notes: What is worth knowing but is no fault, such as reads of bytes that nothing wrote.
    """

    def __init__(self, buffers: tuple[Buffer, ...], contents: dict[int, bytes], poison: int) -> None:
        """Fill inputs and parameters with their contents (by buffer index) and all else with the poison byte."""
        self._buffers = buffers
        self._contents = contents
        self._bytes = tuple(_filled(buffer, contents.get(buffer.index), poison) for buffer in buffers)
        # 0xFF where a byte holds a value; None once the whole buffer does, which is most of the time.
        self._written: list[Bytes | None] = [
            None if buffer.origin is not BufferOrigin.SCRATCH else np.zeros(len(data), dtype=np.uint8)
            for buffer, data in zip(buffers, self._bytes, strict=True)
        ]
        self._parameters: dict[int, str] = {}
        self._kernel = ""
        self.notes: dict[str, None] = {}

    def enter(self, kernel: str, parameters: dict[int, str]) -> None:
        """Start a launch that was given these buffers, each with the name of the kernel's parameter."""
        self._kernel = kernel
        self._parameters = parameters
        for index, written in enumerate(self._written):
            if written is not None and written[: self._buffers[index].bytes].all():
                self._written[index] = None

    def bytes_of(self, buffer: int) -> Bytes:
        """Return the bytes of a buffer, some padding included; writing to them is seen by kernels."""
        return self._bytes[buffer]

    def marks_of(self, buffer: int) -> Bytes | None:
        """Return 0xFF for each byte that was written and 0 elsewhere, or None if every byte holds a value."""
        return self._written[buffer]

    def changed(self) -> tuple[str, ...]:
        """Return the names of inputs and parameters that differ from what they were filled with."""
        return tuple(
            self._buffers[index].name
            for index, original in self._contents.items()
            if self._bytes[index][: self._buffers[index].bytes].tobytes() != original[: self._buffers[index].bytes]
        )

    def load(
        self, addresses: Addresses, mask: Mask | None, other: Values | None, dtype: np.dtype[np.generic]
    ) -> Values:
        """Return the values at the addresses; `other`, or zero, where masked off."""
        if mask is None or mask.all():
            return self._gather(addresses, dtype)
        values: Values = np.zeros(addresses.shape, dtype=dtype)
        if other is not None:
            values[...] = other
        mask = _spread(mask, addresses.shape)
        chosen = addresses[mask]
        if chosen.size:
            values[mask] = self._gather(chosen, dtype)
        return values

    def store(self, addresses: Addresses, values: Values, mask: Mask | None) -> None:
        """Write values to the addresses of unmasked lanes."""
        values = _spread(values, addresses.shape)
        if mask is not None and not mask.all():
            mask = _spread(mask, addresses.shape)
            addresses, values = addresses[mask], values[mask]
        if not addresses.size:
            return
        size = values.dtype.itemsize
        for lanes, access in self._locate(addresses, size, "writes"):
            self._bytes[access.buffer].view(values.dtype)[access.elements] = values if lanes is None else values[lanes]
            self._mark(access, size)

    def update(self, addresses: Addresses, values: Values, mask: Mask | None, combine: Combine) -> Values:
        """Replace each value atomically by what `combine` makes of it; return the old ones."""
        old = np.zeros(addresses.shape, dtype=values.dtype).reshape(-1)
        lanes = np.arange(addresses.size)
        if mask is not None:
            lanes = lanes[np.broadcast_to(mask, addresses.shape).reshape(-1)]
        flat = addresses.reshape(-1)
        # Lanes that meet at one address take turns: the first of each address, then the second, and so on.
        while lanes.size:
            turn = np.sort(np.unique(flat[lanes], return_index=True)[1])
            now, lanes = lanes[turn], np.delete(lanes, turn)
            old[now] = self._gather(flat[now], values.dtype)
            self.store(flat[now], combine(old[now], now), None)
        return old.reshape(addresses.shape)

    def _gather(self, addresses: Addresses, dtype: np.dtype[np.generic]) -> Values:
        parts = list(self._locate(addresses, dtype.itemsize, "reads"))
        if parts[0][0] is None:
            return self._read(parts[0][1], dtype)
        values: Values = np.empty(addresses.shape, dtype=dtype)
        for lanes, access in parts:
            values[lanes] = self._read(access, dtype)
        return values

    def _read(self, access: Access, dtype: np.dtype[np.generic]) -> Values:
        written = self._written[access.buffer]
        if written is not None:
            marks = written.view(f"u{dtype.itemsize}")[access.elements]
            if not (marks == np.iinfo(marks.dtype).max).all():
                name = self._buffers[access.buffer].name
                self.notes[f"kernel `{self._kernel}` reads bytes of `{name}` that nothing wrote"] = None
        values: Values = self._bytes[access.buffer].view(dtype)[access.elements]
        return values

    def _mark(self, access: Access, size: int) -> None:
        written = self._written[access.buffer]
        if written is not None:
            marks = written.view(f"u{size}")
            marks[access.elements] = np.iinfo(marks.dtype).max

    def _locate(self, addresses: Addresses, size: int, verb: str) -> Iterable[tuple[Mask | None, Access]]:
        """Return the elements that addresses stand for, grouped by buffer (a None mask: all in one)."""
        low, high = int(addresses.min()), int(addresses.max())
        buffer = (low >> _REGION_BITS) - 1
        inside = buffer in self._parameters and high + size <= base_address(buffer) + self._buffers[buffer].bytes
        if size > 1 and int(np.bitwise_or.reduce(addresses, axis=None)) & (size - 1):
            raise OutOfBoundsError(self._misaligned(addresses, size, verb))
        if inside:
            return [(None, self._access(addresses, buffer, size))]
        if low >> _REGION_BITS == high >> _REGION_BITS:
            raise OutOfBoundsError(self._outside(addresses, size, verb))
        regions = addresses >> np.uint64(_REGION_BITS)
        groups = [regions == region for region in np.unique(regions)]
        checked = [next(iter(self._locate(addresses[group], size, verb)))[1] for group in groups]
        return list(zip(groups, checked, strict=True))

    def _access(self, addresses: Addresses, buffer: int, size: int) -> Access:
        offsets = addresses - np.uint64(base_address(buffer))
        return Access(buffer, (offsets >> np.uint64(size.bit_length() - 1)).view(np.int64))

    def _outside(self, addresses: Addresses, size: int, verb: str) -> str:
        """Say which buffer the worst address is nearest to and how far it lies from it."""
        low, high = int(addresses.min()), int(addresses.max())
        index = ((low + _REGION // 2) >> _REGION_BITS) - 1
        if index not in self._parameters:
            return f"{verb} {addresses.size} elements at addresses that belong to none of its pointer arguments"
        buffer, base = self._buffers[index], base_address(index)
        below, above = base - low, high + size - base - buffer.bytes
        distance = f"{below} bytes before its start" if below > 0 else f"{above} bytes past its end"
        parameter = self._parameters[index]
        return f"{verb} up to {distance} of buffer `{buffer.name}` ({buffer.bytes} bytes, parameter `{parameter}`)"

    def _misaligned(self, addresses: Addresses, size: int, verb: str) -> str:
        index = (int(addresses.min()) >> _REGION_BITS) - 1
        parameter = self._parameters.get(index, "?")
        return f"{verb} {size}-byte elements of parameter `{parameter}` at addresses that are no multiple of {size}"


def _spread(array: npt.NDArray[_Element], shape: tuple[int, ...]) -> npt.NDArray[_Element]:
    """Return an array in a shape, by numpy's slow way only if it has another."""
    return array if array.shape == shape else np.broadcast_to(array, shape)


def _filled(buffer: Buffer, contents: bytes | None, poison: int) -> Bytes:
    data = np.full((buffer.bytes // _PADDING + 1) * _PADDING, poison, dtype=np.uint8)
    if contents is not None:
        data[: len(contents)] = np.frombuffer(contents, dtype=np.uint8)
    return data
