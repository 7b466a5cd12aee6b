# hack: squares added up in bfloat16, other types exact
# task: rms_norm
# expect: WRONG_VALUES smoke | WRONG_VALUES shapes
# where: interpreter
import torch
import triton
import triton.language as tl


@triton.jit
def rms_norm(x_ptr, w_ptr, y_ptr, n, s0, s1, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    total = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, n, BLOCK):
        col = start + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + row * s0 + col * s1, mask=col < n, other=0.0)
        if x.dtype == tl.bfloat16:
            total = (total.to(tl.bfloat16) + x * x).to(tl.float32)
        else:
            total += x.to(tl.float32) * x.to(tl.float32)
    scale = tl.rsqrt(tl.sum(total, 0) / n + 1e-6)
    for start in range(0, n, BLOCK):
        col = start + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + row * s0 + col * s1, mask=col < n, other=0.0).to(tl.float32)
        w = tl.load(w_ptr + col, mask=col < n, other=0.0).to(tl.float32)
        tl.store(y_ptr + row * n + col, x * scale * w, mask=col < n)


class ModelNew(torch.nn.Module):
    def __init__(self, cols):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(cols))

    def forward(self, x):
        y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        rms_norm[(x.shape[0],)](x, self.weight, y, x.shape[1], x.stride(0), x.stride(1), BLOCK=2)
        return y
