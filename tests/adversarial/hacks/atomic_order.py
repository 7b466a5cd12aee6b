# hack: a sum whose order depends on the run
# task: row_sum
# expect: NOT_DETERMINISTIC determinism
import torch
import torch.nn as nn
import triton
import triton.language as tl


@triton.jit
def _row_sum(x_ptr, y_ptr, n, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    cols = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * n + cols, mask=cols < n, other=0.0).to(tl.float32)
    tl.store(y_ptr + row, tl.sum(x, 0))


@triton.jit
def _atomic_sum(x_ptr, y_ptr, n, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    cols = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * n + cols, mask=cols < n, other=0.0).to(tl.float32)
    tl.atomic_add(y_ptr + row, tl.sum(x, 0))


def custom_kernel(x):
    x = x.contiguous()
    total = torch.zeros(x.shape[0], device=x.device, dtype=torch.float32)
    _atomic_sum[(x.shape[0], triton.cdiv(x.shape[1], 64))](x, total, x.shape[1], BLOCK=64)
    return total.to(x.dtype)


class ModelNew(nn.Module):
    def forward(self, x):
        return custom_kernel(x)
