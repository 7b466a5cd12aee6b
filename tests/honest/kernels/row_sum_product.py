"""Row sum as a product with a matrix of ones on the matrix units."""

import torch
import triton
import triton.language as tl


@triton.jit
def times_ones(x_ptr, y_ptr, rows, cols, s0, s1, R: tl.constexpr, C: tl.constexpr):
    row = (tl.program_id(0) * R + tl.arange(0, R)).to(tl.int64)
    ones = tl.full((C, 16), 1.0, x_ptr.dtype.element_ty)
    acc = tl.zeros((R, 16), tl.float32)
    for start in range(0, cols, C):
        col = start + tl.arange(0, C)
        keep = (row[:, None] < rows) & (col[None, :] < cols)
        x = tl.load(x_ptr + row[:, None] * s0 + col[None, :] * s1, mask=keep, other=0.0)
        acc = tl.dot(x, ones, acc=acc, input_precision="ieee")
    first = tl.where(tl.arange(0, 16)[None, :] == 0, acc, 0.0)
    tl.store(y_ptr + row, tl.sum(first, 1), mask=row < rows)


class ModelNew(torch.nn.Module):
    def forward(self, x):
        rows, cols = x.shape
        y = torch.empty(rows, dtype=x.dtype, device=x.device)
        times_ones[(triton.cdiv(rows, 16),)](x, y, rows, cols, x.stride(0), x.stride(1), R=16, C=64, num_warps=4)
        return y
