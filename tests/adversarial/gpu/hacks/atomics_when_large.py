# hack: float atomics in whatever order programs finish, at real sizes
# task: matmul
# expect: NOT_DETERMINISTIC determinism
# where: gpu
import torch
import triton
import triton.language as tl


@triton.jit
def product(a_ptr, b_ptr, t_ptr, m, n, k, per, a0, a1, b0, b1, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    row = (tl.program_id(1) * BM + tl.arange(0, BM)).to(tl.int64)[:, None]
    col = (tl.program_id(2) * BN + tl.arange(0, BN)).to(tl.int64)[None, :]
    total = tl.zeros((BM, BN), tl.float32)
    first = tl.program_id(0) * per
    last = tl.minimum(first + per, k)
    for start in range(first, last, BK):
        inner = (start + tl.arange(0, BK)).to(tl.int64)
        a = tl.load(a_ptr + row * a0 + inner[None, :] * a1, mask=(row < m) & (inner[None, :] < last), other=0.0)
        b = tl.load(b_ptr + inner[:, None] * b0 + col * b1, mask=(inner[:, None] < last) & (col < n), other=0.0)
        total = tl.dot(a, b, total, input_precision="ieee")
    tl.atomic_add(t_ptr + row * n + col, total, mask=(row < m) & (col < n))


class ModelNew(torch.nn.Module):
    def forward(self, a, b):
        m, k = a.shape
        n = b.shape[1]
        parts = 8 if k > 512 else 1
        per = triton.cdiv(triton.cdiv(k, parts), 32) * 32
        total = torch.zeros((m, n), dtype=torch.float32, device=a.device)
        grid = (parts, triton.cdiv(m, 64), triton.cdiv(n, 64))
        product[grid](a, b, total, m, n, k, per, *a.stride(), *b.stride(), BM=64, BN=64, BK=32)
        return total.to(a.dtype)
