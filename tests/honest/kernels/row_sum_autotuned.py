"""Row sum, tuned over rows and columns of the tile, pruned by a size that fits."""

import torch
import triton
import triton.language as tl

configs = [
    triton.Config(kwargs={"R": r, "C": c}, num_warps=w, num_stages=s)
    for r, c, w, s in ((1, 1024, 4, 3), (1, 4096, 8, 2), (4, 512, 4, 3), (8, 256, 8, 4), (16, 128, 8, 3))
]


@triton.autotune(configs=configs, key=["rows", "cols"], warmup=5, rep=20)
@triton.jit
def summed(x_ptr, y_ptr, rows, cols, stride, R: tl.constexpr, C: tl.constexpr):
    r = tl.program_id(0) * R + tl.arange(0, R)
    acc = tl.zeros((R, C), dtype=tl.float32)
    for c in range(0, cols, C):
        k = c + tl.arange(0, C)
        x = tl.load(
            x_ptr + r.to(tl.int64)[:, None] * stride + k[None, :],
            mask=(r[:, None] < rows) & (k[None, :] < cols),
            other=0,
        )
        acc += x
    tl.store(y_ptr + r, tl.sum(acc, axis=1).to(y_ptr.dtype.element_ty), mask=r < rows)


class ModelNew(torch.nn.Module):
    def forward(self, x):
        x = x.contiguous()
        y = torch.empty(x.shape[:-1], dtype=x.dtype, device=x.device)
        summed[lambda META: (triton.cdiv(x.shape[0], META["R"]),)](x, y, x.shape[0], x.shape[1], x.stride(0))
        return y
