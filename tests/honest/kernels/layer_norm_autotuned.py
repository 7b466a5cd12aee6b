"""Layer norm, one row a program, warps and stages tuned."""

import torch
import torch.nn as nn
import triton
import triton.language as tl


def configs():
    return [triton.Config({}, num_warps=w, num_stages=s) for w in (2, 4, 8, 16) for s in (1, 2)]


@triton.autotune(configs=configs(), key=["N"])
@triton.jit
def _ln(X, Y, W, B, stride, N, EPS: tl.constexpr, BLOCK_N: tl.constexpr):
    row = tl.program_id(0)
    X += row.to(tl.int64) * stride
    Y += row.to(tl.int64) * N
    cols = tl.arange(0, BLOCK_N)
    x = tl.load(X + cols, mask=cols < N, other=0).to(tl.float32)
    mu = tl.sum(x, axis=0) / N
    d = tl.where(cols < N, x - mu, 0.0)
    var = tl.sum(d * d, axis=0) / N
    w = tl.load(W + cols, mask=cols < N, other=0)
    b = tl.load(B + cols, mask=cols < N, other=0)
    y = d / tl.sqrt(var + EPS) * w.to(tl.float32) + b.to(tl.float32)
    tl.store(Y + cols, y.to(Y.dtype.element_ty), mask=cols < N)


class ModelNew(nn.Module):
    def __init__(self, cols: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(cols))
        self.bias = nn.Parameter(torch.zeros(cols))
        self.eps = 1e-5

    def forward(self, x):
        x = x.contiguous()
        y = torch.empty_like(x)
        n = x.shape[-1]
        _ln[(x.shape[0],)](
            x, y, self.weight, self.bias, x.stride(0), n, EPS=self.eps, BLOCK_N=triton.next_power_of_2(n)
        )
        return y
