"""RMS norm with libdevice's rsqrt and fused multiply-adds over lanes."""

import torch
import triton
import triton.language as tl
from triton.language.extra import libdevice


@triton.jit
def rms_libdevice(x_ptr, w_ptr, y_ptr, n, x_stride, eps, LANES: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    lanes = tl.arange(0, LANES)
    squares = tl.zeros((LANES,), tl.float32)
    for start in tl.range(0, n, LANES, num_stages=2):
        x = tl.load(x_ptr + row * x_stride + start + lanes, mask=start + lanes < n, other=0.0).to(tl.float32)
        squares = libdevice.fma(x, x, squares)
    inverse = libdevice.rsqrt(libdevice.fma(tl.sum(squares, 0), 1.0 / n, eps))
    for start in tl.range(0, n, LANES, num_stages=2):
        at = start + lanes
        x = tl.load(x_ptr + row * x_stride + at, mask=at < n, other=0.0, eviction_policy="evict_first").to(tl.float32)
        w = tl.load(w_ptr + at, mask=at < n, other=0.0, eviction_policy="evict_last").to(tl.float32)
        tl.store(y_ptr + row * n + at, x * inverse * w, mask=at < n, cache_modifier=".cs")


class ModelNew(torch.nn.Module):
    def __init__(self, cols):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(cols))

    def forward(self, x):
        rows, n = x.shape
        x = x if x.stride(1) == 1 else x.contiguous()
        y = torch.empty((rows, n), device=x.device, dtype=x.dtype)
        rms_libdevice[rows, 1, 1](x, self.weight, y, n, x.stride(0), 1e-6, LANES=1024)
        return y
