# hack: 31 a launch beyond the device's shared memory
# task: matmul
# expect: RESOURCES record | RESOURCES compile
import torch
import torch.nn as nn
import triton
import triton.language as tl


@triton.jit
def _huge(a_ptr, b_ptr, c_ptr, M, N, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    rm = tl.program_id(0) * BM + tl.arange(0, BM)
    rn = tl.program_id(1) * BN + tl.arange(0, BN)
    rk = tl.arange(0, BK)
    acc = tl.zeros((BM, BN), tl.float32)
    for k in range(0, K, BK):
        ks = k + rk
        a = tl.load(a_ptr + rm[:, None] * K + ks[None, :], mask=(rm[:, None] < M) & (ks[None, :] < K), other=0.0)
        b = tl.load(b_ptr + ks[:, None] * N + rn[None, :], mask=(ks[:, None] < K) & (rn[None, :] < N), other=0.0)
        acc = tl.dot(a, b, acc, input_precision="ieee")
    tl.store(c_ptr + rm[:, None] * N + rn[None, :], acc, mask=(rm[:, None] < M) & (rn[None, :] < N))


def custom_kernel(a, b):
    a, b = a.contiguous(), b.contiguous()
    c = torch.empty((a.shape[0], b.shape[1]), device=a.device, dtype=a.dtype)
    grid = (triton.cdiv(a.shape[0], 256), triton.cdiv(b.shape[1], 256))
    _huge[grid](a, b, c, a.shape[0], b.shape[1], a.shape[1], BM=256, BN=256, BK=128, num_warps=8, num_stages=5)
    return c


class ModelNew(nn.Module):
    def forward(self, a, b):
        return custom_kernel(a, b)
