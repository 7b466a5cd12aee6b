"""Row softmax through tensor descriptors made on the device where rows are aligned, by pointers elsewhere."""

from typing import Optional

import torch
import triton
import triton.language as tl


def scratch(size: int, alignment: int, stream: Optional[int]):
    return torch.empty(size, dtype=torch.int8, device="cuda")


triton.set_allocator(scratch)


@triton.jit
def descriptor_softmax(x_ptr, y_ptr, rows, cols, x_stride, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    x_desc = tl.make_tensor_descriptor(x_ptr, shape=[rows, cols], strides=[x_stride, 1], block_shape=[ROWS, BLOCK])
    y_desc = tl.make_tensor_descriptor(y_ptr, shape=[rows, cols], strides=[cols, 1], block_shape=[ROWS, BLOCK])
    first = tl.program_id(0) * ROWS
    top = tl.full((ROWS,), float("-inf"), tl.float32)
    total = tl.zeros((ROWS,), tl.float32)
    for start in range(0, cols, BLOCK):
        inside = (start + tl.arange(0, BLOCK))[None, :] < cols
        x = tl.where(inside, x_desc.load([first, start]).to(tl.float32), float("-inf"))
        new_top = tl.maximum(top, tl.max(x, 1))
        total = total * tl.exp(top - new_top) + tl.sum(tl.exp(x - new_top[:, None]), 1)
        top = new_top
    for start in range(0, cols, BLOCK):
        x = x_desc.load([first, start]).to(tl.float32)
        y = tl.exp(x - top[:, None]) / total[:, None]
        y_desc.store([first, start], y.to(y_ptr.dtype.element_ty))


@triton.jit
def pointer_softmax(x_ptr, y_ptr, cols, x_stride, x_step, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    col = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * x_stride + col * x_step, mask=col < cols, other=float("-inf")).to(tl.float32)
    e = tl.exp(x - tl.max(x, 0))
    tl.store(y_ptr + row * cols + col, e / tl.sum(e, 0), mask=col < cols)


def is_aligned(x):
    size = x.element_size()
    starts = x.storage_offset() * size % 16 == 0 and x.stride(0) * size % 16 == 0
    return x.stride(1) == 1 and x.stride(0) >= x.shape[1] and starts and x.shape[1] * size % 16 == 0


class ModelNew(torch.nn.Module):
    def forward(self, x):
        rows, cols = x.shape
        y = torch.empty((rows, cols), dtype=x.dtype, device=x.device)
        if rows and is_aligned(x):
            descriptor_softmax[(triton.cdiv(rows, 4),)](x, y, rows, cols, x.stride(0), ROWS=4, BLOCK=256)
        else:
            block = triton.next_power_of_2(cols)
            pointer_softmax[(rows,)](x, y, cols, *x.stride(), BLOCK=block, num_warps=min(16, max(1, block // 512)))
        return y
