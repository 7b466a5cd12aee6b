"""RMSNorm: one program a row, the whole row in one block."""

import torch
import triton
import triton.language as tl


@triton.jit
def rms_norm_kernel(
    x_ptr, weight_ptr, y_ptr, cols, x_stride_row, x_stride_col, weight_stride, eps, BLOCK: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    offsets = tl.arange(0, BLOCK)
    mask = offsets < cols
    x = tl.load(x_ptr + row * x_stride_row + offsets * x_stride_col, mask=mask, other=0.0).to(tl.float32)
    weight = tl.load(weight_ptr + offsets * weight_stride, mask=mask, other=0.0).to(tl.float32)
    mean_square = tl.sum(x * x, axis=0) / cols
    y = x / tl.sqrt(mean_square + eps) * weight
    tl.store(y_ptr + row * cols + offsets, y, mask=mask)


class ModelNew(torch.nn.Module):
    def __init__(self, cols):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(cols))

    def forward(self, x):
        x_rows = x.reshape(-1, x.shape[-1])
        rows, cols = x_rows.shape
        y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        rms_norm_kernel[(rows,)](
            x_rows,
            self.weight,
            y,
            cols,
            x_rows.stride(0),
            x_rows.stride(1),
            self.weight.stride(0),
            1e-6,
            BLOCK=triton.next_power_of_2(cols),
        )
        return y
