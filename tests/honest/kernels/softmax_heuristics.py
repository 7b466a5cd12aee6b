"""Row softmax whose block and warps are heuristics of the row's length."""

import torch
import triton
import triton.language as tl


def block_of(args):
    return triton.next_power_of_2(args["N"])


def warps_of(args):
    n = args["N"]
    if n >= 16384:
        return 32
    if n >= 2048:
        return 8
    return 4


@triton.heuristics({"BLOCK_SIZE": block_of, "num_warps": warps_of})
@triton.jit
def _softmax(Y, X, stride_y, stride_xm, stride_xn, N, BLOCK_SIZE: tl.constexpr):
    pid = tl.program_id(axis=0)
    row = tl.cast(pid, tl.int64)
    n = tl.arange(0, BLOCK_SIZE)
    X = X + row * stride_xm
    Y = Y + row * stride_y
    x = tl.load(X + n * stride_xn, mask=n < N, other=-float("inf"))
    z = x.to(tl.float32) - tl.max(x.to(tl.float32), axis=0)
    num = tl.exp(z)
    den = tl.sum(num, axis=0)
    tl.store(Y + n, num / den, mask=n < N)


class ModelNew(torch.nn.Module):
    def forward(self, x):
        M, N = x.size()
        y = torch.empty((M, N), device=x.device, dtype=x.dtype)
        grid = lambda meta: (M,)
        _softmax[grid](y, x, y.stride(0), x.stride(0), x.stride(1), N)
        return y
