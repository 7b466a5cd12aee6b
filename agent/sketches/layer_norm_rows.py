"""Layer norm: several rows a program, which share one load of the weights."""

import torch
import triton
import triton.language as tl

KNOBS = {"ROWS": (2, 4, 8, 1), "ELEMENTS": (32, 16, 64)}
knobs = {name: values[0] for name, values in KNOBS.items()}


@triton.jit
def layer_norm_rows_kernel(
    x_ptr,
    weight_ptr,
    bias_ptr,
    y_ptr,
    rows,
    cols,
    x_stride_row,
    x_stride_col,
    weight_stride,
    bias_stride,
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
    bias = tl.load(bias_ptr + offsets * bias_stride, mask=offsets < cols, other=0.0).to(tl.float32)
    share = 1.0 / cols
    # Scaling before the sum keeps sums of huge values finite.
    mean = tl.sum(x * share, axis=1)
    centred = tl.where(mask, x - mean[:, None], 0.0)
    # What the rounded mean missed; its sum and the squares' do not wait for each other.
    rest = tl.sum(centred * share, axis=1)
    square = tl.sum(centred * centred * share, axis=1)
    # Squares of values near the largest float overflow: the deviation is then infinite, not a NaN.
    variance = tl.where(square == float("inf"), square, tl.maximum(square - rest * rest, 0.0))
    scale = tl.rsqrt(variance + eps)
    y = (centred - rest[:, None]) * scale[:, None] * weight[None, :] + bias[None, :]
    tl.store(y_ptr + row * cols + col, y, mask=mask)


class ModelNew(torch.nn.Module):
    def __init__(self, cols):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(cols))
        self.bias = torch.nn.Parameter(torch.zeros(cols))

    def forward(self, x):
        x_rows = x.reshape(-1, x.shape[-1])
        rows, cols = x_rows.shape
        y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        block = triton.next_power_of_2(cols)
        rows_per_program = min(knobs["ROWS"], max(32768 // block, 1))
        warps = min(max(rows_per_program * block // (32 * knobs["ELEMENTS"]), 1), 32)
        layer_norm_rows_kernel[(triton.cdiv(rows, rows_per_program),)](
            x_rows,
            self.weight,
            self.bias,
            y,
            rows,
            cols,
            x_rows.stride(0),
            x_rows.stride(1),
            self.weight.stride(0),
            self.bias.stride(0),
            1e-5,
            ROWS=rows_per_program,
            BLOCK=block,
            num_warps=warps,
        )
        return y
