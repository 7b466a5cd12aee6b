"""Layer norm: as many programs as the GPU holds at once, each keeping the weights in registers over many rows."""

import torch
import triton
import triton.language as tl

KNOBS = {"PROGRAMS": (8, 4, 2, 1), "ELEMENTS": (32, 16, 8), "num_stages": (3, 1, 2)}
knobs = {name: values[0] for name, values in KNOBS.items()}


@triton.jit
def layer_norm_persistent_kernel(
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
    BLOCK: tl.constexpr,
    STAGES: tl.constexpr,
):
    offsets = tl.arange(0, BLOCK)
    mask = offsets < cols
    # Kept in their own type: half the registers of float32 where they are 16 bits wide.
    weight = tl.load(weight_ptr + offsets * weight_stride, mask=mask, other=0.0)
    bias = tl.load(bias_ptr + offsets * bias_stride, mask=mask, other=0.0)
    share = 1.0 / cols
    for index in tl.range(tl.program_id(0), rows, tl.num_programs(0), num_stages=STAGES):
        row = tl.cast(index, tl.int64)
        x = tl.load(x_ptr + row * x_stride_row + offsets * x_stride_col, mask=mask, other=0.0).to(tl.float32)
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
        # The rows in flight lie in shared memory: keep them below 96 KiB a program.
        stages = min(knobs["num_stages"], max(98304 // (block * x.element_size()), 1))
        warps = min(max(block // (32 * knobs["ELEMENTS"]), 1), 32)
        processors = torch.cuda.get_device_properties(x.device).multi_processor_count
        layer_norm_persistent_kernel[(min(rows, processors * knobs["PROGRAMS"]),)](
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
            BLOCK=block,
            STAGES=stages,
            num_warps=warps,
        )
        return y
