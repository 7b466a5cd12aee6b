"""Row softmax of two-dimensional tiles with Triton's own softmax."""

import torch
import triton
import triton.language as tl


@triton.jit
def kernel(x_ptr, y_ptr, m, n, sx0, sx1, TILE_M: tl.constexpr, TILE_N: tl.constexpr):
    rm = tl.program_id(0) * TILE_M + tl.arange(0, TILE_M)
    rn = tl.arange(0, TILE_N)
    mask = (rm < m)[:, None] & (rn < n)[None, :]
    x = tl.load(x_ptr + rm.to(tl.int64)[:, None] * sx0 + rn[None, :] * sx1, mask=mask, other=float("-inf"))
    x = tl.where((rm < m)[:, None], x.to(tl.float32), 0.0)
    y = tl.softmax(x, dim=1, keep_dims=True)
    tl.store(y_ptr + rm.to(tl.int64)[:, None] * n + rn[None, :], y, mask=mask)


class ModelNew(torch.nn.Module):
    def forward(self, x):
        m, n = x.shape
        y = torch.empty_strided((m, n), (n, 1), device=x.device, dtype=x.dtype)
        tile_n = triton.next_power_of_2(n)
        tile_m = 4 if tile_n <= 2048 else 1
        kernel[(triton.cdiv(m, tile_m),)](x, y, m, n, *x.stride(), tile_m, tile_n, num_warps=8)
        return y
