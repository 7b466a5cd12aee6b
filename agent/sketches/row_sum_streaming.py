"""Row sum: one program a row, chunks prefetched while earlier ones are added, one reduction at the end."""

import torch
import triton
import triton.language as tl

KNOBS = {
    "BLOCK_N": (2048, 1024, 4096, 8192),
    "num_warps": (4, 8, 2, 16),
    "num_stages": (3, 2, 4, 1),
}
knobs = {name: values[0] for name, values in KNOBS.items()}


@triton.jit
def row_sum_streaming_kernel(
    x_ptr, y_ptr, cols, x_stride_row, x_stride_col, BLOCK_N: tl.constexpr, STAGES: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    offsets = tl.arange(0, BLOCK_N)
    row_ptr = x_ptr + row * x_stride_row
    total = tl.zeros((BLOCK_N,), tl.float32)
    for start in tl.range(0, cols, BLOCK_N, num_stages=STAGES):
        col = start + offsets
        x = tl.load(row_ptr + col * x_stride_col, mask=col < cols, other=0.0)
        total += x.to(tl.float32)
    tl.store(y_ptr + row, tl.sum(total, axis=0))


class ModelNew(torch.nn.Module):
    def forward(self, x):
        x_rows = x.reshape(-1, x.shape[-1])
        rows, cols = x_rows.shape
        y = torch.empty(x.shape[:-1], dtype=x.dtype, device=x.device)
        row_sum_streaming_kernel[(rows,)](
            x_rows,
            y,
            cols,
            x_rows.stride(0),
            x_rows.stride(1),
            BLOCK_N=min(knobs["BLOCK_N"], triton.next_power_of_2(cols)),
            STAGES=knobs["num_stages"],
            num_warps=knobs["num_warps"],
        )
        return y
