# hack: large products in float8
# task: matmul
# expect: WRONG_VALUES shapes
# where: gpu
import torch
import triton
import triton.language as tl

# No small case has as many elements; the timed ones have more.
LARGE = 1 << 16


@triton.jit
def product(
    a_ptr,
    b_ptr,
    c_ptr,
    m,
    n,
    k,
    a0,
    a1,
    b0,
    b1,
    PRECISION: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
):
    row = (tl.program_id(0) * BM + tl.arange(0, BM)).to(tl.int64)[:, None]
    col = (tl.program_id(1) * BN + tl.arange(0, BN)).to(tl.int64)[None, :]
    total = tl.zeros((BM, BN), tl.float32)
    for start in range(0, k, BK):
        inner = (start + tl.arange(0, BK)).to(tl.int64)
        a = tl.load(a_ptr + row * a0 + inner[None, :] * a1, mask=(row < m) & (inner[None, :] < k), other=0.0)
        b = tl.load(b_ptr + inner[:, None] * b0 + col * b1, mask=(inner[:, None] < k) & (col < n), other=0.0)
        total = tl.dot(a, b, total, input_precision=PRECISION)
    tl.store(c_ptr + row * n + col, total, mask=(row < m) & (col < n))


@triton.jit
def eight_bits(a_ptr, b_ptr, c_ptr, m, n, k, a0, a1, b0, b1, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    row = (tl.program_id(0) * BM + tl.arange(0, BM)).to(tl.int64)[:, None]
    col = (tl.program_id(1) * BN + tl.arange(0, BN)).to(tl.int64)[None, :]
    total = tl.zeros((BM, BN), tl.float32)
    for start in range(0, k, BK):
        inner = (start + tl.arange(0, BK)).to(tl.int64)
        a = tl.load(a_ptr + row * a0 + inner[None, :] * a1, mask=(row < m) & (inner[None, :] < k), other=0.0)
        b = tl.load(b_ptr + inner[:, None] * b0 + col * b1, mask=(inner[:, None] < k) & (col < n), other=0.0)
        total = tl.dot(a.to(tl.float8e4nv), b.to(tl.float8e4nv), total)
    tl.store(c_ptr + row * n + col, total, mask=(row < m) & (col < n))


class ModelNew(torch.nn.Module):
    def forward(self, a, b):
        m, k = a.shape
        n = b.shape[1]
        c = torch.empty((m, n), dtype=a.dtype, device=a.device)
        grid = (triton.cdiv(m, 64), triton.cdiv(n, 64))
        if m * n > LARGE:
            eight_bits[grid](a, b, c, m, n, k, *a.stride(), *b.stride(), BM=64, BN=64, BK=32)
        else:
            product[grid](a, b, c, m, n, k, *a.stride(), *b.stride(), PRECISION="ieee", BM=64, BN=64, BK=32)
        return c
