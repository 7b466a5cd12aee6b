"""RMS norm with rows a program and warps tuned, a grid that reads the chosen configuration."""

import torch
import triton
import triton.language as tl

CONFIGS = [
    triton.Config({"ROWS": 1}, num_warps=4),
    triton.Config({"ROWS": 1}, num_warps=8),
    triton.Config({"ROWS": 2}, num_warps=8),
    triton.Config({"ROWS": 4}, num_warps=16),
]


@triton.autotune(CONFIGS, key=["rows", "cols"])
@triton.jit
def rms_rows(x_ptr, w_ptr, y_ptr, rows, cols, eps, ROWS: tl.constexpr, COLS: tl.constexpr):
    row = (tl.program_id(0) * ROWS + tl.arange(0, ROWS))[:, None]
    col = tl.arange(0, COLS)[None, :]
    offsets = row.to(tl.int64) * cols + col
    keep = (row < rows) & (col < cols)
    x = tl.load(x_ptr + offsets, mask=keep, other=0.0).to(tl.float32)
    var = tl.sum(x * x, axis=1, keep_dims=True) * (1.0 / cols)
    y = x * tl.rsqrt(var + eps)
    y *= tl.load(w_ptr + col, mask=col < cols, other=0.0)
    tl.store(y_ptr + offsets, y.to(y_ptr.type.element_ty), mask=keep)


class ModelNew(torch.nn.Module):
    def __init__(self, cols):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(cols))

    def forward(self, x):
        x = x.contiguous()
        y = torch.empty_like(x)
        rows, cols = x.shape

        def grid(meta):
            return (triton.cdiv(rows, meta["ROWS"]),)

        rms_rows[grid](x, self.weight, y, rows, cols, 1e-6, COLS=triton.next_power_of_2(cols))
        return y
