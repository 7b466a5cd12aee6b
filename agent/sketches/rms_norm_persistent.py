"""RMSNorm: as many programs as the GPU holds at once, each keeping the weights in registers over many rows."""

import torch
import triton
import triton.language as tl

KNOBS = {"PROGRAMS": (8, 4, 2, 1), "ELEMENTS": (32, 16, 8), "num_stages": (3, 1, 2)}
knobs = {name: values[0] for name, values in KNOBS.items()}


@triton.jit
def rms_norm_persistent_kernel(
    x_ptr,
    weight_ptr,
    y_ptr,
    rows,
    cols,
    x_stride_row,
    x_stride_col,
    weight_stride,
    eps,
    BLOCK: tl.constexpr,
    STAGES: tl.constexpr,
):
    offsets = tl.arange(0, BLOCK)
    mask = offsets < cols
    # Kept in its own type: half the registers of float32 where it is 16 bits wide.
    weight = tl.load(weight_ptr + offsets * weight_stride, mask=mask, other=0.0)
    for index in tl.range(tl.program_id(0), rows, tl.num_programs(0), num_stages=STAGES):
        row = tl.cast(index, tl.int64)
        x = tl.load(x_ptr + row * x_stride_row + offsets * x_stride_col, mask=mask, other=0.0).to(tl.float32)
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
        # The rows in flight lie in shared memory: keep them below 96 KiB a program.
        stages = min(knobs["num_stages"], max(98304 // (block * x.element_size()), 1))
        warps = min(max(block // (32 * knobs["ELEMENTS"]), 1), 32)
        processors = torch.cuda.get_device_properties(x.device).multi_processor_count
        rms_norm_persistent_kernel[(min(rows, processors * knobs["PROGRAMS"]),)](
            x_rows,
            self.weight,
            y,
            rows,
            cols,
            x_rows.stride(0),
            x_rows.stride(1),
            self.weight.stride(0),
            1e-6,
            BLOCK=block,
            STAGES=stages,
            num_warps=warps,
        )
        return y
