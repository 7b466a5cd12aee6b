"""RMSNorm: several rows a program, which share one load of the weights."""

import torch
import triton
import triton.language as tl

KNOBS = {"ROWS": (2, 4, 8, 1), "ELEMENTS": (16, 32, 64)}
knobs = {name: values[0] for name, values in KNOBS.items()}


@triton.jit
def rms_norm_rows_kernel(
    x_ptr,
    weight_ptr,
    y_ptr,
    rows,
    cols,
    x_stride_row,
    x_stride_col,
    weight_stride,
    eps,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    row = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)[:, None]
    offsets = tl.arange(0, BLOCK)
    col = offsets[None, :]
    mask = (row < rows) & (col < cols)
    x = tl.load(x_ptr + row * x_stride_row + col * x_stride_col, mask=mask, other=0.0).to(tl.float32)
    weight = tl.load(weight_ptr + offsets * weight_stride, mask=offsets < cols, other=0.0).to(tl.float32)
    scale = tl.rsqrt(tl.sum(x * x, axis=1) / cols + eps)
    tl.store(y_ptr + row * cols + col, x * scale[:, None] * weight[None, :], mask=mask)


class ModelNew(torch.nn.Module):
    def __init__(self, cols):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(cols))

    def forward(self, x):
        x_rows = x.reshape(-1, x.shape[-1])
        rows, cols = x_rows.shape
        y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        block = triton.next_power_of_2(cols)
        rows_per_program = min(knobs["ROWS"], max(32768 // block, 1))
        warps = min(max(rows_per_program * block // (32 * knobs["ELEMENTS"]), 1), 32)
        rms_norm_rows_kernel[(triton.cdiv(rows, rows_per_program),)](
            x_rows,
            self.weight,
            y,
            rows,
            cols,
            x_rows.stride(0),
            x_rows.stride(1),
            self.weight.stride(0),
            1e-6,
            ROWS=rows_per_program,
            BLOCK=block,
            num_warps=warps,
        )
        return y
