# hack: the weight serves as scratch memory
# task: rms_norm
# expect: INPUT_CHANGED smoke
# where: interpreter
import torch
import triton
import triton.language as tl


@triton.jit
def squares(x_ptr, w_ptr, r_ptr, n, s0, s1, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    col = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * s0 + col * s1, mask=col < n, other=0.0).to(tl.float32)
    tl.store(r_ptr + row, tl.rsqrt(tl.sum(x * x, 0) / n + 1e-6))


@triton.jit
def scale(x_ptr, w_ptr, r_ptr, y_ptr, n, s0, s1, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    col = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * s0 + col * s1, mask=col < n, other=0.0).to(tl.float32)
    w = tl.load(w_ptr + col, mask=col < n, other=0.0).to(tl.float32)
    tl.store(y_ptr + row * n + col, x * tl.load(r_ptr + row) * w, mask=col < n)


@triton.jit
def clear(w_ptr, n, BLOCK: tl.constexpr):
    col = tl.arange(0, BLOCK)
    tl.store(w_ptr + col, tl.zeros((BLOCK,), tl.float32), mask=col < n)


class ModelNew(torch.nn.Module):
    def __init__(self, cols):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(cols))

    def forward(self, x):
        rows, n = x.shape
        y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        r = torch.empty(rows, dtype=torch.float32, device=x.device)
        block = triton.next_power_of_2(n)
        squares[(rows,)](x, self.weight, r, n, x.stride(0), x.stride(1), BLOCK=block)
        scale[(rows,)](x, self.weight, r, y, n, x.stride(0), x.stride(1), BLOCK=block)
        clear[(1,)](self.weight, n, BLOCK=block)
        return y
