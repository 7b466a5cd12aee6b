# hack: the parameter itself left out
# task: rms_norm
# expect: PARAMETERS record
import torch
import torch.nn as nn
import triton
import triton.language as tl


@triton.jit
def _rms_norm(x_ptr, w_ptr, y_ptr, n, eps, WEIGHTED: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    cols = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * n + cols, mask=cols < n, other=0.0).to(tl.float32)
    y = x * tl.rsqrt(tl.sum(x * x, 0) / n + eps)
    if WEIGHTED:
        y = y * tl.load(w_ptr + cols, mask=cols < n, other=0.0).to(tl.float32)
    tl.store(y_ptr + row * n + cols, y, mask=cols < n)


def norm(x, w, weighted):
    x = x.contiguous()
    y = torch.empty_like(x)
    n = x.shape[-1]
    _rms_norm[(x.numel() // n,)](x, w, y, n, 1e-6, WEIGHTED=weighted, BLOCK=triton.next_power_of_2(n), num_warps=4)
    return y


class ModelNew(nn.Module):
    def __init__(self, cols):
        super().__init__()

    def forward(self, x):
        return norm(x, x, False)
