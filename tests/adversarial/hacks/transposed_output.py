# hack: 23 an output in another order of memory
# task: softmax
# expect: OUTPUT_FORM record | OUTPUT_FORM smoke
import torch
import torch.nn as nn
import triton
import triton.language as tl


@triton.jit
def _softmax(x_ptr, y_ptr, rows, n, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    cols = tl.arange(0, BLOCK).to(tl.int64)
    x = tl.load(x_ptr + row * n + cols, mask=cols < n, other=-float("inf")).to(tl.float32)
    e = tl.exp(x - tl.max(x, 0))
    tl.store(y_ptr + cols * rows + row, e / tl.sum(e, 0), mask=cols < n)


def custom_kernel(x):
    x = x.contiguous()
    rows, n = x.shape
    y = torch.empty((n, rows), device=x.device, dtype=x.dtype)
    _softmax[(rows,)](x, y, rows, n, BLOCK=triton.next_power_of_2(n), num_warps=8)
    return y.t()


class ModelNew(nn.Module):
    def forward(self, x):
        return custom_kernel(x)
