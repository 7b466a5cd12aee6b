"""Layer norm: one program a row, the whole row in one block."""

import torch
import triton
import triton.language as tl


@triton.jit
def layer_norm_kernel(
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
    x = tl.load(x_ptr + row * x_stride_row + offsets * x_stride_col, mask=mask, other=0.0).to(tl.float32)
    # Dividing before the sum keeps sums of huge values finite.
    mean = tl.sum(x / cols, axis=0)
    centred = tl.where(mask, x - mean, 0.0)
    # What the rounded mean missed: it matters where the mean is large beside the deviation.
    rest = tl.sum(centred / cols, axis=0)
    centred = tl.where(mask, centred - rest, 0.0)
    variance = tl.sum(centred * centred / cols, axis=0)
    weight = tl.load(weight_ptr + offsets * weight_stride, mask=mask, other=0.0).to(tl.float32)
    bias = tl.load(bias_ptr + offsets * bias_stride, mask=mask, other=0.0).to(tl.float32)
    y = centred / tl.sqrt(variance + eps) * weight + bias
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
        layer_norm_kernel[(rows,)](
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
            BLOCK=triton.next_power_of_2(cols),
        )
        return y
