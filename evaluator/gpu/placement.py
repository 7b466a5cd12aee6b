"""Elements of a tensor put where a case's layout wants them."""

import torch

from tilewright.evaluator.gpu.arena import Block
from tilewright.tasks.spec import TensorSpec

_GAP = 0xFF  # as in the bytes of small cases: NaN in floating types


def lay_out(tensor: torch.Tensor, spec: TensorSpec | None, block: Block) -> None:
    """Enqueue copying a tensor's elements into a block, and 0xFF between them.

    Args:
        tensor: The elements, on any device.
        spec: The layout; None for the tensor's own strides and offset.
        block: Where they go.

    Raises:
        ValueError: They do not fit the block, or the layout is for another shape or type.
    """
    shape, strides, offset = tuple(tensor.shape), tuple(tensor.stride()), int(tensor.storage_offset())
    if spec is not None:
        if shape != spec.shape or tensor.dtype is not getattr(torch, spec.dtype.value):
            raise ValueError(f"expected a {spec.dtype} tensor of {spec.shape}; got {tensor.dtype} of {shape}")
        strides, offset = spec.strides, spec.offset
    # a size repeated with stride 0 is written once
    once = tuple(1 if stride == 0 else size for size, stride in zip(shape, strides, strict=True))
    place = block.as_tensor(tensor.dtype, once, strides, offset)
    if place.numel() * place.element_size() != block.nbytes:
        block.fill(_GAP, torch.cuda.current_stream(place.device).cuda_stream)
    place.copy_(tensor.detach()[tuple(slice(0, size) for size in once)])
