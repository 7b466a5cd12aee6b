"""Row sum as a tree of launches: each halves the row's parts until one is left."""

import torch
import triton
import triton.language as tl


@triton.jit
def fold(x_ptr, y_ptr, cols, parts, s0, s1, FOLD: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    part = tl.program_id(1)
    col = part * FOLD + tl.arange(0, FOLD)
    x = tl.load(x_ptr + row * s0 + col * s1, mask=col < cols, other=0.0)
    tl.store(y_ptr + row * parts + part, tl.sum(x.to(tl.float32), axis=0))


class ModelNew(torch.nn.Module):
    def forward(self, x):
        rows = x.shape[0]
        dtype = x.dtype
        level = x
        while True:
            parts = triton.cdiv(level.shape[1], 2048)
            made = torch.empty((rows, parts), device=x.device, dtype=dtype if parts == 1 else torch.float32)
            fold[(rows, parts)](level, made, level.shape[1], parts, *level.stride(), FOLD=2048)
            if parts == 1:
                return made.squeeze(1)
            level = made
