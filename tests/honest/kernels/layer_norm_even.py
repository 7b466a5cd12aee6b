"""Layer norm that drops its masks where the row fills its block, as a heuristic decides."""

import torch
import triton
import triton.language as tl


@triton.heuristics({"EVEN": lambda args: args["n"] == args["BLOCK"]})
@triton.jit
def norm_rows(x_ptr, w_ptr, b_ptr, y_ptr, n, row_step, eps, BLOCK: tl.constexpr, EVEN: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    if EVEN:
        x = tl.load(x_ptr + row * row_step + at).to(tl.float32)
        mean = tl.sum(x, 0) / n
        d = x - mean
        rstd = tl.rsqrt(tl.sum(d * d, 0) / n + eps)
        y = tl.fma(d * rstd, tl.load(w_ptr + at).to(tl.float32), tl.load(b_ptr + at).to(tl.float32))
        tl.store(y_ptr + row * n + at, y)
    else:
        inside = at < n
        x = tl.load(x_ptr + row * row_step + at, mask=inside, other=0.0).to(tl.float32)
        mean = tl.sum(x, 0) / n
        d = tl.where(inside, x - mean, 0.0)
        rstd = tl.rsqrt(tl.sum(d * d, 0) / n + eps)
        w = tl.load(w_ptr + at, mask=inside, other=0.0).to(tl.float32)
        b = tl.load(b_ptr + at, mask=inside, other=0.0).to(tl.float32)
        tl.store(y_ptr + row * n + at, tl.fma(d * rstd, w, b), mask=inside)


class ModelNew(torch.nn.Module):
    def __init__(self, cols):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(cols))
        self.bias = torch.nn.Parameter(torch.randn(cols))

    def forward(self, x):
        if x.stride(1) != 1:
            x = x.clone(memory_format=torch.contiguous_format)
        y = torch.empty((x.shape[0], x.shape[1]), dtype=x.dtype, device=x.device)
        block = triton.next_power_of_2(x.shape[1])
        norm_rows[(x.shape[0],)](x, self.weight, self.bias, y, x.shape[1], x.stride(0), 1e-5, BLOCK=block, num_warps=4)
        return y
