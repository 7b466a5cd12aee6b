"""Matrix product: operands padded to whole tiles by torch, a kernel with no masks, the result cut out."""

import torch
import torch.nn.functional as F
import triton
import triton.language as tl


@triton.jit
def whole_tiles(a_ptr, b_ptr, c_ptr, n, k, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    tile_m, tile_n = tl.swizzle2d(tl.program_id(0), tl.program_id(1), tl.num_programs(0), tl.num_programs(1), 4)
    row = (tile_m * BM + tl.arange(0, BM)).to(tl.int64)
    col = tile_n * BN + tl.arange(0, BN)
    inner = tl.arange(0, BK)
    a_ptrs = a_ptr + row[:, None] * k + inner[None, :]
    b_ptrs = b_ptr + inner[:, None].to(tl.int64) * n + col[None, :]
    total = tl.zeros((BM, BN), tl.float32)
    for _ in tl.range(0, k, BK, num_stages=3):
        total = tl.dot(tl.load(a_ptrs), tl.load(b_ptrs), total, input_precision="ieee")
        a_ptrs += BK
        b_ptrs += BK * n
    tl.store(c_ptr + row[:, None] * n + col[None, :], total)


def up_to(size, multiple):
    return (multiple - size % multiple) % multiple


class ModelNew(torch.nn.Module):
    def forward(self, a, b):
        m, k = a.shape
        n = b.shape[1]
        a = F.pad(a, (0, up_to(k, 32), 0, up_to(m, 64))).contiguous()
        b = F.pad(b, (0, up_to(n, 64), 0, up_to(k, 32))).contiguous()
        c = torch.empty((a.shape[0], b.shape[1]), dtype=a.dtype, device=a.device)
        whole_tiles[(c.shape[0] // 64, c.shape[1] // 64)](a, b, c, c.shape[1], a.shape[1], BM=64, BN=64, BK=32)
        return c[:m, :n].contiguous()
