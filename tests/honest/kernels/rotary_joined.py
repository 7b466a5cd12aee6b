"""Rotary embedding: both halves loaded as one tile and taken apart and put together in registers."""

import torch
import triton
import triton.language as tl


@triton.jit
def joined(x_ptr, cos_ptr, sin_ptr, y_ptr, rows, length, half, R: tl.constexpr, H: tl.constexpr):
    row = (tl.program_id(0) * R + tl.arange(0, R)).to(tl.int64)
    i = tl.arange(0, H)
    side = tl.arange(0, 2)
    keep = ((row < rows)[:, None] & (i < half)[None, :])[:, :, None] & (side >= 0)[None, None, :]
    at = row[:, None, None] * (2 * half) + i[None, :, None] + side[None, None, :] * half
    x1, x2 = tl.split(tl.load(x_ptr + at, mask=keep, other=0.0).to(tl.float32))
    table = (row % length)[:, None] * half + i[None, :]
    flat = (row < rows)[:, None] & (i < half)[None, :]
    c = tl.load(cos_ptr + table, mask=flat, other=0.0).to(tl.float32)
    s = tl.load(sin_ptr + table, mask=flat, other=0.0).to(tl.float32)
    y = tl.join(x1 * c - x2 * s, x2 * c + x1 * s)
    tl.store(y_ptr + at, y, mask=keep)


class ModelNew(torch.nn.Module):
    def forward(self, x, cos, sin):
        batch, heads, length, width = x.shape
        x = x.contiguous()
        y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        rows = batch * heads * length
        joined[(triton.cdiv(rows, 4),)](
            x,
            cos.contiguous(),
            sin.contiguous(),
            y,
            rows,
            length,
            width // 2,
            R=4,
            H=triton.next_power_of_2(width // 2),
        )
        return y
