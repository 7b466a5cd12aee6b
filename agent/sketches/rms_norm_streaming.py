"""RMSNorm: squares gathered chunk by chunk, then a second pass that finds the row in the L2 cache."""

import torch
import triton
import triton.language as tl

KNOBS = {"BLOCK_N": (2048, 4096, 1024, 8192), "num_warps": (8, 4, 16, 2), "num_stages": (1, 2, 3, 4)}
knobs = {name: values[0] for name, values in KNOBS.items()}


@triton.jit
def rms_norm_streaming_kernel(
    x_ptr,
    weight_ptr,
    y_ptr,
    cols,
    x_stride_row,
    x_stride_col,
    weight_stride,
    eps,
    BLOCK_N: tl.constexpr,
    STAGES: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    x_row_ptr = x_ptr + row * x_stride_row
    y_row_ptr = y_ptr + row * cols
    offsets = tl.arange(0, BLOCK_N)
    # One running sum a lane: the lanes are added once, after the last chunk.
    squares = tl.zeros((BLOCK_N,), tl.float32)
    for start in tl.range(0, cols, BLOCK_N, num_stages=STAGES):
        col = start + offsets
        x = tl.load(x_row_ptr + col * x_stride_col, mask=col < cols, other=0.0)
        x = x.to(tl.float32)
        squares += x * x
    scale = tl.rsqrt(tl.sum(squares, axis=0) / cols + eps)
    for start in tl.range(0, cols, BLOCK_N, num_stages=STAGES):
        col = start + offsets
        mask = col < cols
        x = tl.load(x_row_ptr + col * x_stride_col, mask=mask, other=0.0)
        weight = tl.load(weight_ptr + col * weight_stride, mask=mask, other=0.0)
        tl.store(y_row_ptr + col, x.to(tl.float32) * scale * weight.to(tl.float32), mask=mask)


class ModelNew(torch.nn.Module):
    def __init__(self, cols):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(cols))

    def forward(self, x):
        x_rows = x.reshape(-1, x.shape[-1])
        rows, cols = x_rows.shape
        y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        rms_norm_streaming_kernel[(rows,)](
            x_rows,
            self.weight,
            y,
            cols,
            x_rows.stride(0),
            x_rows.stride(1),
            self.weight.stride(0),
            1e-6,
            BLOCK_N=min(knobs["BLOCK_N"], triton.next_power_of_2(cols)),
            STAGES=knobs["num_stages"],
            num_warps=knobs["num_warps"],
        )
        return y
