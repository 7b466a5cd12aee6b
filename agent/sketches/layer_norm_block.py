"""Layer norm: one program a row in one block, warps chosen by the row's length, weights kept in the caches."""

import torch
import triton
import triton.language as tl

KNOBS = {"ELEMENTS": (32, 16, 8, 64)}
knobs = {name: values[0] for name, values in KNOBS.items()}


@triton.jit
def layer_norm_block_kernel(
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
    BLOCK: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    offsets = tl.arange(0, BLOCK)
    mask = offsets < cols
    x_row_ptr = x_ptr + row * x_stride_row
    x = tl.load(x_row_ptr + offsets * x_stride_col, mask=mask, other=0.0)
    weight = tl.load(weight_ptr + offsets * weight_stride, mask=mask, other=0.0)
    bias = tl.load(bias_ptr + offsets * bias_stride, mask=mask, other=0.0)
    x = x.to(tl.float32)
    share = 1.0 / cols
    # Scaling before the sum keeps sums of huge values finite.
    mean = tl.sum(x * share, axis=0)
    centred = tl.where(mask, x - mean, 0.0)
    # What the rounded mean missed; its sum and the squares' do not wait for each other.
    rest = tl.sum(centred * share, axis=0)
    square = tl.sum(centred * centred * share, axis=0)
    # Squares of values near the largest float overflow: the deviation is then infinite, not a NaN.
    variance = tl.where(square == float("inf"), square, tl.maximum(square - rest * rest, 0.0))
    y = (centred - rest) * tl.rsqrt(variance + eps) * weight.to(tl.float32) + bias.to(tl.float32)
    tl.store(y_ptr + row * cols + offsets, y, mask=mask)


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
        warps = min(max(block // (32 * knobs["ELEMENTS"]), 1), 32)
        layer_norm_block_kernel[(rows,)](
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
            BLOCK=block,
            num_warps=warps,
        )
        return y
