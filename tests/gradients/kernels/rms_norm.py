import torch
import triton
import triton.language as tl
from torch import nn


@triton.jit
def _forward(x_ptr, w_ptr, y_ptr, rstd_ptr, cols, eps, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    mask = at < cols
    x = tl.load(x_ptr + row * cols + at, mask=mask, other=0.0).to(tl.float32)
    w = tl.load(w_ptr + at, mask=mask, other=0.0).to(tl.float32)
    rstd = 1 / tl.sqrt(tl.sum(x * x, 0) / cols + eps)
    tl.store(rstd_ptr + row, rstd)
    tl.store(y_ptr + row * cols + at, x * rstd * w, mask=mask)


@triton.jit
def _backward(x_ptr, w_ptr, dy_ptr, rstd_ptr, dx_ptr, partial_ptr, rows, cols, each, BLOCK: tl.constexpr):
    part = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    mask = at < cols
    w = tl.load(w_ptr + at, mask=mask, other=0.0).to(tl.float32)
    dw = tl.zeros((BLOCK,), tl.float32)
    for row in range(part * each, tl.minimum((part + 1) * each, rows)):
        x = tl.load(x_ptr + row * cols + at, mask=mask, other=0.0).to(tl.float32)
        dy = tl.load(dy_ptr + row * cols + at, mask=mask, other=0.0).to(tl.float32)
        rstd = tl.load(rstd_ptr + row)
        normed = x * rstd
        dw += dy * normed
        wdy = w * dy
        dx = (wdy - normed * (tl.sum(wdy * normed, 0) / cols)) * rstd
        tl.store(dx_ptr + row * cols + at, dx, mask=mask)
    tl.store(partial_ptr + part * cols + at, dw, mask=mask)


class RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, eps):
        x = x.contiguous()
        rows, cols = x.shape
        y = torch.empty_like(x)
        rstd = torch.empty(rows, device=x.device, dtype=torch.float32)
        _forward[(rows,)](x, weight, y, rstd, cols, eps, BLOCK=triton.next_power_of_2(cols), num_warps=8)
        ctx.save_for_backward(x, weight, rstd)
        return y

    @staticmethod
    def backward(ctx, dy):
        x, weight, rstd = ctx.saved_tensors
        dy = dy.contiguous()
        rows, cols = x.shape
        each = triton.cdiv(rows, 256) if rows > 256 else 4
        parts = triton.cdiv(rows, each)
        dx = torch.empty_like(x)
        partial = torch.empty((parts, cols), device=x.device, dtype=torch.float32)
        _backward[(parts,)](
            x, weight, dy, rstd, dx, partial, rows, cols, each, BLOCK=triton.next_power_of_2(cols), num_warps=8
        )
        return dx, partial.sum(0).to(weight.dtype), None


class ModelNew(nn.Module):
    def __init__(self, cols):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(cols))

    def forward(self, x):
        return RMSNorm.apply(x, self.weight, 1e-6)
