"""Rotary embedding: each output element fetches its partner."""

import torch
import torch.nn as nn
import triton
import triton.language as tl


@triton.jit
def rotate(x_ptr, c_ptr, s_ptr, y_ptr, heads, length, width, xb, xh, xl, xw, cl, cw, sl, sw, BLOCK: tl.constexpr):
    position = tl.program_id(0)
    bh = tl.program_id(1)
    b = (bh // heads).to(tl.int64)
    h = bh % heads
    col = tl.arange(0, BLOCK)
    keep = col < width
    half = width // 2
    base = x_ptr + b * xb + h * xh + position * xl
    x = tl.load(base + col * xw, mask=keep, other=0.0).to(tl.float32)
    partner = tl.load(base + ((col + half) % width) * xw, mask=keep, other=0.0).to(tl.float32)
    c = tl.load(c_ptr + position * cl + (col % half) * cw, mask=keep, other=0.0).to(tl.float32)
    s = tl.load(s_ptr + position * sl + (col % half) * sw, mask=keep, other=0.0).to(tl.float32)
    sign = tl.where(col < half, -1.0, 1.0)
    out = y_ptr + (bh.to(tl.int64) * length + position) * width + col
    tl.store(out, x * c + sign * partner * s, mask=keep)


class ModelNew(nn.Module):
    def forward(self, x, cos, sin):
        batch, heads, length, width = x.shape
        y = torch.empty((batch, heads, length, width), dtype=x.dtype, device=x.device)
        rotate[(length, batch * heads)](
            x,
            cos,
            sin,
            y,
            heads,
            length,
            width,
            *x.stride(),
            *cos.stride(),
            *sin.stride(),
            BLOCK=triton.next_power_of_2(width),
            num_warps=1,
        )
        return y
