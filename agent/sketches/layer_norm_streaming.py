"""Layer norm: sums gathered chunk by chunk, then a second pass that finds the row in the L2 cache.

Sums are taken of d = x - pivot, with the first chunk's mean as pivot: mean = pivot + E[d] and
variance = E[d * d] - E[d]^2 lose nothing where the mean is large beside the deviation.
"""

import torch
import triton
import triton.language as tl

KNOBS = {"BLOCK_N": (1024, 2048, 4096, 8192), "num_warps": (4, 8, 16, 2), "num_stages": (1, 2, 3, 4)}
knobs = {name: values[0] for name, values in KNOBS.items()}


@triton.jit
def layer_norm_streaming_kernel(
    x_ptr,
    weight_ptr,
    bias_ptr,
    y_ptr,
    cols,
    x_stride_row,
    x_stride_col,
    weight_stride,
    bias_stride,
    eps,
    BLOCK_N: tl.constexpr,
    STAGES: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    x_row_ptr = x_ptr + row * x_stride_row
    y_row_ptr = y_ptr + row * cols
    offsets = tl.arange(0, BLOCK_N)
    share = 1.0 / cols
    first = tl.load(x_row_ptr + offsets * x_stride_col, mask=offsets < cols, other=0.0).to(tl.float32)
    pivot = tl.sum(first * (1.0 / tl.minimum(cols, BLOCK_N)), axis=0)
    # One running sum a lane: the lanes are added once, after the last chunk.
    rests = tl.zeros((BLOCK_N,), tl.float32)
    squares = tl.zeros((BLOCK_N,), tl.float32)
    for start in tl.range(0, cols, BLOCK_N, num_stages=STAGES):
        col = start + offsets
        mask = col < cols
        x = tl.load(x_row_ptr + col * x_stride_col, mask=mask, other=0.0).to(tl.float32)
        distance = tl.where(mask, x - pivot, 0.0)
        rests += distance * share
        squares += distance * distance * share
    rest = tl.sum(rests, axis=0)
    square = tl.sum(squares, axis=0)
    # Squares of values near the largest float overflow: the deviation is then infinite, not a NaN.
    variance = tl.where(square == float("inf"), square, tl.maximum(square - rest * rest, 0.0))
    scale = tl.rsqrt(variance + eps)
    for start in tl.range(0, cols, BLOCK_N, num_stages=STAGES):
        col = start + offsets
        mask = col < cols
        x = tl.load(x_row_ptr + col * x_stride_col, mask=mask, other=0.0).to(tl.float32)
        weight = tl.load(weight_ptr + col * weight_stride, mask=mask, other=0.0)
        bias = tl.load(bias_ptr + col * bias_stride, mask=mask, other=0.0)
        y = (x - pivot - rest) * scale * weight.to(tl.float32) + bias.to(tl.float32)
        tl.store(y_row_ptr + col, y, mask=mask)


class ModelNew(torch.nn.Module):
    def __init__(self, cols):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(cols))
        self.bias = torch.nn.Parameter(torch.zeros(cols))

    def forward(self, x):
        x_rows = x.reshape(-1, x.shape[-1])
        rows, cols = x_rows.shape
        y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        layer_norm_streaming_kernel[(rows,)](
            x_rows,
            self.weight,
            self.bias,
            y,
            cols,
            x_rows.stride(0),
            x_rows.stride(1),
            self.weight.stride(0),
            self.bias.stride(0),
            1e-5,
            BLOCK_N=min(knobs["BLOCK_N"], triton.next_power_of_2(cols)),
            STAGES=knobs["num_stages"],
            num_warps=knobs["num_warps"],
        )
        return y
