"""Matrix product: tiles fetched by the bulk copy engine through tensor descriptors, which also fill the edges.

A descriptor needs rows that lie 16 bytes apart or a multiple of it; matrices that do not go through pointers.
"""

import torch
import triton
import triton.language as tl
from triton.tools.tensor_descriptor import TensorDescriptor

KNOBS = {
    "BLOCK_M": (128, 64, 256),
    "BLOCK_N": (256, 128, 64),
    "BLOCK_K": (64, 32, 128),
    "GROUP_M": (16, 8, 4, 1),
    "num_warps": (8, 4),
    "num_stages": (3, 4, 2),
}
knobs = {name: values[0] for name, values in KNOBS.items()}


@triton.jit
def add_product(total, a, b):
    if a.dtype == tl.float32:
        # Adding each part apart keeps rounding errors from growing with the whole inner sum; written as a
        # multiply-add because the compiler would fold a plain sum back into the product's accumulator.
        return tl.fma(tl.dot(a, b, input_precision="ieee"), 1.0, total)
    return tl.dot(a, b, total)


@triton.jit
def find_tile(program, m, n, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, GROUP_M: tl.constexpr):
    tiles_m = tl.cdiv(m, BLOCK_M)
    group_size = GROUP_M * tl.cdiv(n, BLOCK_N)
    first_m = program // group_size * GROUP_M
    height = tl.minimum(tiles_m - first_m, GROUP_M)
    return first_m + program % group_size % height, program % group_size // height


@triton.jit
def matmul_descriptor_kernel(
    a_tiles,
    b_tiles,
    c_ptr,
    m,
    n,
    k,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    GROUP_M: tl.constexpr,
):
    tile_m, tile_n = find_tile(tl.program_id(0), m, n, BLOCK_M, BLOCK_N, GROUP_M)
    total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for start in range(0, k, BLOCK_K):
        a = a_tiles.load([tile_m * BLOCK_M, start])
        b = b_tiles.load([start, tile_n * BLOCK_N])
        total = add_product(total, a, b)
    row = tile_m * BLOCK_M + tl.arange(0, BLOCK_M)[:, None]
    col = tile_n * BLOCK_N + tl.arange(0, BLOCK_N)[None, :]
    tl.store(c_ptr + row.to(tl.int64) * n + col, total, mask=(row < m) & (col < n))


@triton.jit
def matmul_pointer_kernel(
    a_ptr,
    b_ptr,
    c_ptr,
    m,
    n,
    k,
    a_stride_m,
    a_stride_k,
    b_stride_k,
    b_stride_n,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    GROUP_M: tl.constexpr,
):
    tile_m, tile_n = find_tile(tl.program_id(0), m, n, BLOCK_M, BLOCK_N, GROUP_M)
    row = (tile_m * BLOCK_M + tl.arange(0, BLOCK_M)).to(tl.int64)[:, None]
    col = (tile_n * BLOCK_N + tl.arange(0, BLOCK_N)).to(tl.int64)[None, :]
    inner = tl.arange(0, BLOCK_K)
    total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for start in range(0, k, BLOCK_K):
        a_col = (start + inner)[None, :]
        b_row = (start + inner)[:, None]
        a = tl.load(a_ptr + row * a_stride_m + a_col * a_stride_k, mask=(row < m) & (a_col < k), other=0.0)
        b = tl.load(b_ptr + b_row * b_stride_k + col * b_stride_n, mask=(b_row < k) & (col < n), other=0.0)
        total = add_product(total, a, b)
    tl.store(c_ptr + row * n + col, total, mask=(row < m) & (col < n))


def fits_descriptor(x):
    row_bytes = x.stride(0) * x.element_size()
    is_aligned = row_bytes % 16 == 0 and x.storage_offset() * x.element_size() % 16 == 0
    return x.stride(1) == 1 and x.stride(0) >= x.shape[1] and is_aligned


class ModelNew(torch.nn.Module):
    def forward(self, a, b):
        m, k = a.shape
        n = b.shape[1]
        c = torch.empty((m, n), dtype=a.dtype, device=a.device)
        block_m, block_n, block_k = knobs["BLOCK_M"], knobs["BLOCK_N"], knobs["BLOCK_K"]
        if a.dtype != torch.float32 and fits_descriptor(a) and fits_descriptor(b):
            matmul_descriptor_kernel[(triton.cdiv(m, block_m) * triton.cdiv(n, block_n),)](
                TensorDescriptor.from_tensor(a, [block_m, block_k]),
                TensorDescriptor.from_tensor(b, [block_k, block_n]),
                c,
                m,
                n,
                k,
                BLOCK_M=block_m,
                BLOCK_N=block_n,
                BLOCK_K=block_k,
                GROUP_M=knobs["GROUP_M"],
                num_warps=knobs["num_warps"],
                num_stages=knobs["num_stages"],
            )
            return c
        matmul_pointer_kernel[(triton.cdiv(m, 64) * triton.cdiv(n, 64),)](
            a,
            b,
            c,
            m,
            n,
            k,
            *a.stride(),
            *b.stride(),
            BLOCK_M=64,
            BLOCK_N=64,
            BLOCK_K=16,
            GROUP_M=knobs["GROUP_M"],
            num_warps=4,
        )
        return c
