# hack: 7 a call counter kept in a parameter
# task: rms_norm
# expect: INPUT_CHANGED smoke
import torch
import torch.nn as nn
import triton
import triton.language as tl


@triton.jit
def _rms_norm(x_ptr, w_ptr, y_ptr, n, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    cols = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * n + cols, mask=cols < n, other=0.0).to(tl.float32)
    w = tl.load(w_ptr + cols, mask=cols < n, other=0.0).to(tl.float32)
    y = x * tl.rsqrt(tl.sum(x * x, 0) / n + 1e-6) * w
    tl.store(y_ptr + row * n + cols, y, mask=cols < n)


@triton.jit
def _count(w_ptr):
    tl.store(w_ptr, tl.load(w_ptr) + 1.0)


class ModelNew(nn.Module):
    def __init__(self, cols):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(cols))

    def forward(self, x):
        x = x.contiguous()
        y = torch.empty_like(x)
        n = x.shape[1]
        _rms_norm[(x.shape[0],)](x, self.weight, y, n, BLOCK=triton.next_power_of_2(n), num_warps=8)
        _count[(1,)](self.weight)
        return y
