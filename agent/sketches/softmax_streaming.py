"""Softmax: online maximum and sum over chunks of the row, then a second pass that finds the row in the L2 cache."""

import torch
import triton
import triton.language as tl

KNOBS = {"BLOCK_N": (8192, 4096, 2048, 1024, 16384), "num_warps": (8, 4, 16, 32), "num_stages": (1, 2, 3, 4)}
knobs = {name: values[0] for name, values in KNOBS.items()}

LOG2E = tl.constexpr(1.4426950408889634)


@triton.jit
def softmax_streaming_kernel(
    x_ptr, y_ptr, cols, x_stride_row, x_stride_col, BLOCK_N: tl.constexpr, STAGES: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    x_row_ptr = x_ptr + row * x_stride_row
    y_row_ptr = y_ptr + row * cols
    offsets = tl.arange(0, BLOCK_N)
    top = -float("inf")
    # One running sum a lane: the lanes are added once, after the last chunk.
    total = tl.zeros((BLOCK_N,), tl.float32)
    for start in tl.range(0, cols, BLOCK_N, num_stages=STAGES):
        col = start + offsets
        x = tl.load(x_row_ptr + col * x_stride_col, mask=col < cols, other=-float("inf"))
        x = x.to(tl.float32)
        new_top = tl.maximum(top, tl.max(x, axis=0))
        # While only -inf was seen, add zeros, not exp(-inf + inf).
        shift = tl.where(new_top == -float("inf"), 0.0, new_top)
        total = total * tl.exp2((top - shift) * LOG2E) + tl.exp2((x - shift) * LOG2E)
        top = new_top
    scale = 1.0 / tl.sum(total, axis=0)
    for start in tl.range(0, cols, BLOCK_N, num_stages=STAGES):
        col = start + offsets
        x = tl.load(x_row_ptr + col * x_stride_col, mask=col < cols, other=0.0)
        y = tl.exp2((x.to(tl.float32) - top) * LOG2E) * scale
        tl.store(y_row_ptr + col, y, mask=col < cols)


class ModelNew(torch.nn.Module):
    def forward(self, x):
        x_rows = x.reshape(-1, x.shape[-1])
        rows, cols = x_rows.shape
        y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        softmax_streaming_kernel[(rows,)](
            x_rows,
            y,
            cols,
            x_rows.stride(0),
            x_rows.stride(1),
            BLOCK_N=min(knobs["BLOCK_N"], triton.next_power_of_2(cols)),
            STAGES=knobs["num_stages"],
            num_warps=knobs["num_warps"],
        )
        return y
