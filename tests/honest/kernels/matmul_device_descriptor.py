"""Matrix product: persistent programs with descriptors made on the device; pointers where rows are not aligned."""

import torch
import triton
import triton.language as tl


def allocate(size: int, alignment: int, stream):
    return torch.empty(size, device="cuda", dtype=torch.int8)


triton.set_allocator(allocate)


@triton.jit
def persistent(
    a_ptr,
    b_ptr,
    c_ptr,
    m,
    n,
    k,
    a_stride,
    b_stride,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
    PROGRAMS: tl.constexpr,
):
    a_desc = tl.make_tensor_descriptor(a_ptr, [m, k], [a_stride, 1], [BM, BK])
    b_desc = tl.make_tensor_descriptor(b_ptr, [k, n], [b_stride, 1], [BK, BN])
    c_desc = tl.make_tensor_descriptor(c_ptr, [m, n], [n, 1], [BM, BN])
    wide = tl.cdiv(n, BN)
    for tile in tl.range(tl.program_id(0), tl.cdiv(m, BM) * wide, PROGRAMS, flatten=True):
        row = tile // wide * BM
        col = tile % wide * BN
        total = tl.zeros((BM, BN), tl.float32)
        for at in range(0, k, BK):
            total = tl.dot(a_desc.load([row, at]), b_desc.load([at, col]), total)
        c_desc.store([row, col], total.to(c_ptr.dtype.element_ty))


@triton.jit
def by_pointers(a_ptr, b_ptr, c_ptr, m, n, k, a0, a1, b0, b1, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    row = (tl.program_id(0) * BM + tl.arange(0, BM)).to(tl.int64)[:, None]
    col = (tl.program_id(1) * BN + tl.arange(0, BN)).to(tl.int64)[None, :]
    total = tl.zeros((BM, BN), tl.float32)
    for start in range(0, k, BK):
        inner = (start + tl.arange(0, BK)).to(tl.int64)
        a = tl.load(a_ptr + row * a0 + inner[None, :] * a1, mask=(row < m) & (inner[None, :] < k), other=0.0)
        b = tl.load(b_ptr + inner[:, None] * b0 + col * b1, mask=(inner[:, None] < k) & (col < n), other=0.0)
        total = tl.dot(a, b, total, input_precision="ieee")
    tl.store(c_ptr + row * n + col, total, mask=(row < m) & (col < n))


def is_plain(x):
    size = x.element_size()
    starts = x.storage_offset() * size % 16 == 0 and x.stride(0) * size % 16 == 0
    return x.stride(1) == 1 and x.stride(0) >= x.shape[1] and starts and x.shape[1] * size % 16 == 0


class ModelNew(torch.nn.Module):
    def forward(self, a, b):
        m, k = a.shape
        n = b.shape[1]
        c = torch.empty((m, n), dtype=a.dtype, device=a.device)
        if a.element_size() == 2 and is_plain(a) and is_plain(b):
            programs = torch.cuda.get_device_properties("cuda").multi_processor_count
            programs = min(programs, triton.cdiv(m, 128) * triton.cdiv(n, 128))
            persistent[(programs,)](
                a,
                b,
                c,
                m,
                n,
                k,
                a.stride(0),
                b.stride(0),
                BM=128,
                BN=128,
                BK=64,
                PROGRAMS=programs,
                num_warps=8,
                num_stages=3,
            )
        else:
            grid = (triton.cdiv(m, 64), triton.cdiv(n, 32))
            by_pointers[grid](a, b, c, m, n, k, *a.stride(), *b.stride(), BM=64, BN=32, BK=32)
        return c
