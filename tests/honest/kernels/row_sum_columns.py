"""Row sum with a path for each way the matrix may lie in memory."""

import torch
from torch import nn
import triton
from triton import cdiv
import triton.language as tl


@triton.jit
def along_rows(x_ptr, y_ptr, n, stride, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    acc = tl.zeros((BLOCK,), tl.float32)
    for k in range(0, n, BLOCK):
        acc += tl.load(x_ptr + row * stride + k + tl.arange(0, BLOCK), mask=k + tl.arange(0, BLOCK) < n, other=0.0)
    tl.store(y_ptr + row, tl.sum(acc))


@triton.jit
def down_columns(x_ptr, y_ptr, rows, n, stride, ROWS: tl.constexpr):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    acc = tl.zeros((ROWS,), tl.float32)
    for k in range(n):
        acc += tl.load(x_ptr + tl.cast(k, tl.int64) * stride + row, mask=row < rows, other=0.0).to(tl.float32)
    tl.store(y_ptr + row, acc, mask=row < rows)


class ModelNew(nn.Module):
    def forward(self, x):
        rows, n = x.shape
        y = torch.empty((rows,), dtype=x.dtype, device=x.device)
        if x.stride(0) == 1 and x.stride(1) >= rows:
            down_columns[(cdiv(rows, 128),)](x, y, rows, n, x.stride(1), ROWS=128)
        else:
            x = x if x.stride(1) == 1 else x.contiguous()
            along_rows[(rows,)](x, y, n, x.stride(0), BLOCK=2048, num_warps=8)
        return y
