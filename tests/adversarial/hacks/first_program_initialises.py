# hack: a sum that is right only if program 0 runs first
# task: row_sum
# expect: WRONG_VALUES determinism | NOT_A_NUMBER determinism
import torch
import torch.nn as nn
import triton
import triton.language as tl


@triton.jit
def _row_sum(x_ptr, y_ptr, n, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    cols = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * n + cols, mask=cols < n, other=0.0).to(tl.float32)
    if tl.program_id(1) == 0:
        tl.store(y_ptr + row, tl.sum(x, 0))
    else:
        tl.atomic_add(y_ptr + row, tl.sum(x, 0))


def custom_kernel(x):
    x = x.contiguous()
    total = torch.empty(x.shape[0], device=x.device, dtype=torch.float32)
    _row_sum[(x.shape[0], triton.cdiv(x.shape[1], 128))](x, total, x.shape[1], BLOCK=128)
    return total.to(x.dtype)


class ModelNew(nn.Module):
    def forward(self, x):
        return custom_kernel(x)
