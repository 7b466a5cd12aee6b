"""The storages that a launcher touches while it is traced, and when."""

import torch

from tilewright.sandbox.failure import FailureKind
from tilewright.sandbox.fault import fault
from tilewright.sandbox.plan import Buffer, BufferOrigin, View
from tilewright.tasks.spec import DType, TensorSpec

# Buffers lie this far apart in the made-up address space, each base aligned far beyond 16 bytes.
_ADDRESS_BITS = 40
_DTYPES = {getattr(torch, dtype.value): dtype for dtype in DType}


class BufferTable:
    """Numbers storages in the order they are first seen and keeps the span of steps that touches each."""

    def __init__(self) -> None:
        self._index: dict[int, int] = {}
        self._rows: list[Buffer] = []
        self._last: list[int] = []
        self._written_by_kernel: set[int] = set()
        # A storage's address is its identity only while the storage lives.
        self._alive: list[torch.UntypedStorage] = []

    def add(self, tensor: torch.Tensor, origin: BufferOrigin, name: str, step: int) -> int:
        """Number the storage of a tensor that came into being at a step (-1: before the first)."""
        storage = tensor.untyped_storage()
        index = len(self._rows)
        row = Buffer(
            index=index, bytes=storage.nbytes(), origin=origin, name=name,
            dtype=str(tensor.dtype).removeprefix("torch."), first_step=step, last_step=step,
        )  # fmt: skip
        self._index[storage._cdata] = index
        self._rows.append(row)
        self._last.append(step)
        self._alive.append(storage)
        return index

    def knows(self, tensor: torch.Tensor) -> bool:
        """Return whether the tensor lies in a numbered storage."""
        return tensor.untyped_storage()._cdata in self._index

    def view(self, tensor: torch.Tensor) -> View:
        """Return where a tensor of a numbered storage lies."""
        return View(buffer=self._index[tensor.untyped_storage()._cdata], tensor=spec_of(tensor))

    def address(self, tensor: torch.Tensor) -> int:
        """Return a made-up device address with the alignment that the real one would have; 0 if it is not numbered."""
        return address_of(self.view(tensor)) if self.knows(tensor) else 0

    def touch(self, index: int, step: int, *, by_kernel: bool = False) -> None:
        """Note that a step reads or writes a buffer."""
        self._last[index] = max(self._last[index], step)
        if by_kernel:
            self._written_by_kernel.add(index)

    def is_own_result(self, view: View) -> bool:
        """Return whether a buffer was made by the launcher and handed to one of its kernels."""
        return self._rows[view.buffer].origin is BufferOrigin.SCRATCH and view.buffer in self._written_by_kernel

    def rows(self, outputs: tuple[View, ...], steps: int) -> tuple[Buffer, ...]:
        """Return the table of buffers of a plan with that many steps."""
        returned = {view.buffer for view in outputs}
        return tuple(
            Buffer(
                index=row.index, bytes=row.bytes, origin=row.origin, name=row.name, dtype=row.dtype,
                first_step=row.first_step, last_step=steps if row.index in returned else last,
            )
            for row, last in zip(self._rows, self._last, strict=True)
        )  # fmt: skip


def address_of(view: View) -> int:
    """Return a made-up device address of a view, aligned as the real one would be."""
    return ((view.buffer + 1) << _ADDRESS_BITS) + view.tensor.offset * view.tensor.dtype.bytes


def spec_of(tensor: torch.Tensor) -> TensorSpec:
    """Return shape, strides, type and storage offset of a tensor.

    Raises:
        CandidateFault: Its element type is one that plans cannot carry.
    """
    if tensor.dtype not in _DTYPES:
        raise fault(FailureKind.LAUNCHER_ERROR, f"expected an element type of {', '.join(DType)}; got {tensor.dtype}")
    return TensorSpec(
        shape=tuple(tensor.shape), strides=tuple(tensor.stride()),
        dtype=_DTYPES[tensor.dtype], offset=int(tensor.storage_offset()),
    )  # fmt: skip


def fake_tensor(spec: TensorSpec) -> torch.Tensor:
    """Return an uninitialised CUDA tensor of exactly this layout; call it under a fake mode."""
    if spec.offset == 0:
        return torch.empty_strided(spec.shape, spec.strides, dtype=getattr(torch, spec.dtype.value), device="cuda")
    storage = torch.empty(spec.storage_elements, dtype=getattr(torch, spec.dtype.value), device="cuda")
    return storage.as_strided(spec.shape, spec.strides, spec.offset)
