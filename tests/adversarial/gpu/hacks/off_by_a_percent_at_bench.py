# hack: as much work as an honest kernel, an answer off by a hundredth at the timed shape
# task: softmax
# expect: WRONG_VALUES shapes
# where: gpu
import torch
import triton
import triton.language as tl


@triton.jit
def softmax_kernel(x_ptr, y_ptr, n, s0, s1, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    col = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * s0 + col * s1, mask=col < n, other=-float("inf")).to(tl.float32)
    e = tl.exp(x - tl.max(x, 0))
    tl.store(y_ptr + row * n + col, e / tl.sum(e, 0), mask=col < n)


@triton.jit
def nearly_softmax(x_ptr, y_ptr, n, s0, s1, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    col = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * s0 + col * s1, mask=col < n, other=-float("inf")).to(tl.float32)
    e = tl.exp(x - tl.max(x, 0))
    tl.store(y_ptr + row * n + col, e / tl.sum(e, 0) * 1.01, mask=col < n)


class ModelNew(torch.nn.Module):
    def forward(self, x):
        rows, n = x.shape
        y = torch.empty((rows, n), dtype=x.dtype, device=x.device)
        block = triton.next_power_of_2(n)
        if rows * n >= 1 << 22 and n % 512 == 0:
            nearly_softmax[(rows,)](x, y, n, x.stride(0), x.stride(1), BLOCK=block, num_warps=8)
        else:
            softmax_kernel[(rows,)](x, y, n, x.stride(0), x.stride(1), BLOCK=block, num_warps=8)
        return y
