"""Row sum: one program a row, the whole row in one block."""

import torch
import triton
import triton.language as tl


@triton.jit
def row_sum_kernel(x_ptr, y_ptr, cols, x_stride_row, x_stride_col, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    offsets = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * x_stride_row + offsets * x_stride_col, mask=offsets < cols, other=0.0)
    tl.store(y_ptr + row, tl.sum(x.to(tl.float32), axis=0))


class ModelNew(torch.nn.Module):
    def forward(self, x):
        x_rows = x.reshape(-1, x.shape[-1])
        rows, cols = x_rows.shape
        y = torch.empty(x.shape[:-1], dtype=x.dtype, device=x.device)
        row_sum_kernel[(rows,)](
            x_rows,
            y,
            cols,
            x_rows.stride(0),
            x_rows.stride(1),
            BLOCK=triton.next_power_of_2(cols),
            num_warps=16,
        )
        return y
