"""Rotary embedding: one program a (batch, head, position)."""

import torch
import triton
import triton.language as tl


@triton.jit
def rotary_kernel(
    x_ptr,
    cos_ptr,
    sin_ptr,
    y_ptr,
    heads,
    length,
    half,
    x_stride_batch,
    x_stride_head,
    x_stride_position,
    x_stride_feature,
    cos_stride_position,
    cos_stride_feature,
    sin_stride_position,
    sin_stride_feature,
    BLOCK: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    position = row % length
    head = row // length % heads
    batch = row // length // heads
    offsets = tl.arange(0, BLOCK)
    mask = offsets < half
    x_row_ptr = x_ptr + batch * x_stride_batch + head * x_stride_head + position * x_stride_position
    x1 = tl.load(x_row_ptr + offsets * x_stride_feature, mask=mask, other=0.0).to(tl.float32)
    x2 = tl.load(x_row_ptr + (half + offsets) * x_stride_feature, mask=mask, other=0.0).to(tl.float32)
    cos_row_ptr = cos_ptr + position * cos_stride_position
    sin_row_ptr = sin_ptr + position * sin_stride_position
    cos = tl.load(cos_row_ptr + offsets * cos_stride_feature, mask=mask, other=0.0).to(tl.float32)
    sin = tl.load(sin_row_ptr + offsets * sin_stride_feature, mask=mask, other=0.0).to(tl.float32)
    y_row_ptr = y_ptr + row * 2 * half
    tl.store(y_row_ptr + offsets, x1 * cos - x2 * sin, mask=mask)
    tl.store(y_row_ptr + half + offsets, x2 * cos + x1 * sin, mask=mask)


class ModelNew(torch.nn.Module):
    def forward(self, x, cos, sin):
        batch, heads, length, width = x.shape
        y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        rotary_kernel[(batch * heads * length,)](
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
            BLOCK=triton.next_power_of_2(width // 2),
        )
        return y
