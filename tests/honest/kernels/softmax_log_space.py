"""Row softmax as exp of a log-softmax, walking rows with a stride of the grid."""

import math

import torch
import triton
import triton.language as tl

LOG2_E = tl.constexpr(1 / math.log(2))


@triton.jit
def log_space(x_ptr, y_ptr, rows, cols, stride, N: tl.constexpr):
    start = tl.program_id(0)
    for row in range(start, rows, tl.num_programs(0)):
        offs = tl.arange(0, N)
        keep = offs < cols
        x = tl.load(x_ptr + row.to(tl.int64) * stride + offs, mask=keep, other=float("-inf")).to(tl.float32)
        shifted = x - tl.max(x, axis=0)
        log_sum = tl.log2(tl.sum(tl.exp2(shifted * LOG2_E), axis=0))
        tl.store(y_ptr + row.to(tl.int64) * cols + offs, tl.exp2(shifted * LOG2_E - log_sum), mask=keep)


class ModelNew(torch.nn.Module):
    def forward(self, x):
        x = x if x.stride(-1) == 1 else x.contiguous()
        rows, cols = x.shape
        y = torch.empty((rows, cols), device=x.device, dtype=x.dtype)
        programs = min(rows, 4 * torch.cuda.get_device_properties(x.device).multi_processor_count)
        n = triton.next_power_of_2(cols)
        log_space[(programs,)](x, y, rows, cols, x.stride(0), N=n, num_warps=max(1, min(32, n // 256)))
        return y
