"""Rotary embedding: block pointers to both halves of a tile of positions."""

import torch
import triton
import triton.language as tl


@triton.jit
def tiles(
    x_ptr,
    cos_ptr,
    sin_ptr,
    y_ptr,
    heads,
    length,
    half,
    x0,
    x1,
    x2,
    x3,
    c0,
    c1,
    s0,
    s1,
    L: tl.constexpr,
    H: tl.constexpr,
):
    pair = tl.program_id(1).to(tl.int64)
    at = tl.program_id(0) * L
    x_base = x_ptr + (pair // heads) * x0 + (pair % heads) * x1
    y_base = y_ptr + pair * length * half * 2
    low = tl.make_block_ptr(x_base, (length, half), (x2, x3), (at, 0), (L, H), (1, 0))
    high = tl.make_block_ptr(x_base + half * x3, (length, half), (x2, x3), (at, 0), (L, H), (1, 0))
    cos = tl.make_block_ptr(cos_ptr, (length, half), (c0, c1), (at, 0), (L, H), (1, 0))
    sin = tl.make_block_ptr(sin_ptr, (length, half), (s0, s1), (at, 0), (L, H), (1, 0))
    a = tl.load(low, boundary_check=(0, 1), padding_option="zero").to(tl.float32)
    b = tl.load(high, boundary_check=(0, 1), padding_option="zero").to(tl.float32)
    c = tl.load(cos, boundary_check=(0, 1), padding_option="zero").to(tl.float32)
    s = tl.load(sin, boundary_check=(0, 1), padding_option="zero").to(tl.float32)
    dtype = y_ptr.dtype.element_ty
    out_low = tl.make_block_ptr(y_base, (length, half), (2 * half, 1), (at, 0), (L, H), (1, 0))
    out_high = tl.make_block_ptr(y_base + half, (length, half), (2 * half, 1), (at, 0), (L, H), (1, 0))
    tl.store(out_low, (a * c - b * s).to(dtype), boundary_check=(0, 1))
    tl.store(out_high, (b * c + a * s).to(dtype), boundary_check=(0, 1))


class ModelNew(torch.nn.Module):
    def forward(self, x, cos, sin):
        batch, heads, length, width = x.shape
        y = torch.empty((batch, heads, length, width), dtype=x.dtype, device=x.device)
        tiles[(triton.cdiv(length, 16), batch * heads)](
            x,
            cos,
            sin,
            y,
            heads,
            length,
            width // 2,
            *x.stride(),
            *cos.stride(),
            *sin.stride(),
            L=16,
            H=triton.next_power_of_2(width // 2),
        )
        return y
