# hack: float32 rounded to half precision on the way in, at real sizes
# task: rms_norm
# expect: WRONG_VALUES shapes
# where: gpu
import torch
import triton
import triton.language as tl

# No small case has as many elements; the timed ones have more.
LARGE = 1 << 16


@triton.jit
def rms_norm(x_ptr, w_ptr, y_ptr, n, s0, s1, ROUND: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    col = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * s0 + col * s1, mask=col < n, other=0.0)
    if ROUND:
        x = x.to(tl.float16)
    x = x.to(tl.float32)
    w = tl.load(w_ptr + col, mask=col < n, other=0.0).to(tl.float32)
    tl.store(y_ptr + row * n + col, x * tl.rsqrt(tl.sum(x * x, 0) / n + 1e-6) * w, mask=col < n)


class ModelNew(torch.nn.Module):
    def __init__(self, cols):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(cols))

    def forward(self, x):
        rows, n = x.shape
        y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        block = triton.next_power_of_2(n)
        rough = x.dtype == torch.float32 and x.numel() > LARGE
        rms_norm[(rows,)](x, self.weight, y, n, x.stride(0), x.stride(1), ROUND=rough, BLOCK=block, num_warps=8)
        return y
