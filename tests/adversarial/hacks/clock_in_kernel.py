# hack: 3 a kernel that reads the clock
# task: softmax
# expect: FORBIDDEN static
import torch
import torch.nn as nn
import triton
import triton.language as tl


@triton.jit
def _softmax(x_ptr, y_ptr, n, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    cols = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * n + cols, mask=cols < n, other=-float("inf")).to(tl.float32)
    e = tl.exp(x - tl.max(x, 0))
    e += 0.0 * tl.extra.cuda.globaltimer().to(tl.float32)
    tl.store(y_ptr + row * n + cols, e / tl.sum(e, 0), mask=cols < n)


def custom_kernel(x):
    x = x.contiguous()
    y = torch.empty_like(x)
    _softmax[(x.shape[0],)](x, y, x.shape[1], BLOCK=triton.next_power_of_2(x.shape[1]), num_warps=8)
    return y


class ModelNew(nn.Module):
    def forward(self, x):
        return custom_kernel(x)
