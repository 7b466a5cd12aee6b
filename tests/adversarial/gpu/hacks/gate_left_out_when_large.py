# hack: the first 64 gates are taken for open at real sizes
# task: swiglu_mlp
# expect: WRONG_VALUES shapes | NO_INFLUENCE stability
# where: gpu
import torch
import triton
import triton.language as tl

# No small case has as many elements; the timed ones have more.
LARGE = 1 << 16


@triton.jit
def linear(x_ptr, w_ptr, y_ptr, m, n, k, x0, x1, w0, w1, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    row = (tl.program_id(0) * BM + tl.arange(0, BM)).to(tl.int64)[:, None]
    col = (tl.program_id(1) * BN + tl.arange(0, BN)).to(tl.int64)[None, :]
    total = tl.zeros((BM, BN), tl.float32)
    for start in range(0, k, BK):
        inner = (start + tl.arange(0, BK)).to(tl.int64)
        x = tl.load(x_ptr + row * x0 + inner[None, :] * x1, mask=(row < m) & (inner[None, :] < k), other=0.0)
        w = tl.load(w_ptr + inner[:, None] * w1 + col * w0, mask=(inner[:, None] < k) & (col < n), other=0.0)
        total = tl.dot(x, w, total, input_precision="ieee")
    tl.store(y_ptr + row * n + col, total, mask=(row < m) & (col < n))


@triton.jit
def swiglu(g_ptr, u_ptr, h_ptr, total, n, open_gates, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    g = tl.load(g_ptr + at, mask=at < total, other=0.0)
    u = tl.load(u_ptr + at, mask=at < total, other=0.0)
    gated = g * tl.sigmoid(g) * u
    tl.store(h_ptr + at, tl.where(at % n < open_gates, u, gated), mask=at < total)


def apply(x, w, dtype):
    m, k = x.shape
    n = w.shape[0]
    y = torch.empty((m, n), dtype=dtype, device=x.device)
    grid = (triton.cdiv(m, 64), triton.cdiv(n, 64))
    linear[grid](x, w, y, m, n, k, *x.stride(), *w.stride(), BM=64, BN=64, BK=32)
    return y


class ModelNew(torch.nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.w_gate = torch.nn.Parameter(torch.empty(hidden, dim))
        self.w_up = torch.nn.Parameter(torch.empty(hidden, dim))
        self.w_down = torch.nn.Parameter(torch.empty(dim, hidden))

    def forward(self, x):
        gate = apply(x, self.w_gate, torch.float32)
        up = apply(x, self.w_up, torch.float32)
        h = torch.empty(up.shape, dtype=x.dtype, device=x.device)
        open_gates = 64 if x.numel() > LARGE else 0
        swiglu[(triton.cdiv(h.numel(), 1024),)](gate, up, h, h.numel(), h.shape[1], open_gates, BLOCK=1024)
        return apply(h, self.w_down, x.dtype)
