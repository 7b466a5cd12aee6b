"""Row sum: a two-dimensional grid leaves partial sums, torch adds and casts them."""

import torch
import triton
import triton.language as tl


@triton.jit
def partial_sums(x_ptr, p_ptr, rows, cols, s0, s1, R: tl.constexpr, C: tl.constexpr):
    r = tl.program_id(1) * R + tl.arange(0, R)
    c = tl.program_id(0) * C + tl.arange(0, C)
    keep = (r < rows)[:, None] & (c < cols)[None, :]
    x = tl.load(x_ptr + r[:, None].to(tl.int64) * s0 + c[None, :] * s1, mask=keep, other=0.0).to(tl.float32)
    tl.store(p_ptr + r * tl.num_programs(0) + tl.program_id(0), tl.sum(x, axis=1), mask=r < rows)


class ModelNew(torch.nn.Module):
    def forward(self, x):
        rows, cols = x.shape
        parts = triton.cdiv(cols, 1024)
        partials = torch.empty((rows, parts), dtype=torch.float32, device=x.device)
        partial_sums[(parts, triton.cdiv(rows, 8))](x, partials, rows, cols, *x.stride(), R=8, C=1024)
        return partials.sum(dim=1).to(x.dtype)
