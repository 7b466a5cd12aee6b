"""RMS norm: inverse RMS of each row in scratch memory, then a grid of tiles that scale."""

import torch
import triton
import triton.language as tl


@triton.jit
def inverse_rms(x_ptr, r_ptr, n, s0, s1, eps, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    total = 0.0
    start = 0
    while start < n:
        i = start + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + row * s0 + i * s1, mask=i < n, other=0.0).to(tl.float32)
        total += tl.sum(x * x, 0)
        start += BLOCK
    tl.store(r_ptr + row, 1.0 / tl.sqrt(total / n + eps))


@triton.jit
def scale(x_ptr, r_ptr, w_ptr, y_ptr, rows, n, s0, s1, R: tl.constexpr, C: tl.constexpr):
    row = (tl.program_id(1) * R + tl.arange(0, R)).to(tl.int64)[:, None]
    col = (tl.program_id(0) * C + tl.arange(0, C))[None, :]
    keep = (row < rows) & (col < n)
    x = tl.load(x_ptr + row * s0 + col * s1, mask=keep, other=0.0).to(tl.float32)
    r = tl.load(r_ptr + row, mask=row < rows, other=0.0)
    w = tl.load(w_ptr + col, mask=col < n, other=0.0).to(tl.float32)
    tl.store(y_ptr + row * n + col, x * r * w, mask=keep)


class ModelNew(torch.nn.Module):
    def __init__(self, cols):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(cols))

    def forward(self, x):
        rows, n = x.shape
        r = x.new_empty(rows, dtype=torch.float32)
        y = x.new_empty((rows, n))
        inverse_rms[(rows,)](x, r, n, x.stride(0), x.stride(1), 1e-6, BLOCK=1024)
        grid = (triton.cdiv(n, 512), triton.cdiv(rows, 4))
        scale[grid](x, r, self.weight, y, rows, n, x.stride(0), x.stride(1), R=4, C=512)
        return y
