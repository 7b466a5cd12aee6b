"""RMS norm with a path for inputs whose rows are contiguous in memory and one for those whose columns are."""

import torch
import torch.nn as nn
import triton
import triton.language as tl


@triton.jit
def by_rows(x_ptr, w_ptr, y_ptr, n, row_stride, eps, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    col = tl.arange(0, BLOCK)
    keep = col < n
    x = tl.load(x_ptr + row * row_stride + col, mask=keep, other=0.0).to(tl.float32)
    w = tl.load(w_ptr + col, mask=keep, other=0.0).to(tl.float32)
    tl.store(y_ptr + row * n + col, x / tl.sqrt(tl.sum(x * x) / n + eps) * w, mask=keep)


@triton.jit
def by_columns(x_ptr, w_ptr, y_ptr, rows, n, row_stride, col_stride, eps, R: tl.constexpr, C: tl.constexpr):
    row = (tl.program_id(0) * R + tl.arange(0, R)).to(tl.int64)
    squares = tl.zeros((R,), tl.float32)
    for start in range(0, n, C):
        col = start + tl.arange(0, C)
        keep = (row[:, None] < rows) & (col[None, :] < n)
        at = row[:, None] * row_stride + col[None, :].to(tl.int64) * col_stride
        x = tl.load(x_ptr + at, mask=keep, other=0.0).to(tl.float32)
        squares += tl.sum(x * x, axis=1)
    root = tl.sqrt(squares / n + eps)
    for start in range(0, n, C):
        col = start + tl.arange(0, C)
        keep = (row[:, None] < rows) & (col[None, :] < n)
        at = row[:, None] * row_stride + col[None, :].to(tl.int64) * col_stride
        x = tl.load(x_ptr + at, mask=keep, other=0.0).to(tl.float32)
        w = tl.load(w_ptr + col, mask=col < n, other=0.0).to(tl.float32)
        tl.store(y_ptr + row[:, None] * n + col[None, :], x / root[:, None] * w[None, :], mask=keep)


class ModelNew(nn.Module):
    def __init__(self, cols):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(cols))

    def forward(self, x):
        rows, n = x.shape
        y = torch.empty((rows, n), dtype=x.dtype, device=x.device)
        if x.stride(1) == 1:
            by_rows[(rows,)](x, self.weight, y, n, x.stride(0), 1e-6, BLOCK=triton.next_power_of_2(n), num_warps=8)
        else:
            by_columns[(triton.cdiv(rows, 32),)](x, self.weight, y, rows, n, *x.stride(), 1e-6, R=32, C=32)
        return y
