# fault: sums run along the other axis
# expect: WRONG_VALUES smoke
import torch
import torch.nn as nn
import triton
import triton.language as tl


@triton.jit
def cumsum_kernel(x_ptr, out_ptr, n_rows, stride, BLOCK_SIZE: tl.constexpr):
    col = tl.program_id(0).to(tl.int64)
    carry = 0.0
    for start in range(0, n_rows, BLOCK_SIZE):
        rows = start + tl.arange(0, BLOCK_SIZE)
        mask = rows < n_rows
        x = tl.load(x_ptr + rows * stride + col, mask=mask, other=0.0)
        tl.store(out_ptr + rows * stride + col, tl.cumsum(x, axis=0) + carry, mask=mask)
        carry += tl.sum(x, axis=0)


class ModelNew(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.dim = dim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.contiguous()
        out = torch.empty_like(x)
        rows, cols = x.shape
        cumsum_kernel[(cols,)](x, out, rows, x.stride(0), BLOCK_SIZE=256)
        return out
