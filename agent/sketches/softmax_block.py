"""Softmax: one program a row in one block, warps chosen by the row's length, exp2 and one reciprocal."""

import torch
import triton
import triton.language as tl

KNOBS = {"ELEMENTS": (16, 32, 64, 8)}
knobs = {name: values[0] for name, values in KNOBS.items()}

LOG2E = tl.constexpr(1.4426950408889634)


@triton.jit
def softmax_block_kernel(x_ptr, y_ptr, cols, x_stride_row, x_stride_col, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    offsets = tl.arange(0, BLOCK)
    mask = offsets < cols
    x_row_ptr = x_ptr + row * x_stride_row
    x = tl.load(x_row_ptr + offsets * x_stride_col, mask=mask, other=-float("inf"))
    x = x.to(tl.float32)
    # The maximum is subtracted before the fold of log2(e), so that large logits lose nothing.
    numerator = tl.exp2((x - tl.max(x, axis=0)) * LOG2E)
    scale = 1.0 / tl.sum(numerator, axis=0)
    tl.store(y_ptr + row * cols + offsets, numerator * scale, mask=mask)


class ModelNew(torch.nn.Module):
    def forward(self, x):
        x_rows = x.reshape(-1, x.shape[-1])
        rows, cols = x_rows.shape
        y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        block = triton.next_power_of_2(cols)
        warps = min(max(block // (32 * knobs["ELEMENTS"]), 1), 32)
        softmax_block_kernel[(rows,)](x_rows, y, cols, x_rows.stride(0), x_rows.stride(1), BLOCK=block, num_warps=warps)
        return y
