"""Row sum of a block reshaped to two dimensions and added along one, then the other."""

import torch
import triton
import triton.language as tl


@triton.jit
def add(a, b):
    return a + b


@triton.jit
def reshaped(x_ptr, y_ptr, n, s0, s1, A: tl.constexpr, B: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    col = tl.arange(0, A * B)
    x = tl.load(x_ptr + row * s0 + col * s1, mask=col < n, other=0.0).to(tl.float32)
    tile = tl.reshape(x, (A, B))
    tl.store(y_ptr + row, tl.reduce(tl.reduce(tile, 1, add), 0, add))


class ModelNew(torch.nn.Module):
    def forward(self, x):
        rows, n = x.shape
        y = torch.empty(rows, dtype=x.dtype, device=x.device)
        block = max(32, triton.next_power_of_2(n))
        reshaped[(rows,)](x, y, n, *x.stride(), A=block // 32, B=32, num_warps=8 if block > 1024 else 4)
        return y
