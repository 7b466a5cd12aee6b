"""Row sum with Kahan's compensation in each lane."""

import torch
import triton
import triton.language as tl


@triton.jit
def kahan(x_ptr, y_ptr, n, s0, s1, LANES: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, LANES)
    total = tl.zeros((LANES,), tl.float32)
    lost = tl.zeros((LANES,), tl.float32)
    for start in range(0, n, LANES):
        x = tl.load(x_ptr + row * s0 + (start + lane) * s1, mask=start + lane < n, other=0.0).to(tl.float32)
        part = x - lost
        grown = total + part
        lost = (grown - total) - part
        total = grown
    tl.store(y_ptr + row, tl.sum(total, axis=0))


class ModelNew(torch.nn.Module):
    def forward(self, x):
        y = x.new_empty(x.shape[0])
        kahan[(x.shape[0],)](x, y, x.shape[1], x.stride(0), x.stride(1), LANES=256, num_warps=2)
        return y
