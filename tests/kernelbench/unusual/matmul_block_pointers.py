# style: block pointers, autotune over heuristics, unpacked strides
# task: half_matmul
import torch.nn as nn
import triton
import triton.language as tl


def _configs():
    return [
        triton.Config({"BLOCK_M": m, "BLOCK_N": n, "BLOCK_K": 32}, num_stages=3, num_warps=4)
        for m in (32, 64)
        for n in (32, 64)
    ]


@triton.autotune(configs=_configs(), key=["M", "N", "K"])
@triton.heuristics({"EVEN_K": lambda args: args["K"] % args["BLOCK_K"] == 0})
@triton.jit
def _matmul(
    a_ptr,
    b_ptr,
    c_ptr,
    M,
    N,
    K,
    sam,
    sak,
    sbk,
    sbn,
    scm,
    scn,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    EVEN_K: tl.constexpr,
    GROUP: tl.constexpr = 8,
):
    pid = tl.program_id(0)
    tiles_m, tiles_n = tl.cdiv(M, BLOCK_M), tl.cdiv(N, BLOCK_N)
    group = GROUP * tiles_n
    first = (pid // group) * GROUP
    size = min(tiles_m - first, GROUP)
    pid_m = first + (pid % group) % size
    pid_n = (pid % group) // size
    a = tl.make_block_ptr(a_ptr, (M, K), (sam, sak), (pid_m * BLOCK_M, 0), (BLOCK_M, BLOCK_K), (1, 0))
    b = tl.make_block_ptr(b_ptr, (K, N), (sbk, sbn), (0, pid_n * BLOCK_N), (BLOCK_K, BLOCK_N), (1, 0))
    acc = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for _ in range(0, K, BLOCK_K):
        if EVEN_K:
            x = tl.load(a, boundary_check=(0,), padding_option="zero")
            y = tl.load(b, boundary_check=(1,), padding_option="zero")
        else:
            x = tl.load(a, boundary_check=(0, 1), padding_option="zero")
            y = tl.load(b, boundary_check=(0, 1), padding_option="zero")
        acc += tl.dot(x, y)
        a = tl.advance(a, (0, BLOCK_K))
        b = tl.advance(b, (BLOCK_K, 0))
    c = tl.make_block_ptr(c_ptr, (M, N), (scm, scn), (pid_m * BLOCK_M, pid_n * BLOCK_N), (BLOCK_M, BLOCK_N), (1, 0))
    tl.store(c, acc.to(c_ptr.type.element_ty), boundary_check=(0, 1))


class ModelNew(nn.Module):
    def forward(self, A, B):
        M, K = A.shape
        _, N = B.shape
        C = A.new_empty(M, N)
        grid = lambda META: (triton.cdiv(M, META["BLOCK_M"]) * triton.cdiv(N, META["BLOCK_N"]),)
        _matmul[grid](A, B, C, M, N, K, *A.stride(), *B.stride(), *C.stride())
        return C
