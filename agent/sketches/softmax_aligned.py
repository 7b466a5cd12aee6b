"""Softmax: online maximum and sum over chunks that start on 16-byte borders whatever the row's length.

A row of an odd length starts anywhere, and an access that may start anywhere moves one element at a time. Here
each row is read from the border before its first element; what belongs to its neighbours is put out afterwards,
and only the first and the last chunk are stored under a mask.
"""

import torch
import triton
import triton.language as tl

KNOBS = {"BLOCK_N": (4096, 8192, 2048, 16384), "num_warps": (8, 4, 16, 32), "num_stages": (2, 3, 1, 4)}
knobs = {name: values[0] for name, values in KNOBS.items()}

LOG2E = tl.constexpr(1.4426950408889634)


@triton.jit
def softmax_aligned_kernel(x_ptr, y_ptr, cols, extent, BLOCK_N: tl.constexpr, STAGES: tl.constexpr):
    begin = tl.program_id(0).to(tl.int64) * cols
    border = begin // 8 * 8
    lead = (begin - border).to(tl.int32)
    offsets = tl.arange(0, BLOCK_N)
    top = -float("inf")
    # One running sum a lane: the lanes are added once, after the last chunk.
    total = tl.zeros((BLOCK_N,), tl.float32)
    for start in tl.range(0, lead + cols, BLOCK_N, num_stages=STAGES):
        index = border + start + offsets
        x = tl.load(x_ptr + index, mask=index < extent, other=0.0, eviction_policy="evict_last")
        col = start + offsets - lead
        x = tl.where((col >= 0) & (col < cols), x.to(tl.float32), -float("inf"))
        new_top = tl.maximum(top, tl.max(x, axis=0))
        # While only -inf was seen, add zeros, not exp(-inf + inf).
        shift = tl.where(new_top == -float("inf"), 0.0, new_top)
        total = total * tl.exp2((top - shift) * LOG2E) + tl.exp2((x - shift) * LOG2E)
        top = new_top
    scale = 1.0 / tl.sum(total, axis=0)
    for start in tl.range(0, lead + cols, BLOCK_N, num_stages=STAGES):
        index = border + start + offsets
        x = tl.load(x_ptr + index, mask=index < extent, other=0.0, eviction_policy="evict_first")
        y = (tl.exp2((x.to(tl.float32) - top) * LOG2E) * scale).to(y_ptr.dtype.element_ty)
        col = start + offsets - lead
        if (start >= lead) & (start + BLOCK_N <= lead + cols):
            tl.store(y_ptr + index, y)
        else:
            tl.store(y_ptr + index, y, mask=(col >= 0) & (col < cols))


class ModelNew(torch.nn.Module):
    def forward(self, x):
        cols = x.shape[-1]
        rows = x.numel() // cols
        x = x.contiguous()
        y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        softmax_aligned_kernel[(rows,)](
            x,
            y,
            cols,
            rows * cols,
            BLOCK_N=min(knobs["BLOCK_N"], triton.next_power_of_2(cols + 7)),
            STAGES=knobs["num_stages"],
            num_warps=knobs["num_warps"],
        )
        return y
