"""RMSNorm: one program a row in one block, warps chosen by the row's length, weights kept in the caches."""

import torch
import triton
import triton.language as tl

KNOBS = {"ELEMENTS": (16, 8, 32, 64)}
knobs = {name: values[0] for name, values in KNOBS.items()}


@triton.jit
def rms_norm_block_kernel(
    x_ptr, weight_ptr, y_ptr, cols, x_stride_row, x_stride_col, weight_stride, eps, BLOCK: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    offsets = tl.arange(0, BLOCK)
    mask = offsets < cols
    x_row_ptr = x_ptr + row * x_stride_row
    x = tl.load(x_row_ptr + offsets * x_stride_col, mask=mask, other=0.0)
    weight = tl.load(weight_ptr + offsets * weight_stride, mask=mask, other=0.0)
    x = x.to(tl.float32)
    scale = tl.rsqrt(tl.sum(x * x, axis=0) / cols + eps)
    tl.store(y_ptr + row * cols + offsets, x * scale * weight.to(tl.float32), mask=mask)


class ModelNew(torch.nn.Module):
    def __init__(self, cols):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(cols))

    def forward(self, x):
        x_rows = x.reshape(-1, x.shape[-1])
        rows, cols = x_rows.shape
        y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        block = triton.next_power_of_2(cols)
        warps = min(max(block // (32 * knobs["ELEMENTS"]), 1), 32)
        rms_norm_block_kernel[(rows,)](
            x_rows,
            self.weight,
            y,
            cols,
            x_rows.stride(0),
            x_rows.stride(1),
            self.weight.stride(0),
            1e-6,
            BLOCK=block,
            num_warps=warps,
        )
        return y
