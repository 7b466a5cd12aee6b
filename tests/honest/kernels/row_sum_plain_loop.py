"""Row sum: one program a row, a scalar total over chunks."""

import torch
import torch.nn as nn
import triton
import triton.language as tl


@triton.jit
def row_sum(x_ptr, y_ptr, n, sr, sc, CHUNK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    total = 0.0
    for k in range(0, tl.cdiv(n, CHUNK)):
        i = k * CHUNK + tl.arange(0, CHUNK)
        total += tl.sum(tl.load(x_ptr + row * sr + i * sc, mask=i < n, other=0.0).to(tl.float32), axis=0)
    tl.store(y_ptr + row, total)


class ModelNew(nn.Module):
    def forward(self, x):
        y = torch.empty((x.shape[0],), dtype=x.dtype, device=x.device)
        row_sum[(x.shape[0],)](x, y, x.shape[1], x.stride(0), x.stride(1), CHUNK=512)
        return y
