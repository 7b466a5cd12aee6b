"""Cross entropy: online log-sum-exp over chunks that start on 16-byte borders whatever the row's length.

A row of an odd length starts anywhere, and a load that may start anywhere moves one element at a time. Here
each row is read from the border before its first element; what belongs to its neighbours is put out afterwards.
"""

import torch
import triton
import triton.language as tl

KNOBS = {
    "BLOCK_N": (4096, 8192, 2048, 16384),
    "num_warps": (8, 4, 16, 32),
    "num_stages": (3, 2, 4, 1),
    "BLOCK_ROWS": (4096, 1024, 8192),
}
knobs = {name: values[0] for name, values in KNOBS.items()}

LOG2E = tl.constexpr(1.4426950408889634)


@triton.jit
def row_loss_aligned_kernel(
    logits_ptr,
    targets_ptr,
    loss_ptr,
    cols,
    extent,
    logits_stride_row,
    targets_stride,
    BLOCK_N: tl.constexpr,
    STAGES: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    begin = row * logits_stride_row
    border = begin // 8 * 8
    lead = (begin - border).to(tl.int32)
    offsets = tl.arange(0, BLOCK_N)
    target = tl.load(targets_ptr + row * targets_stride)
    chosen = tl.load(logits_ptr + begin + target).to(tl.float32)
    top = -float("inf")
    # One running sum a lane: the lanes are added once, after the last chunk.
    total = tl.zeros((BLOCK_N,), tl.float32)
    for start in tl.range(0, lead + cols, BLOCK_N, num_stages=STAGES):
        index = border + start + offsets
        x = tl.load(logits_ptr + index, mask=index < extent, other=0.0, eviction_policy="evict_first")
        col = start + offsets - lead
        x = tl.where((col >= 0) & (col < cols), x.to(tl.float32), -float("inf"))
        new_top = tl.maximum(top, tl.max(x, axis=0))
        # While only -inf was seen, add zeros, not exp(-inf + inf).
        shift = tl.where(new_top == -float("inf"), 0.0, new_top)
        total = total * tl.exp2((top - shift) * LOG2E) + tl.exp2((x - shift) * LOG2E)
        top = new_top
    tl.store(loss_ptr + row, (top - chosen) + tl.log(tl.sum(total, axis=0)))


@triton.jit
def mean_kernel(loss_ptr, mean_ptr, rows, BLOCK: tl.constexpr):
    offsets = tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, rows, BLOCK):
        index = start + offsets
        total += tl.load(loss_ptr + index, mask=index < rows, other=0.0)
    tl.store(mean_ptr, tl.sum(total, axis=0) / rows)


class ModelNew(torch.nn.Module):
    def forward(self, logits, targets):
        rows, cols = logits.shape
        if logits.stride(1) != 1:
            logits = logits.contiguous()
        loss = torch.empty((rows,), dtype=torch.float32, device=logits.device)
        mean = torch.empty((), dtype=logits.dtype, device=logits.device)
        row_loss_aligned_kernel[(rows,)](
            logits,
            targets,
            loss,
            cols,
            (rows - 1) * logits.stride(0) + cols,
            logits.stride(0),
            targets.stride(0),
            BLOCK_N=min(knobs["BLOCK_N"], triton.next_power_of_2(cols + 7)),
            STAGES=knobs["num_stages"],
            num_warps=knobs["num_warps"],
        )
        mean_kernel[(1,)](loss, mean, rows, BLOCK=knobs["BLOCK_ROWS"], num_warps=8)
        return mean
