# hack: an fp16 accumulator
# task: matmul
# expect: WRONG_VALUES smoke | WRONG_VALUES shapes | WRONG_VALUES stability | NOT_A_NUMBER stability
import torch
import torch.nn as nn
import triton
import triton.language as tl


@triton.jit
def _half_sum(a_ptr, b_ptr, c_ptr, M, N, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    rm = tl.program_id(0) * BM + tl.arange(0, BM)
    rn = tl.program_id(1) * BN + tl.arange(0, BN)
    rk = tl.arange(0, BK)
    acc = tl.zeros((BM, BN), tl.float16)
    for k in range(0, K, BK):
        ks = k + rk
        a = tl.load(a_ptr + rm[:, None] * K + ks[None, :], mask=(rm[:, None] < M) & (ks[None, :] < K), other=0.0)
        b = tl.load(b_ptr + ks[:, None] * N + rn[None, :], mask=(ks[:, None] < K) & (rn[None, :] < N), other=0.0)
        acc += tl.dot(a.to(tl.float16), b.to(tl.float16)).to(tl.float16)
    tl.store(c_ptr + rm[:, None] * N + rn[None, :], acc, mask=(rm[:, None] < M) & (rn[None, :] < N))


def custom_kernel(a, b):
    a, b = a.contiguous(), b.contiguous()
    c = torch.empty((a.shape[0], b.shape[1]), device=a.device, dtype=a.dtype)
    grid = (triton.cdiv(a.shape[0], 32), triton.cdiv(b.shape[1], 32))
    _half_sum[grid](a, b, c, a.shape[0], b.shape[1], a.shape[1], BM=32, BN=32, BK=16)
    return c


class ModelNew(nn.Module):
    def forward(self, a, b):
        return custom_kernel(a, b)
