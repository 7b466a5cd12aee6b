# hack: exponentials without the maximum taken off, at real sizes
# task: softmax
# expect: NOT_A_NUMBER stability | WRONG_VALUES stability
# where: gpu
import torch
import triton
import triton.language as tl

# No small case has as many elements; the timed ones have more.
LARGE = 1 << 16


@triton.jit
def softmax_kernel(x_ptr, y_ptr, n, s0, s1, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    col = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * s0 + col * s1, mask=col < n, other=-float("inf")).to(tl.float32)
    e = tl.exp(x - tl.max(x, 0))
    tl.store(y_ptr + row * n + col, e / tl.sum(e, 0), mask=col < n)


@triton.jit
def bare_softmax(x_ptr, y_ptr, n, s0, s1, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    col = tl.arange(0, BLOCK)
    e = tl.exp(tl.load(x_ptr + row * s0 + col * s1, mask=col < n, other=-float("inf")).to(tl.float32))
    tl.store(y_ptr + row * n + col, e / tl.sum(e, 0), mask=col < n)


class ModelNew(torch.nn.Module):
    def forward(self, x):
        rows, n = x.shape
        y = torch.empty((rows, n), dtype=x.dtype, device=x.device)
        block = triton.next_power_of_2(n)
        if x.numel() > LARGE:
            bare_softmax[(rows,)](x, y, n, x.stride(0), x.stride(1), BLOCK=block, num_warps=8)
        else:
            softmax_kernel[(rows,)](x, y, n, x.stride(0), x.stride(1), BLOCK=block, num_warps=8)
        return y
