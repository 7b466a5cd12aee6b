"""The part of a buffer that holds a tensor's elements, where nearly all of it is the space between them."""

import torch

from tilewright.tasks.spec import TensorSpec

_SPARSE = 8  # a buffer this many times as large as its elements
_MOST_ROWS = 64


def elements_window(memory: torch.Tensor, spec: TensorSpec | None) -> torch.Tensor:
    """Return the bytes from the first to the last element of each row if rows lie far apart, else all of the memory.

    Args:
        memory: A buffer as a flat uint8 tensor.
        spec: The tensor in it, or None if it is not known.
    """
    size = spec.dtype.bytes if spec is not None else 0
    if spec is None or not spec.elements or _SPARSE * spec.elements * size >= memory.numel():
        return memory
    if spec.shape[0] > _MOST_ROWS:
        return memory
    width = 1 + sum((count - 1) * stride for count, stride in zip(spec.shape[1:], spec.strides[1:], strict=True))
    starts = [(spec.offset + row * spec.strides[0]) * size for row in range(spec.shape[0])]
    return torch.cat([memory[start : start + width * size] for start in starts])
