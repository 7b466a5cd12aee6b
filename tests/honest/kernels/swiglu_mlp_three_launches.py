"""SwiGLU block: gate and up products, silu and product elementwise, down product; one linear kernel for all."""

import torch
import torch.nn as nn
import triton
import triton.language as tl


@triton.jit
def linear_kernel(
    x_ptr,
    w_ptr,
    y_ptr,
    M,
    N,
    K,
    sxm,
    sxk,
    swn,
    swk,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    pid_m = tl.program_id(0)
    pid_n = tl.program_id(1)
    m = (pid_m * BLOCK_M + tl.arange(0, BLOCK_M)).to(tl.int64)
    n = (pid_n * BLOCK_N + tl.arange(0, BLOCK_N)).to(tl.int64)
    acc = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    for k0 in range(0, K, BLOCK_K):
        k = k0 + tl.arange(0, BLOCK_K)
        x = tl.load(x_ptr + m[:, None] * sxm + k[None, :] * sxk, mask=(m[:, None] < M) & (k[None, :] < K), other=0.0)
        w = tl.load(w_ptr + n[None, :] * swn + k[:, None] * swk, mask=(n[None, :] < N) & (k[:, None] < K), other=0.0)
        acc += tl.dot(x, w, input_precision="ieee")
    tl.store(y_ptr + m[:, None] * N + n[None, :], acc, mask=(m[:, None] < M) & (n[None, :] < N))


@triton.jit
def silu_mul_kernel(g_ptr, u_ptr, h_ptr, total, BLOCK: tl.constexpr):
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    g = tl.load(g_ptr + i, mask=i < total).to(tl.float32)
    u = tl.load(u_ptr + i, mask=i < total).to(tl.float32)
    tl.store(h_ptr + i, g * tl.sigmoid(g) * u, mask=i < total)


def linear(x, w, dtype):
    M, K = x.shape
    N = w.shape[0]
    y = torch.empty((M, N), device=x.device, dtype=dtype)
    grid = (triton.cdiv(M, 64), triton.cdiv(N, 64))
    linear_kernel[grid](
        x, w, y, M, N, K, x.stride(0), x.stride(1), w.stride(0), w.stride(1), BLOCK_M=64, BLOCK_N=64, BLOCK_K=32
    )
    return y


class ModelNew(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.w_gate = nn.Parameter(torch.randn(hidden, dim))
        self.w_up = nn.Parameter(torch.randn(hidden, dim))
        self.w_down = nn.Parameter(torch.randn(dim, hidden))

    def forward(self, x):
        gate = linear(x, self.w_gate, torch.float32)
        up = linear(x, self.w_up, torch.float32)
        h = torch.empty(gate.shape, device=x.device, dtype=x.dtype)
        silu_mul_kernel[(triton.cdiv(h.numel(), 1024),)](gate, up, h, h.numel(), BLOCK=1024)
        return linear(h, self.w_down, x.dtype)
