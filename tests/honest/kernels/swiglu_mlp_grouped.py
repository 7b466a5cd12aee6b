"""SwiGLU block: programs in groups that share operands, tiles without masks where sizes are whole multiples."""

import torch
import triton
import triton.language as tl


@triton.jit
def locate(pid, m, n, BM: tl.constexpr, BN: tl.constexpr, GROUP: tl.constexpr):
    high = tl.cdiv(m, BM)
    wide = tl.cdiv(n, BN)
    group = pid // (GROUP * wide)
    size = tl.minimum(high - group * GROUP, GROUP)
    return group * GROUP + pid % size, pid % (GROUP * wide) // size


@triton.jit
def fetch(ptr, row, col, rows, cols, s0, s1, WHOLE: tl.constexpr):
    at = row.to(tl.int64) * s0 + col.to(tl.int64) * s1
    if WHOLE:
        return tl.load(ptr + at)
    return tl.load(ptr + at, mask=(row < rows) & (col < cols), other=0.0)


@triton.heuristics({"WHOLE": lambda a: a["m"] % a["BM"] == 0 and a["n"] % a["BN"] == 0 and a["k"] % a["BK"] == 0})
@triton.jit
def linear(
    x_ptr,
    w_ptr,
    y_ptr,
    m,
    n,
    k,
    x0,
    x1,
    w0,
    w1,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
    GROUP: tl.constexpr,
    WHOLE: tl.constexpr,
):
    tile_m, tile_n = locate(tl.program_id(0), m, n, BM, BN, GROUP)
    row = tile_m * BM + tl.arange(0, BM)
    col = tile_n * BN + tl.arange(0, BN)
    acc = tl.zeros((BM, BN), tl.float32)
    for at in range(0, k, BK):
        inner = at + tl.arange(0, BK)
        x = fetch(x_ptr, row[:, None], inner[None, :], m, k, x0, x1, WHOLE)
        w = fetch(w_ptr, col[:, None], inner[None, :], n, k, w0, w1, WHOLE)
        acc = tl.dot(x, w.T, acc, input_precision="ieee")
    y_ptrs = y_ptr + row[:, None].to(tl.int64) * n + col[None, :]
    if WHOLE:
        tl.store(y_ptrs, acc)
    else:
        tl.store(y_ptrs, acc, mask=(row[:, None] < m) & (col[None, :] < n))


@triton.jit
def swiglu(g_ptr, u_ptr, h_ptr, total, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    g = tl.load(g_ptr + at, mask=at < total, other=0.0)
    u = tl.load(u_ptr + at, mask=at < total, other=0.0)
    tl.store(h_ptr + at, tl.fdiv(g, 1.0 + tl.exp(-g)) * u, mask=at < total)


class ModelNew(torch.nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.w_gate = torch.nn.Parameter(torch.empty(hidden, dim))
        self.w_up = torch.nn.Parameter(torch.empty(hidden, dim))
        self.w_down = torch.nn.Parameter(torch.empty(dim, hidden))

    def _linear(self, x, w, y):
        m, k = x.shape
        n = w.shape[0]
        tile = {"BM": 64, "BN": 64, "BK": 32, "GROUP": 8}
        grid = lambda meta: (triton.cdiv(m, meta["BM"]) * triton.cdiv(n, meta["BN"]),)
        linear[grid](x, w, y, m, n, k, *x.stride(), *w.stride(), **tile, num_warps=4)
        return y

    def forward(self, x):
        batch, hidden = x.shape[0], self.w_gate.shape[0]
        gate = self._linear(x, self.w_gate, x.new_empty((batch, hidden), dtype=torch.float32))
        up = self._linear(x, self.w_up, x.new_empty((batch, hidden), dtype=torch.float32))
        joined = x.new_empty((batch, hidden))
        swiglu[(triton.cdiv(joined.numel(), 2048),)](gate, up, joined, joined.numel(), BLOCK=2048)
        return self._linear(joined, self.w_down, x.new_empty(x.shape))
