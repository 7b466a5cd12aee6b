"""Layer norm: moments of each row in one launch, the affine part over a flat grid in another."""

import torch
import triton
import triton.language as tl


@triton.jit
def moments(x_ptr, mean_ptr, rstd_ptr, n, eps, s0, s1, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    total = tl.zeros((BLOCK,), tl.float32)
    for k in range(0, n, BLOCK):
        i = k + tl.arange(0, BLOCK)
        total += tl.load(x_ptr + row * s0 + i * s1, mask=i < n, other=0.0).to(tl.float32)
    mean = tl.sum(total, 0) / n
    squares = tl.zeros((BLOCK,), tl.float32)
    for k in range(0, n, BLOCK):
        i = k + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + row * s0 + i * s1, mask=i < n, other=0.0).to(tl.float32)
        d = tl.where(i < n, x - mean, 0.0)
        squares += d * d
    tl.store(mean_ptr + row, mean)
    tl.store(rstd_ptr + row, 1.0 / tl.sqrt(tl.sum(squares, 0) / n + eps))


@triton.jit
def affine(x_ptr, mean_ptr, rstd_ptr, w_ptr, b_ptr, y_ptr, total, n, s0, s1, BLOCK: tl.constexpr):
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    keep = i < total
    row = i // n
    col = i % n
    x = tl.load(x_ptr + row * s0 + col * s1, mask=keep).to(tl.float32)
    z = (x - tl.load(mean_ptr + row, mask=keep)) * tl.load(rstd_ptr + row, mask=keep)
    y = z * tl.load(w_ptr + col, mask=keep).to(tl.float32) + tl.load(b_ptr + col, mask=keep).to(tl.float32)
    tl.store(y_ptr + i, y, mask=keep)


class ModelNew(torch.nn.Module):
    def __init__(self, cols):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.empty(cols))
        self.bias = torch.nn.Parameter(torch.empty(cols))

    def forward(self, x):
        rows, n = x.shape
        stats = torch.empty((2, rows), dtype=torch.float32, device=x.device)
        y = torch.empty((rows, n), dtype=x.dtype, device=x.device)
        moments[(rows,)](x, stats[0], stats[1], n, 1e-5, x.stride(0), x.stride(1), BLOCK=1024)
        grid = (triton.cdiv(rows * n, 1024),)
        affine[grid](
            x, stats[0], stats[1], self.weight, self.bias, y, rows * n, n, x.stride(0), x.stride(1), BLOCK=1024
        )
        return y
